"""``hub check``: a file through parse and check alone; no database, nothing kept.

Without a register the district's areas are not known: what a cell says of an area is not judged here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from adapters.formats.sandbox import Limits
from hub.database import new_uuids, utc_now
from hub.errors import ColumnsUnconfirmed, FileRefused
from hub.exchange.check import CheckContext, CheckedBatch, check
from hub.exchange.parse import parse
from hub.exchange.row_errors import explain, masked_facts
from hub.registry.areas import build_index
from hub.settings import Settings
from mappings.catalogue import Catalogue, Mapping, RecordType, load_catalogue

_MOST_ISSUES = 10_000
_ABOUT_AREAS = ("E_AREA", "E_AREA_AMBIGUOUS", "N_OTHER_DISTRICT")


def check_file(
    settings: Settings, file: Path, record_type_code: str, organisation: str | None, language: str
) -> dict[str, Any]:
    """The receipt this file would get, as far as it can be known without a register."""
    catalogue = _without_areas(load_catalogue())
    try:
        record_type = catalogue.record_types.get(record_type_code)
        if record_type is None:
            raise FileRefused(record_type_code, code="F_UNKNOWN_TYPE", params={"record_type": record_type_code})
        mapping = catalogue.mapping_for(organisation or "", _kind_of(organisation), record_type_code)
        return _check(settings, catalogue, record_type, mapping, file, language)
    except ColumnsUnconfirmed as unconfirmed:
        return _refused(catalogue, unconfirmed, language) | {
            "state": "asking",
            "final": False,
            "question": unconfirmed.facts["question"],
        }
    except FileRefused as refused:
        return _refused(catalogue, refused, language)


def _without_areas(catalogue: Catalogue) -> Catalogue:
    """The same catalogue, but what is said of areas keeps no row out."""
    notes = {code: msgspec.structs.replace(catalogue.row_errors[code], level="note") for code in _ABOUT_AREAS}
    return msgspec.structs.replace(catalogue, row_errors={**catalogue.row_errors, **notes})


def _check(
    settings: Settings,
    catalogue: Catalogue,
    record_type: RecordType,
    mapping: Mapping | None,
    file: Path,
    language: str,
) -> dict[str, Any]:
    limits = Limits(
        cpu_seconds=settings.parse_cpu_seconds,
        wall_seconds=settings.parse_wall_seconds,
        max_bytes=settings.max_file_bytes,
    )
    parsed = parse(file, record_type, mapping, catalogue, limits)
    batches = list(check(parsed.frames, parsed.columns, _context(settings, catalogue, record_type, mapping)))
    counts = _count(batches)
    if record_type.all_or_nothing and counts["held"] + counts["refused"]:
        raise FileRefused(code="F_ALL_OR_NOTHING", params={"rows": counts["held"] + counts["refused"]})
    issues = [issue for batch in batches for issue in _issues(catalogue, record_type, batch, language)]
    return {**_receipt("checked", counts), "issues": issues[:_MOST_ISSUES], "issues_total": len(issues)}


def _context(
    settings: Settings, catalogue: Catalogue, record_type: RecordType, mapping: Mapping | None
) -> CheckContext:
    """Nothing is kept, so nothing needs sealing and the digest key is thrown away."""
    return CheckContext(
        record_type=record_type,
        mapping=mapping,
        catalogue=catalogue,
        areas=build_index([]),
        today=utc_now().astimezone(ZoneInfo(settings.time_zone)).date(),
        fictitious_prefixes=settings.fictitious_prefixes,
        digest_key=os.urandom(32),
        seal=lambda contents: contents,
        new_uuids=new_uuids,
    )


def _kind_of(organisation: str | None) -> str:
    """A town is named by its area code; departments are in the mappings by their own code."""
    return "town" if organisation and organisation.isdigit() else ""


def _count(batches: list[CheckedBatch]) -> dict[str, int]:
    received, held, refused = (sum(getattr(each, name) for each in batches) for name in ("received", "held", "refused"))
    accepted = received - held - refused
    return {"received": received, "accepted": accepted, "unchanged": 0, "held": held, "refused": refused}


def _receipt(state: str, counts: dict[str, int]) -> dict[str, Any]:
    return {"receipt": None, "state": state, "counts": counts, "final": True, "areas_checked": False}


def _issues(catalogue: Catalogue, record_type: RecordType, batch: CheckedBatch, language: str) -> list[dict[str, Any]]:
    told = batch.errors.iter_rows(named=True)
    return [_issue(catalogue, record_type, error, language) for error in told if error["code"] not in _ABOUT_AREAS]


def _issue(catalogue: Catalogue, record_type: RecordType, error: dict[str, Any], language: str) -> dict[str, Any]:
    params = {
        "value": error["value"],
        "field": error["header"] or error["field"],
        **json.loads(error["params"] or "{}"),
    }
    shown = masked_facts(params, record_type.by_name.get(error["field"]))
    told = explain(catalogue, error["code"], shown, language)
    return {
        "sheet": error["sheet"],
        "row": error["sheet_row"],
        "column": error["column_letter"],
        "field": error["field"],
        "code": error["code"],
        "level": error["level"],
        "message": told.message,
        "fix": told.fix,
    }


def _refused(catalogue: Catalogue, refused: FileRefused, language: str) -> dict[str, Any]:
    """The whole file's error as the only issue."""
    code, params = str(refused.facts.get("code", "F_UNREADABLE")), refused.facts.get("params")
    told = explain(catalogue, code, masked_facts(params) if isinstance(params, dict) else {}, language)
    place = {"sheet": None, "row": 0, "column": "", "field": ""}
    issue = {**place, "code": code, "level": catalogue.row_errors[code].level, "message": told.message, "fix": told.fix}
    nothing = {"received": 0, "accepted": 0, "unchanged": 0, "held": 0, "refused": 0}
    return {**_receipt("refused", nothing), "issues": [issue], "issues_total": 1}
