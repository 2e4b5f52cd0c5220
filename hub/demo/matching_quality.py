"""How well does the hub recognise people? Rows whose truth is known go the real way; every mention is counted once."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from pathlib import Path
from typing import cast
from uuid import UUID

import msgspec
import polars as pl
from sqlalchemy import Connection

from hub.database import Database, new_uuid, new_uuids, run_sql
from hub.demo.areas import VALID_FROM, area_rows, make_district
from hub.demo.matching_truth import Row, Sent, make_truth
from hub.demo.names import PREFIX
from hub.embedded import Cluster
from hub.exchange.pipeline import apply_staged
from hub.exchange.staging import copy_staged
from hub.operations.provisioning import provision
from hub.operations.record_tables import staged_columns
from hub.people.attributes import derive
from hub.people.candidates import find_candidates
from hub.people.matching import match_with
from hub.people.mentions import Mention, find_unknown, towns_of
from hub.registry.areas import import_areas, load_area_index
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import load_settings
from mappings.catalogue import Catalogue, MatchingRules, RecordType


class Quality(msgspec.Struct, kw_only=True):
    """What became of every mention of a person."""

    mentions: int = 0
    linked: int = 0  # to somebody known, rightly
    wrong: int = 0  # to somebody else
    new: int = 0  # somebody who was not known
    missed: int = 0  # taken for somebody new although known
    held: int = 0  # waits for a person; the right one is among the candidates
    held_in_vain: int = 0  # waits, and the right one is not among them
    held_strangers: int = 0  # waits, and is nobody who was known
    unnamed: int = 0  # a row that says too little to mean anybody
    lost: int = 0  # neither in the register nor waiting
    recognised: int = 0  # of those linked: by a newborn's papers or a description, not by a number
    mistaken: int = 0  # the same of those linked wrongly
    fired: Counter[str] = msgspec.field(default_factory=Counter)  # block -> pairs worth a look it found

    @property
    def precision(self) -> float:
        """Of the automatic links, those that are right."""
        return self.linked / max(1, self.linked + self.wrong)

    @property
    def recall(self) -> float:
        """Of the mentions of people already known, those linked without anybody's help."""
        return self.linked / max(1, self.linked + self.missed + self.held + self.held_in_vain)

    @property
    def found(self) -> float:
        """Of the mentions of people already known, those linked, or held with the right one among the candidates."""
        return (self.linked + self.held) / max(1, self.linked + self.missed + self.held + self.held_in_vain)

    def figures(self) -> dict[str, object]:
        """Everything that was counted, and what follows from it."""
        counted: dict[str, object] = {name: getattr(self, name) for name in self.__struct_fields__ if name != "fired"}
        return counted | {"precision": self.precision, "recall": self.recall, "found": self.found}

    def inactive(self, catalogue: Catalogue) -> list[str]:
        """Blocks that found nothing worth a look: dead rules, or a case the generated district lacks."""
        return [block.code for block in catalogue.matching.blocks if not self.fired[block.code]]


class _Reckoning:
    """Who is who so far: which person of the register stands for whom in truth."""

    def __init__(self) -> None:
        self.quality = Quality()
        self._owner: dict[UUID, int] = {}
        self._known: set[int] = set()

    def count(self, truth: int, person: UUID | None, row: _Outcome, unknown: bool) -> None:
        quality = self.quality
        quality.mentions += 1
        if row.held:
            right = any(self._owner.get(one) == truth for one in row.candidates)
            quality.held += right
            quality.held_in_vain += not right and truth in self._known
            quality.held_strangers += not right and truth not in self._known
        elif row.lost:
            quality.lost += 1
        elif person is None:
            quality.unnamed += 1
        elif person in self._owner:
            right = self._owner[person] == truth
            quality.linked += right
            quality.wrong += not right
            quality.recognised += right and unknown
            quality.mistaken += not right and unknown
        else:
            quality.missed += truth in self._known
            quality.new += truth not in self._known
            self._owner[person] = truth
            self._known.add(truth)


class _Outcome(msgspec.Struct, frozen=True, kw_only=True):
    held: bool
    lost: bool
    people: dict[str, UUID | None]
    candidates: tuple[UUID, ...]


