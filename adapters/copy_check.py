"""For a department's developer: does our copy still hold what the hub holds? Exactly what differs, and how to repair it.

    copy = (HeldRecord(record_id=…, version=…, fields=…, …) for … in …)
    found = compare_copy(hub, "renshe-moves", FileCursor(Path("cursor")).load(), copy)
    found.repair(apply)  # the same function that applies the feed's changes

The copy is read once; digests travel, not records; for millions of them give the HubClient a longer timeout. Do not apply
changes between the cursor and the last record read; afterwards the feed may go on. Records that changed meanwhile are not
judged (``moved``): the feed tells of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from adapters.client import Broken, Change, HubClient
from adapters.copy_digest import Cells, Row, write_digest

ROWS_A_PART = 4_000
CELLS_A_PART = 15_000
_Answer = TypeVar("_Answer")


class HeldRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record as the copy has it: what the last change of the feed, or the snapshot, said of it (``after``)."""

    record_type: str
    record_id: str
    version: int
    fields: Mapping[str, Any]
    person_id: str | None = None
    disputed: bool = False


class ToldRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record as the hub has it."""

    record_type: str
    record_id: str
    version: int
    source: str
    after: dict[str, Any]
    person_id: str | None = None
    disputed: bool = False


class DifferentRecord(msgspec.Struct, frozen=True):
    """The copy has it, but otherwise."""

    held_version: int
    record: ToldRecord


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    """Exactly what differs between copy and slice, as of ``seq``."""

    seq: int
    records: int  # of the slice
    missing: tuple[ToldRecord, ...]
    surplus: tuple[tuple[str, str], ...]  # record type, record id
    different: tuple[DifferentRecord, ...]
    moved: int
    sent_bytes: int
    received_bytes: int

    def __len__(self) -> int:
        return len(self.missing) + len(self.surplus) + len(self.different)

    def repair(self, apply: Callable[[Change], object]) -> int:
        """Hand every difference over as a change of the feed; applied twice it does no harm. How many there were.

        A record that differs may have the version the copy holds already: it replaces that all the same.
        """
        for change in self.changes():
            apply(change)
        return len(self)

    def changes(self) -> Iterator[Change]:
        """``enter`` what is missing, ``update`` what differs, let ``leave`` what is surplus; delivery number 0."""
        for told in self.missing:
            yield self._change("enter", told)
        for each in self.different:
            yield self._change("update", each.record)
        for record_type, record_id in self.surplus:
            yield Change(
                seq=self.seq,
                delivery_no=0,
                op="leave",
                record_type=record_type,
                record_id=record_id,
                version=0,
                source="",
            )

    def _change(self, op: Any, told: ToldRecord) -> Change:
        return Change(seq=self.seq, delivery_no=0, op=op, **msgspec.structs.asdict(told))


def compare_copy(hub: HubClient, subscription: str, cursor: str | None, copy: Iterable[HeldRecord]) -> Differences:
    """Compare the whole copy, which stands at ``cursor``. HubProblem ``copy-too-different``: take a snapshot."""
    asking = _Asking(hub, subscription)
    begun = asking.ask("", {"cursor": cursor}, _Begun)
    asking.base = f"{asking.base}/{begun.check_id}"
    own = _read_copy(copy, begun.record_types)
    totals = {name: {"buckets": cells.buckets, "towns": cells.totals()} for name, cells in own.items()}
    towns = asking.ask("/totals", {"record_types": totals}, _Towns).record_types
    parts = [part for name in towns for part in _parts(asking, own[name], towns[name])]
    found = [asking.ask("/rows", {"part": number, **part}, _Found) for number, part in enumerate(parts, 1)]
    if towns:
        asking.ask("/end", {}, _Ended)
    return _differences(begun, asking, list(zip(parts, found, strict=True)))


def read_ndjson(file: Path) -> Iterator[HeldRecord]:
    """A copy in a file of JSON lines: those of a snapshot, or a record each with ``after`` or ``fields``."""
    with file.open("rb") as lines:
        for line in lines:
            said = msgspec.json.decode(line, type=_Line)
            if said.snapshot is None:
                yield HeldRecord(
                    record_type=said.record_type, record_id=said.record_id, version=said.version,
                    person_id=said.person_id, disputed=said.disputed, fields=said.after or said.fields or {},
                )  # fmt: skip


def closing_cursor(file: Path) -> str | None:
    """The cursor a snapshot's last line gives; None if the file has no such line."""
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - 4_096))
        last = opened.read().rstrip(b"\n").rpartition(b"\n")[2]
    closing = msgspec.json.decode(last, type=_Line).snapshot if last else None
    return str(closing["next"]) if closing else None


