"""Who in the register is worth comparing with whom? Found by the blocks of matching.toml, through the profiles' indexes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.people.matching import Side, side
from hub.people.name_keys import name_key
from mappings.catalogue import MatchingBlock, MatchingRules

_CHUNK = 5_000  # descriptions a statement
INDEXED = ("birth_date", "name_key")  # each answers its blocks in one look at its index

# How a profile (p) says what a block asks for; the other side has it as a column.
PROFILE_KEYS = {
    "name_key": "p.name_key",
    "birth_date": "p.birth_date",
    "number_head": "left(p.id_no, 14)",
    "number_tail": "substr(p.id_no, 15, 3)",
    "home_area": "p.home_area",
    "household_no": "(p.attributes->'household_no'->>0)",
    "mother": "(p.attributes->'mother_id'->>0)",
    "phone": "(p.attributes->'phone'->>0)",
}
PROFILE_SIDE = (
    "p.name, p.sex, p.birth_date, p.id_no, p.attributes->'mother_id'->>0, p.attributes->'household_no'->>0,"
    " p.home_area, p.attributes->'phone'->>0"
)
_COLUMN_TYPES = {"birth_date": "date", "home_area": "integer"}


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody in the register who agrees with a description in at least one block."""

    of: int  # place of the description in the list that was asked about
    person_id: UUID
    side: Side
    blocks: tuple[str, ...]


def find_candidates(
    connection: Connection, asked: Sequence[Side], rules: MatchingRules, towns: dict[object, int]
) -> Iterator[Candidate]:
    """Everybody whom a block brings together with one of the descriptions; each once a group of blocks."""
    for start in range(0, len(asked), _CHUNK):
        part = asked[start : start + _CHUNK]
        columns = _columns(part)
        for indexed in INDEXED:
            blocks = blocks_by(rules, indexed)
            for of, person_id, fired, *profile in run_sql(connection, _lookup(blocks, indexed), **columns):
                yield Candidate(
                    of=start + cast(int, of),
                    person_id=cast(UUID, person_id),
                    side=profile_side(profile, towns),
                    blocks=tuple(cast(list[str], fired)),
                )


def blocks_by(rules: MatchingRules, indexed: str) -> list[MatchingBlock]:
    """The blocks looked up by this index: by the date where they have one, else by the name."""
    return [one for one in rules.blocks if indexed == next(key for key in INDEXED if key in one.keys)]


def agreement(block: MatchingBlock, mine: str = "m") -> str:
    return " AND ".join(f"{PROFILE_KEYS[key]} = {mine}.{key}" for key in block.keys)


def fired_blocks(blocks: list[MatchingBlock], mine: str = "m") -> str:
    cases = [f"CASE WHEN {agreement(block, mine)} THEN '{block.code}' END" for block in blocks]
    return f"array_remove(ARRAY[{', '.join(cases)}]::text[], NULL)"


def profile_side(row: Sequence[object], towns: dict[object, int]) -> Side:
    """PROFILE_SIDE as it comes from the database."""
    name, sex, born, number, mother, household, area, phone = row
    return side(
        name=name, sex=sex, born=born, number=number, mother=UUID(str(mother)) if mother else None,
        household=household, area=area, town=towns.get(area), phone=phone,
    )  # fmt: skip


def _lookup(blocks: list[MatchingBlock], indexed: str) -> str:
    if not blocks:
        return "SELECT 1 WHERE false"
    columns = ", ".join(f"CAST(:{key} AS {_COLUMN_TYPES.get(key, 'text')}[])" for key in PROFILE_KEYS)
    together = " OR ".join(f"({agreement(block)})" for block in blocks)
    return f"""
        SELECT m.of, p.person_id, {fired_blocks(blocks)}, {PROFILE_SIDE}
        FROM unnest(CAST(:places AS integer[]), {columns}) m(of, {", ".join(PROFILE_KEYS)})
        JOIN {{d}}.person_profile p ON p.{indexed} = m.{indexed} AND ({together})
        JOIN {{d}}.person q ON q.person_id = p.person_id AND q.merged_into IS NULL AND q.erased_at IS NULL"""


def _columns(part: Sequence[Side]) -> dict[str, list[object]]:
    return {
        "places": list(range(len(part))),
        "name_key": [name_key(one.name) or None for one in part],
        "birth_date": [one.born for one in part],
        "number_head": [one.number[:14] or None for one in part],
        "number_tail": [one.number[14:17] or None for one in part],
        "home_area": [one.area for one in part],
        "household_no": [one.household or None for one in part],
        "mother": [str(one.mother) if one.mother else None for one in part],
        "phone": [one.phone or None for one in part],
    }
