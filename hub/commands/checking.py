"""``hub check``: a file through parse and check alone; no database, nothing kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import polars as pl

from adapters.formats.sandbox import Limits
from hub.database import new_uuids, utc_now
from hub.errors import FileRefused
from hub.exchange.check import CheckContext, CheckedBatch, check
from hub.exchange.parse import ParsedFile, parse
from hub.exchange.row_errors import explain
from hub.registry.areas import build_index
from hub.settings import Settings
from mappings.catalogue import Catalogue, Mapping, RecordType, load_catalogue

_MOST_ISSUES = 10_000


def check_file(
    settings: Settings, file: Path, record_type_code: str, organisation: str | None, language: str
) -> dict[str, Any]:
    """The receipt this file would get, as far as it can be known without a register: no links, no areas, no merge."""
    catalogue = load_catalogue()
    record_type = catalogue.record_types.get(record_type_code)
    if record_type is None:
        raise FileRefused(record_type_code, code="F_UNKNOWN_TYPE")
    mapping = catalogue.mapping_for(organisation or "", _kind_of(organisation), record_type_code)
    try:
        return _check(settings, catalogue, record_type, mapping, file, language)
    except FileRefused as refused:
        return _refused(catalogue, refused, language)


def _check(
    settings: Settings,
    catalogue: Catalogue,
    record_type: RecordType,
    mapping: Mapping | None,
    file: Path,
    language: str,
) -> dict[str, Any]:
    limits = Limits(cpu_seconds=settings.parse_cpu_seconds, wall_seconds=settings.parse_wall_seconds)
    parsed = parse(file, record_type, mapping, catalogue, limits)
    batches = list(check(parsed.frames, parsed.columns, _context(settings, catalogue, record_type, mapping)))
    counts = _count(batches)
    issues = [issue for batch in batches for issue in _issues(catalogue, parsed, batch, language)]
    return {**_receipt("checked", counts), "issues": issues[:_MOST_ISSUES], "issues_total": len(issues)}


def _context(
    settings: Settings, catalogue: Catalogue, record_type: RecordType, mapping: Mapping | None
) -> CheckContext:
    """Keys thrown away afterwards: nothing sealed or digested here is ever read again."""
    return CheckContext(
        record_type=record_type,
        mapping=mapping,
        catalogue=catalogue,
        areas=build_index([]),
        today=utc_now().astimezone(settings.zone).date(),
        fictitious_prefixes=settings.fictitious_prefixes,
        digest_key=os.urandom(32),
        seal=lambda contents: contents,
        new_uuids=new_uuids,
    )


def _kind_of(organisation: str | None) -> str:
    """A town is named by its area code; departments are in the mappings by their own code."""
    return "town" if organisation and organisation.isdigit() else ""


def _count(batches: list[CheckedBatch]) -> dict[str, int]:
    received, held, refused = (sum(getattr(batch, name) for batch in batches) for name in ("received", "held", "refused"))
    return {
        "received": received,
        "accepted": received - held - refused,
        "unchanged": 0,
        "held": held,
        "refused": refused,
    }


def _issues(catalogue: Catalogue, parsed: ParsedFile, batch: CheckedBatch, language: str) -> list[dict[str, Any]]:
    return [_issue(catalogue, error, language) for error in batch.errors.iter_rows(named=True)]
