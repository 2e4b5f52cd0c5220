"""A file read twice, with a mapping as it is and as it might be: counts and places side by side, and nothing kept.

No submission, no staged row, no value: what comes out are numbers of rows, letters of columns and codes of errors.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import polars as pl

from adapters.formats.sandbox import Limits
from hub.database import new_uuids, utc_now
from hub.errors import BadRequest, ColumnsUnconfirmed, Conflict, FileRefused, NotAllowed
from hub.exchange.check import CheckContext, check
from hub.exchange.parse import parse
from hub.registry.areas import AreaIndex
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import is_care_only
from hub.settings import Settings
from mappings.catalogue import Catalogue, Mapping, RecordType

LARGEST_BYTES = 20 * 1024 * 1024
LONGEST_SECONDS = 60
MOST_DIFFERENCES = 100
_PLACE = ["sheet", "sheet_row", "column_letter", "field", "code"]
_one_at_a_time = threading.Lock()


class TrialTooLong(BadRequest):
    """试跑超过时限，请用行数少一些的文件。 The trial took too long: try it with fewer rows."""

    problem = "trial-too-long"


class TrialBusy(Conflict):
    """另一份文件正在试跑，请稍后再试。 Another file is being tried: try again in a moment."""

    problem = "trial-busy"


class CareOnlyTrial(NotAllowed):
    """该类别只在医疗照护单位之间流转，不在此试跑。 Records of this type stay among care organisations: not tried here."""

    problem = "care-only-trial"


class TrialRun(msgspec.Struct, frozen=True, kw_only=True):
    """One reading: how many rows, how they fared, errors by code; ``refusal``: the whole file's code and its columns."""

    received: int = 0
    accepted: int = 0
    held: int = 0
    refused: int = 0
    codes: dict[str, int] = {}
    refusal: str = ""
    columns: tuple[str, ...] = ()  # of a refusal: titles of ours, headers of theirs
    filled: tuple[str, ...] = ()  # fields that a column of the file fills
    unknown: tuple[str, ...] = ()  # letters of columns nobody takes


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One error that only one of the two readings finds: where, never what."""

    sheet: str
    row: int
    column: str
    field: str
    code: str
    found_by: str  # before or after


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """Both readings; ``differing``: how many errors only one of them finds, of which the first are listed."""

    before: TrialRun
    after: TrialRun
    differing: int
    differences: list[Difference]


def try_mapping(
    settings: Settings, catalogue: Catalogue, areas: AreaIndex, actor: Actor, path: Path, now: Mapping, changed: Mapping
) -> Tried:
    """Read the file with both mappings, in the limited child process as any file is. HubError where it cannot be tried."""
    require(actor, Right.TRY_MAPPING)
    record_type = catalogue.record_types[now.record_type]
    if is_care_only(record_type):
        raise CareOnlyTrial(record_type.title)
    with _alone():
        until = time.monotonic() + LONGEST_SECONDS
        before, found_before = _read(settings, catalogue, areas, path, record_type, now, until)
        after, found_after = _read(settings, catalogue, areas, path, record_type, changed, until)
    gone = found_before.join(found_after, on=_PLACE, how="anti", nulls_equal=True).with_columns(
        found_by=pl.lit("before")
    )
    new = found_after.join(found_before, on=_PLACE, how="anti", nulls_equal=True).with_columns(found_by=pl.lit("after"))
    apart = pl.concat([gone, new]).sort("sheet", "sheet_row", "column_letter", "code", maintain_order=True)
    return Tried(
        before=before, after=after, differing=apart.height, differences=_listed_differences(apart, record_type)
    )


@contextmanager
def _alone() -> Iterator[None]:
    """One trial at a time: it takes as much as a submission, and is nobody's deadline."""
    if not _one_at_a_time.acquire(blocking=False):
        raise TrialBusy()
    try:
        yield
    finally:
        _one_at_a_time.release()


def _read(
    settings: Settings,
    catalogue: Catalogue,
    areas: AreaIndex,
    path: Path,
    record_type: RecordType,
    mapping: Mapping,
    until: float,
) -> tuple[TrialRun, pl.DataFrame]:
    """What the line would find, and where."""
    nothing = pl.DataFrame(schema={name: pl.Int32 if name == "sheet_row" else pl.String for name in _PLACE})
    try:
        parsed = parse(path, record_type, mapping, catalogue, _limits(settings, until))
        errors, counts = [nothing], {"received": 0, "held": 0, "refused": 0}
        for batch in check(parsed.frames, parsed.columns, _context(settings, catalogue, areas, record_type, mapping)):
            counts = {name: many + getattr(batch, name) for name, many in counts.items()}
            errors.append(batch.errors.select(_PLACE))
            if time.monotonic() > until:
                raise TrialTooLong(f"> {LONGEST_SECONDS} s")
    except FileRefused as refused:
        return _refused_run(refused), nothing
    found = pl.concat(errors)
    by_code = found.group_by("code").len().sort("code")
    return TrialRun(
        received=counts["received"],
        held=counts["held"],
        refused=counts["refused"],
        accepted=counts["received"] - counts["held"] - counts["refused"],
        codes=dict(by_code.iter_rows()),
        filled=tuple(dict.fromkeys(column.field for column in parsed.columns)),
        unknown=_unknown_letters(parsed.facts),
    ), found


def _limits(settings: Settings, until: float) -> Limits:
    left = max(1, int(until - time.monotonic()))
    return Limits(
        cpu_seconds=min(settings.parse_cpu_seconds, left),
        wall_seconds=min(settings.parse_wall_seconds, left),
        max_bytes=min(settings.max_file_bytes, LARGEST_BYTES),
    )


def _context(
    settings: Settings, catalogue: Catalogue, areas: AreaIndex, record_type: RecordType, mapping: Mapping
) -> CheckContext:
    """Nothing is kept: what would be sealed is thrown away, and so is the key of the digests."""
    return CheckContext(
        record_type=record_type,
        mapping=mapping,
        catalogue=catalogue,
        areas=areas,
        today=utc_now().astimezone(ZoneInfo(settings.time_zone)).date(),
        fictitious_prefixes=settings.fictitious_prefixes,
        digest_key=os.urandom(32),
        seal=lambda contents: contents,
        new_uuids=new_uuids,
    )


def _refused_run(refused: FileRefused) -> TrialRun:
    """The file's own error by its code; of its facts, titles of our columns alone."""
    if isinstance(refused, ColumnsUnconfirmed):
        return TrialRun(refusal="F_COLUMNS_UNCONFIRMED")
    params: Any = refused.facts.get("params") or {}
    fields = params.get("fields", ()) if isinstance(params, dict) else ()
    return TrialRun(refusal=str(refused.facts.get("code", "F_UNREADABLE")), columns=tuple(map(str, fields)))


def _unknown_letters(facts: dict[str, object]) -> tuple[str, ...]:
    """Columns nobody takes, by their letters: what stands above them is the sender's."""
    known: Any = facts.get("unknown_columns") or []
    return tuple(str(one.get("letter") or one.get("column") or "?") for one in known if isinstance(one, dict))[:50]


def _listed_differences(apart: pl.DataFrame, record_type: RecordType) -> list[Difference]:
    titles = {field.name: field.title for field in record_type.fields}
    return [
        Difference(
            sheet=row["sheet"] or "",
            row=row["sheet_row"],
            column=row["column_letter"] or "",
            field=titles.get(row["field"], row["field"]),
            code=row["code"],
            found_by=row["found_by"],
        )
        for row in apart.head(MOST_DIFFERENCES).iter_rows(named=True)
    ]
