"""Receipts: what a submission became, in the sender's words; signed once final, verifiable without the hub."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select, update

from hub.errors import NotFound
from hub.exchange.file_notes import file_notes, question_params
from hub.exchange.finding_cells import KEPT_AS
from hub.exchange.receipt_number import read_receipt_number
from hub.exchange.row_errors import explain, masked_facts
from hub.keyring import Keyring, is_signed_by
from hub.tables import row_error, submission
from mappings.catalogue import Catalogue, RecordType, load_catalogue

COUNTS = ("received", "accepted", "unchanged", "held", "refused")
MOST_ISSUES = 10_000  # a receipt is for reading; the returned workbook has them all
FINAL_STATES = ("merged", "previewed", "refused", "failed")
WAITING_STATES = ("asking", "braked")  # nothing more happens before a person decides
_ALGORITHM = "ed25519"


def is_final(row: Row[Any]) -> bool:
    """Nothing more will happen to this submission of itself."""
    return row.state in FINAL_STATES


def is_settled(row: Row[Any]) -> bool:
    """Nothing more will happen of itself; perhaps a person must say first what happens next."""
    return is_final(row) or row.state in WAITING_STATES


def find(connection: Connection, number: str) -> Row[Any]:
    """The ledger row of a receipt number, as typed; NotFound."""
    read = read_receipt_number(number)
    row = connection.execute(select(submission).where(submission.c.receipt_number == read)).first() if read else None
    if row is None:
        raise NotFound(number)
    return row


def read_receipt(
    connection: Connection,
    number: str,
    language: str = "zh",
    *,
    catalogue: Catalogue | None = None,
    limit: int = MOST_ISSUES,
) -> dict[str, Any]:
    """The receipt as people and integrators read it: number, state, counts, issues with sentences, times, signature."""
    row = find(connection, number)
    known = catalogue or _catalogue()
    return {
        "receipt": row.receipt_number,
        "state": row.state,
        "counts": {name: getattr(row, name) for name in COUNTS},
        "issues": _issues(connection, known, row, language, limit),
        "issues_total": _issues_total(connection, row),
        "final": is_final(row),
        "waits": row.state in WAITING_STATES,
        "organisation": row.organisation,
        "record_type": row.record_type,
        "period": row.period,
        "kind": row.kind,
        "dry_run": row.dry_run,
        "file_name": row.file_name,
        "file_size": row.file_size,
        "sha256": row.file_sha256,
        "received_at": _instant(row.received_at),
        "checked_at": _instant(row.checked_at),
        "merged_at": _instant(row.merged_at),
        "effect": row.facts.get("effect"),
        "facts": {name: value for name, value in row.facts.items() if name not in ("effect", KEPT_AS)},
        "signed": row.receipt,
    }


def issue(connection: Connection, keyring: Keyring, submission_id: UUID) -> dict[str, Any]:
    """Sign and keep the final receipt. Call it last in the transaction that makes the submission final."""
    row = connection.execute(select(submission).where(submission.c.submission_id == submission_id)).one()
    receipt = _statement(connection, row)
    signed = {**receipt, "signature": _sign(keyring, receipt)}
    connection.execute(update(submission).where(submission.c.submission_id == submission_id).values(receipt=signed))
    return signed


def verify(receipt: Mapping[str, Any], public_keys: Mapping[str, bytes]) -> bool:
    """Whether a signed receipt is word for word what a hub with one of these keys issued. Needs no hub."""
    signature = receipt.get("signature")
    if not isinstance(signature, Mapping) or signature.get("algorithm") != _ALGORITHM:
        return False
    try:
        value = base64.b64decode(str(signature.get("value")), validate=True)
    except ValueError:
        return False
    statement = {name: part for name, part in receipt.items() if name != "signature"}
    return is_signed_by(public_keys, str(signature.get("key")), canonical(statement), value)


def canonical(statement: Mapping[str, Any]) -> bytes:
    """The one spelling that is signed: keys sorted, no spaces, UTF-8. Statements hold no fractions."""
    return json.dumps(statement, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


@functools.cache
def _catalogue() -> Catalogue:
    return load_catalogue()


def _statement(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    """What the hub puts its name to. Row errors are in it by number and digest: values never are."""
    return {
        "receipt": row.receipt_number,
        "submission_id": str(row.submission_id),
        "organisation": row.organisation,
        "record_type": row.record_type,
        "period": row.period,
        "kind": row.kind,
        "dry_run": row.dry_run,
        "file_name": row.file_name,
        "file_size": row.file_size,
        "sha256": row.file_sha256,
        "state": row.state,
        "refusal": (row.refusal or {}).get("code"),
        "counts": {name: getattr(row, name) for name in COUNTS},
        "effect": row.facts.get("effect"),
        "row_errors": _digest_errors(connection, row.submission_id),
        "received_at": _instant(row.received_at),
        "checked_at": _instant(row.checked_at),
        "merged_at": _instant(row.merged_at),
    }


def _sign(keyring: Keyring, receipt: Mapping[str, Any]) -> dict[str, str]:
    value = base64.b64encode(keyring.sign(canonical(receipt))).decode()
    return {"algorithm": _ALGORITHM, "key": keyring.signing_key_id, "value": value}


def _digest_errors(connection: Connection, submission_id: UUID) -> dict[str, Any]:
    """How many row errors and the digest of where they are and what they say, in order."""
    errors = row_error.c
    told = select(errors.row_no, errors.error_no, errors.sheet_row, errors.column_letter, errors.code, errors.level)
    mine = told.where(errors.submission_id == submission_id).order_by(errors.row_no, errors.error_no)
    digest, count = hashlib.sha256(), 0
    for line in connection.execute(mine):
        digest.update(("\t".join(str(part) for part in line) + "\n").encode())
        count += 1
    return {"count": count, "sha256": digest.hexdigest()}


def _issues(
    connection: Connection, catalogue: Catalogue, row: Row[Any], language: str, limit: int
) -> list[dict[str, Any]]:
    errors = row_error.c
    mine = select(row_error).where(errors.submission_id == row.submission_id)
    ordered = mine.order_by(errors.row_no, errors.error_no).limit(limit)
    types, errors_of_rows = (
        catalogue.record_types,
        connection.execute(ordered),
    )  # the hub's own submissions have no type
    told = [_issue(catalogue, types[row.record_type], error, language) for error in errors_of_rows]
    of_the_file = _refusal(catalogue, row, language) + _reasons(catalogue, row, language)
    return of_the_file + _notes(catalogue, row, language) + told


def _notes(catalogue: Catalogue, row: Row[Any], language: str) -> list[dict[str, Any]]:
    """What was noticed of the file as a whole."""
    return [
        {
            "sheet": params.get("sheet"), "row": at, "column": "", "field": "", "code": code,
            "level": catalogue.row_errors[code].level,
            **_sentences(catalogue, code, masked_facts(params), language),
        }
        for code, at, params in file_notes(row.facts)
    ]  # fmt: skip


def _reasons(catalogue: Catalogue, row: Row[Any], language: str) -> list[dict[str, Any]]:
    """Why the whole file waits for a person, or would have if the preview had been meant."""
    return [
        {
            "sheet": None, "row": 0, "column": "", "field": "", "code": code, "level": catalogue.row_errors[code].level,
            **_sentences(catalogue, code, masked_facts(params), language),
        }
        for code, params in waiting_reasons(row)
    ]  # fmt: skip


def waiting_reasons(row: Row[Any]) -> list[tuple[str, dict[str, Any]]]:
    """Codes of the row-error catalogue with their facts."""
    return [(one["code"], one["params"]) for one in (row.waiting or {}).get("reasons", [])]


def _issue(catalogue: Catalogue, record_type: RecordType, error: Row[Any], language: str) -> dict[str, Any]:
    params = {"value": error.value, "field": error.header or error.field, "header": error.header, **error.params}
    params = masked_facts(params, record_type.by_name.get(error.field))
    return {
        "sheet": error.sheet,
        "row": error.sheet_row,
        "column": error.column_letter,
        "field": error.field,
        "code": error.code,
        "level": error.level,
        **_sentences(catalogue, error.code, params, language),
    }


def _refusal(catalogue: Catalogue, row: Row[Any], language: str) -> list[dict[str, Any]]:
    """The whole file's error, or what a person is asked about its columns, as the first issue."""
    if row.state == "asking":
        code, params = "F_COLUMNS_UNCONFIRMED", masked_facts(question_params(row.waiting))
    elif row.refusal:
        code, params = row.refusal["code"], masked_facts(row.refusal.get("params", {}))
    else:
        return []
    level = catalogue.row_errors[code].level
    place = {"sheet": params.get("sheet"), "row": 0, "column": "", "field": "", "code": code, "level": level}
    return [{**place, **_sentences(catalogue, code, params, language)}]


def _sentences(catalogue: Catalogue, code: str, params: Mapping[str, Any], language: str) -> dict[str, str]:
    told = explain(catalogue, code, params, language)
    return {"message": told.message, "fix": told.fix}


def _issues_total(connection: Connection, row: Row[Any]) -> int:
    asked = select(func.count()).where(row_error.c.submission_id == row.submission_id)
    of_the_file = bool(row.refusal or row.state == "asking") + len(waiting_reasons(row))
    return int(connection.scalar(asked) or 0) + of_the_file + sum(1 for _ in file_notes(row.facts))


def _instant(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else None