def measure_apart(home: Path, catalogue: Catalogue, seed: int, people: int) -> Quality:
    """The same in a database of its own, which nobody else sees and which goes with its folder."""
    cluster = Cluster(home, {"fsync": "off", "shared_buffers": "64MB"})  # nobody misses it
    cluster.start()
    try:
        settings = load_settings(home, fictitious_prefixes=(PREFIX,), demo=True)
        provision(cluster.urls().owner, settings, catalogue)
        database = Database(cluster.urls().worker, settings.district)
        quality = measure(database, catalogue, seed, people)
        database.close()
        return quality
    finally:
        cluster.stop()
        shutil.rmtree(cluster.base, ignore_errors=True)  # as root it lies outside the folder


def measure(database: Database, catalogue: Catalogue, seed: int, people: int) -> Quality:
    """Send everything about a generated district into an empty register, file by file."""
    with database.begin() as connection:
        import_areas(connection, SYSTEM_ACTOR, area_rows(make_district()), VALID_FROM)
        codes = load_area_index(connection).codes
    truth = make_truth(seed, people, codes)
    reckoning = _Reckoning()
    for sent in truth.files:
        with database.begin() as connection:
            spoken_of = _land(connection, catalogue, sent, reckoning)
        with database.begin() as connection:
            derive(connection, catalogue, spoken_of)
    return reckoning.quality


def _land(connection: Connection, catalogue: Catalogue, sent: Sent, reckoning: _Reckoning) -> set[UUID]:
    """One file goes the line; whom it speaks of."""
    record_type = catalogue.record_types[sent.record_type]
    submission_id = stage_rows(connection, record_type, sent.rows)
    unknown = find_unknown(connection, submission_id, sent.source, record_type)
    reckoning.quality.fired += _fired(connection, unknown, catalogue.matching)
    nameless = {(one.row_no, one.role) for one in unknown}
    apply_staged(connection, submission_id, sent.source, record_type, catalogue, len(sent.rows))
    outcomes = _outcomes(connection, submission_id, record_type)
    for row_no, row in enumerate(sent.rows, 1):
        outcome = outcomes.get(row_no, _Outcome(held=False, lost=True, people={}, candidates=()))
        for role, truth in row.means.items():
            reckoning.count(truth, outcome.people.get(role), outcome, (row_no, role) in nameless)
    return {one for outcome in outcomes.values() for one in outcome.people.values() if one and not outcome.held}


def stage_rows(connection: Connection, record_type: RecordType, rows: list[Row]) -> UUID:
    """Typed rows as the check stage leaves them; the submission they belong to."""
    submission_id = new_uuid()
    names = staged_columns(record_type)
    frame = pl.DataFrame(
        {name: [_cell(record_type, name, no, row.values) for no, row in enumerate(rows, 1)] for name in names},
        schema=dict.fromkeys(names, pl.String),
    )
    copy_staged(connection, submission_id, record_type.code, frame)
    return submission_id


def _cell(record_type: RecordType, name: str, row_no: int, values: dict[str, object]) -> str | None:
    made = {"row_no": str(row_no), "sheet_row": str(row_no + 1), "held": "false", "change_kind": "new"}
    if name in made:
        return made[name]
    if name == "content_digest":
        content = "\x1f".join(f"{one.name}={values.get(one.name)}" for one in record_type.plain_fields)
        return "\\x" + hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
    if name == "new_record" or name.endswith("_new"):
        return new_uuids(1)[0]
    value = values.get(name)
    return None if value is None else str(value)


def _fired(connection: Connection, unknown: list[Mention], rules: MatchingRules) -> Counter[str]:
    """Which blocks bring somebody worth a look together with a row no number finds."""
    fired, sides = Counter[str](), [one.side for one in unknown]
    for near in find_candidates(connection, sides, rules, towns_of(connection)):
        if match_with(sides[near.of], near.person_id, near.side, rules).score >= rules.hold:
            fired.update(near.blocks)
    return fired


def _outcomes(connection: Connection, submission_id: UUID, record_type: RecordType) -> dict[int, _Outcome]:
    """What became of each row: its record's people, or whom a held row may mean."""
    roles = [role.role for role in record_type.people]
    rows = run_sql(
        connection,
        """
        SELECT d.row_no, d.outcome = 'hold', d.people,
               array(SELECT c.person_id FROM {d}.held_candidate c
                     WHERE c.submission_id = d.submission_id AND c.row_no = d.row_no)
        FROM {d}.difference d WHERE d.submission_id = :submission AND d.row_no > 0
        """,
        submission=submission_id,
    )
    return {
        cast(int, row_no): _Outcome(
            held=bool(held),
            lost=False,
            people=dict(zip(roles, cast(list[UUID | None], people), strict=True)),
            candidates=tuple(cast(list[UUID], candidates)),
        )
        for row_no, held, people, candidates in rows
    }
