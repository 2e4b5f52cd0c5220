"""The hub's side of a comparison of copies: the slice as it stood where the receiver stands, in towns, cells and rows.

PostgreSQL digests it where it lies. Of a care slice with clinical fields every record is opened and digested here: the
sealed blob is another one each time it is sealed, and a version says nothing of what a receiver made of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from adapters.copy_digest import Cells, bucket_of, row_digest, town_of, write_digest
from hub.database import district_of, run_sql
from hub.exchange.slices import FeedContext, clinical_fields, open_sealed
from hub.registry.slice_conditions import Values
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.sharing import copy_check_sql as sql
from mappings.catalogue import RecordType

ROWS_A_CELL = 64
MOST_BUCKETS = 16_384

Cell = tuple[str, int]  # town, bucket


class ToldRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record as an ``enter`` of the feed tells it."""

    record_type: str
    record_id: UUID
    person_id: UUID | None
    version: int
    source: str
    disputed: bool
    after: dict[str, Any]


class DigestedRecord(msgspec.Struct, frozen=True):
    """A record beside its digest; ``within`` one of the cells that were asked for, or only named."""

    digest: str
    within: bool
    told: ToldRecord


class HubSide(msgspec.Struct, frozen=True, kw_only=True):
    """One record type of the slice at ``seq``, in so many buckets."""

    connection: Connection
    context: FeedContext
    definition: SliceDefinition
    one: SliceType
    seq: int
    buckets: int = 1

    @property
    def record_type(self) -> RecordType:
        return self.context.catalogue.record_types[self.one.record_type]

    @property
    def town_field(self) -> str:
        return town_field_of(self.one, self.record_type)

    def count_towns(self) -> dict[str, int]:
        """How many records each town has."""
        counted = self._run(sql.town_counts(self.one, self.definition, self.record_type, self.town_field))
        return {cast(str, town): cast(int, count) for town, count in counted}

    def totals(self) -> dict[str, tuple[int, str]]:
        """Count and digest of every town."""
        if self._sealed:
            return self._opened_cells().totals()
        statement = sql.town_digests(self.one, self.definition, self.record_type, self.town_field)
        found = self._run(statement, buckets=self.buckets)
        return {str(town): (int(str(count)), write_digest(cast(bytes, digest))) for town, count, digest in found}

    def cells_of(self, towns: Collection[str]) -> dict[str, dict[int, str]]:
        """The digests of these towns' cells."""
        if self._sealed:
            opened = self._opened_cells()
            return {town: opened.cells_of(town) for town in towns}
        statement = sql.cell_digests(self.one, self.definition, self.record_type, self.town_field)
        cells: dict[str, dict[int, str]] = {town: {} for town in towns}
        for town, bucket, digest in self._run(statement, buckets=self.buckets, towns=list(towns)):
            cells[str(town)][cast(int, bucket)] = write_digest(cast(bytes, digest))
        return cells

    def records_in(self, cells: Collection[Cell], named: Collection[UUID]) -> dict[UUID, DigestedRecord]:
        """The records of these cells, and those named wherever in the slice they lie."""
        found = self._opened_records(cells, named) if self._sealed else self._digested_records(cells, named)
        return {one.told.record_id: one for one in found}

    def changed_later(self, named: Collection[UUID]) -> set[UUID]:
        """Which of them changed behind ``seq``: they are not judged, the feed tells of them."""
        found = self._run(sql.changed_later(self.record_type), named=list(named)) if named else []
        return {cast(UUID, record_id) for (record_id,) in found}

    def _run(self, statement: tuple[str, Values], **bound: object) -> list[tuple[object, ...]]:
        written, values = statement
        return run_sql(self.connection, written, **values, seq=self.seq, **bound)

    def _digested_records(self, cells: Collection[Cell], named: Collection[UUID]) -> Iterator[DigestedRecord]:
        statement = sql.cell_records(self.one, self.definition, self.record_type, self.town_field)
        towns, buckets = [town for town, _ in cells], [bucket for _, bucket in cells]
        bound = {"buckets": self.buckets, "cell_towns": towns, "cell_buckets": buckets, "named": list(named)}
        for digest, within, *told in self._run(statement, **bound):
            yield DigestedRecord(write_digest(cast(bytes, digest)), bool(within), self._told(told))

    # ---- sealed fields ----

    @property
    def _sealed(self) -> list[str]:
        return clinical_fields(self.definition, self.context.catalogue).get(self.one.record_type, [])

    def _opened_cells(self) -> Cells:
        cells = Cells(self.one.record_type, self.buckets, self.town_field)
        for told in self._opened():
            person = str(told.person_id) if told.person_id else None
            cells.add(str(told.record_id), told.version, person, told.disputed, told.after)
        return cells

    def _opened_records(self, cells: Collection[Cell], named: Collection[UUID]) -> Iterator[DigestedRecord]:
        wanted, also = frozenset(cells), frozenset(named)
        for told in self._opened():
            record_id, person = str(told.record_id), str(told.person_id) if told.person_id else None
            within = (town_of(told.after, self.town_field), bucket_of(record_id, self.buckets)) in wanted
            if within or told.record_id in also:
                digest = row_digest(told.record_type, record_id, person, told.disputed, told.after)
                yield DigestedRecord(write_digest(digest), within, told)

    def _opened(self) -> Iterator[ToldRecord]:
        """Every record, opened, a few thousand at a time."""
        statement, values = sql.all_records(self.one, self.definition, self.record_type)
        prose = text(statement.replace("{d}", district_of(self.connection)))
        rows = self.connection.execute(
            prose.execution_options(stream_results=True, max_row_buffer=5_000), values | {"seq": self.seq}
        )
        for row in rows:
            told = self._told(list(row))
            open_sealed(told.after, self._sealed, self.context.keyring)
            yield told

    def _told(self, row: list[Any]) -> ToldRecord:
        record_id, person_id, version, source, disputed, after = row
        return ToldRecord(
            record_type=self.one.record_type, record_id=record_id, person_id=person_id, version=version, source=source,
            disputed=disputed, after=after,
        )  # fmt: skip


def town_field_of(one: SliceType, record_type: RecordType) -> str:
    """The responsible division, if it is subscribed as it is; "" else."""
    people, known = record_type.people, record_type.by_name
    subscribed = [name for name in one.fields if name not in one.masked and not known[name].clinical]
    return next((name for name in people[0].area_fields if name in subscribed), "") if people else ""


def buckets_for(towns: dict[str, int]) -> int:
    """A power of two, so that the largest town has about 64 rows in each."""
    cells, buckets = max(towns.values(), default=0) / ROWS_A_CELL, 1
    while buckets < cells and buckets < MOST_BUCKETS:
        buckets *= 2
    return buckets