# ---- beneath ----


class _Layout(msgspec.Struct):
    record_type: str
    fields: list[str]
    town_field: str
    buckets: int


class _Begun(msgspec.Struct):
    check_id: str
    seq: int
    records: int
    record_types: list[_Layout]


class _Towns(msgspec.Struct):
    record_types: dict[str, list[str]]


class _Buckets(msgspec.Struct):
    towns: dict[str, list[int]]


class _Found(msgspec.Struct):
    missing: list[ToldRecord]
    surplus: list[str]
    different: list[DifferentRecord]
    moved: int


class _Ended(msgspec.Struct):
    missing: int
    surplus: int
    different: int


class _Line(msgspec.Struct):
    record_type: str = ""
    record_id: str = ""
    version: int = 0
    person_id: str | None = None
    disputed: bool = False
    after: dict[str, Any] | None = None
    fields: dict[str, Any] | None = None
    snapshot: dict[str, Any] | None = None


class _Asking:
    """One comparison's way to the hub; it counts what travels."""

    def __init__(self, hub: HubClient, subscription: str) -> None:
        self.hub, self.base = hub, f"/v1/subscriptions/{quote(subscription, safe='')}/copy-checks"
        self.sent_bytes = self.received_bytes = 0

    def ask(self, path: str, said: Mapping[str, Any], answer: type[_Answer]) -> _Answer:
        body = msgspec.json.encode(said)
        told = self.hub.post(self.base + path, body)
        self.sent_bytes, self.received_bytes = self.sent_bytes + len(body), self.received_bytes + len(told)
        return msgspec.json.decode(told, type=answer)


def _read_copy(copy: Iterable[HeldRecord], layouts: Iterable[_Layout]) -> dict[str, Cells]:
    """The copy in cells; Broken if it holds a record type that is not of this subscription."""
    own = {one.record_type: Cells(one.record_type, one.buckets, one.town_field) for one in layouts}
    for one in copy:
        if one.record_type not in own:
            raise Broken(one.record_type)
        own[one.record_type].add(one.record_id, one.version, one.person_id, one.disputed, one.fields)
    return own


def _parts(asking: _Asking, cells: Cells, towns: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The rows of every cell that differs, some thousand a part. A bucket is never cut: its towns are told together."""
    differing: dict[int, list[str]] = {}
    for some in _town_parts(cells, towns):
        said = {"record_type": cells.record_type, "buckets": cells.buckets, "towns": some}
        for town, buckets in asking.ask("/cells", said, _Buckets).towns.items():
            for bucket in buckets:
                differing.setdefault(bucket, []).append(town)
    yield from _row_parts(cells, differing)


def _town_parts(cells: Cells, towns: Iterable[str]) -> Iterator[dict[str, dict[int, str]]]:
    some: dict[str, dict[int, str]] = {}
    for town in towns:
        its = cells.cells_of(town)
        if some and sum(map(len, some.values())) + len(its) > CELLS_A_PART:
            yield some
            some = {}
        some[town] = its
    if some:
        yield some


def _row_parts(cells: Cells, differing: Mapping[int, list[str]]) -> Iterator[dict[str, Any]]:
    part: dict[int, list[str]] = {}
    rows: list[Row] = []
    for bucket, towns in sorted(differing.items()):
        its = [row for town in towns for row in cells.rows_of(town, bucket)]
        if part and len(rows) + len(its) > ROWS_A_PART:
            yield _row_part(cells, part, rows)
            part, rows = {}, []
        part[bucket] = towns
        rows = rows + its
    if part:
        yield _row_part(cells, part, rows)


def _row_part(cells: Cells, part: Mapping[int, list[str]], rows: Iterable[Row]) -> dict[str, Any]:
    told = [(record_id, version, write_digest(digest)) for record_id, version, digest in rows]
    return {"record_type": cells.record_type, "buckets": cells.buckets, "cells": part, "rows": told}


def _differences(begun: _Begun, asking: _Asking, told: list[tuple[dict[str, Any], _Found]]) -> Differences:
    return Differences(
        seq=begun.seq,
        records=begun.records,
        missing=tuple(one for _, found in told for one in found.missing),
        surplus=tuple((part["record_type"], one) for part, found in told for one in found.surplus),
        different=tuple(one for _, found in told for one in found.different),
        moved=sum(found.moved for _, found in told),
        sent_bytes=asking.sent_bytes,
        received_bytes=asking.received_bytes,
    )
