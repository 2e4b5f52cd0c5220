"""Which known child of its mother is this newborn? Certificate, registration and vaccination card, joined by records.

Twins share mother and day: name, sex and time tell them apart. Where that leaves more than one, a person says.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Literal, cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.people.matching import Answer, Match, Side, compare_name_texts, is_one_slip, match_with
from hub.people.mentions import Mention, birth_date_of, birth_time_of, mother_of
from mappings.catalogue import Catalogue, MatchingRules, RecordType, Role

Fit = Literal["sure", "by name", "perhaps", "no"]
_SAME_NAME = ("equal", "variant")


class Child(msgspec.Struct, kw_only=True):
    """What all records together say of one child of a mother."""

    person_id: UUID
    mother: UUID
    names: set[str] = msgspec.field(default_factory=set)
    sexes: set[str] = msgspec.field(default_factory=set)
    days: set[date] = msgspec.field(default_factory=set)
    times: set[datetime] = msgspec.field(default_factory=set)
    identifiers: dict[str, set[str]] = msgspec.field(default_factory=dict)  # kind -> values
    registers: set[tuple[str, str]] = msgspec.field(default_factory=set)  # record type and source that have it


def children_of(connection: Connection, mothers: set[UUID], catalogue: Catalogue) -> dict[UUID, list[Child]]:
    """The children these mothers have by the records in force."""
    known: dict[UUID, Child] = {}
    rows = run_sql(connection, " UNION ALL ".join(_birth_records(catalogue)), mothers=list(mothers))
    for mother, person_id, name, sex, day, time, record_type, source in rows:
        child = known.setdefault(
            cast(UUID, person_id), Child(person_id=cast(UUID, person_id), mother=cast(UUID, mother))
        )
        child.names |= {cast(str, name)} if name else set()
        child.sexes |= {cast(str, sex)} if sex else set()
        child.days |= {cast(date, day)} if day else set()
        child.times |= {cast(datetime, time)} if time else set()
        child.registers.add((cast(str, record_type), cast(str, source)))
    _learn_identifiers(connection, known)
    families: dict[UUID, list[Child]] = {}
    for child in known.values():
        families.setdefault(child.mother, []).append(child)
    return families


def _birth_records(catalogue: Catalogue) -> Iterator[str]:
    for kind, child in _with_mother(catalogue):
        known = {
            part: f"r.{child.prefix}{part}" if f"{child.prefix}{part}" in kind.by_name else "NULL::text"
            for part in ("name", "sex")
        }
        yield (
            f"SELECT r.mother_ref, r.{child.role}_ref, {known['name']}, {known['sex']},"
            f" {birth_date_of(kind, child, 'r')}, {birth_time_of(kind, child, 'r')},"
            f" '{kind.code}', r.source FROM {{d}}.rec_{kind.code} r"
            f" WHERE r.mother_ref = ANY(CAST(:mothers AS uuid[])) AND r.{child.role}_ref IS NOT NULL AND NOT r.voided"
        )


def _with_mother(catalogue: Catalogue) -> Iterator[tuple[RecordType, Role]]:
    """Record types that say who somebody's mother is, and the role of whom they say it."""
    for kind in catalogue.record_types.values():
        for role in kind.people if kind.enabled else ():
            if mother_of(kind, role) is not None and role.role != "mother":
                yield kind, role


def _learn_identifiers(connection: Connection, known: dict[UUID, Child]) -> None:
    found = run_sql(
        connection,
        "SELECT person_id, kind, value FROM {d}.person_identifier"
        " WHERE person_id = ANY(CAST(:persons AS uuid[])) AND kind <> 'row'",
        persons=list(known),
    )
    for person_id, kind, value in found:
        known[cast(UUID, person_id)].identifiers.setdefault(str(kind), set()).add(str(value))


def recognise(
    mention: Mention, family: list[Child], record_type: RecordType, source: str, rules: MatchingRules
) -> Answer:
    """The one child of this mother that fits; a name settles it, else nobody else may come into question."""
    fits = {child.person_id: fit(mention, child, record_type, source) for child in family}
    named = [child for child in family if fits[child.person_id] == "by name"]
    likely = named or [child for child in family if fits[child.person_id] in ("sure", "perhaps")]
    matches = tuple(match_with(mention.side, child.person_id, _side(child), rules) for child in likely)
    if not matches:
        return Answer(finding="new")
    alone = len(likely) == 1 and fits[likely[0].person_id] != "perhaps"
    return Answer(finding="same" if alone else "doubt", candidates=_best_first(matches))


def fit(mention: Mention, child: Child, record_type: RecordType, source: str) -> Fit:
    """Whether this row may speak of this child."""
    if mention.born not in child.days:
        return "no"
    name = _closest_name(mention.side.name, child.names)
    if mention.side.sex and child.sexes and mention.side.sex not in child.sexes:
        return "perhaps" if name in _SAME_NAME else "no"
    if "id_no" in mention.given and "id_no" in child.identifiers:
        slip = any(is_one_slip(mention.given["id_no"], number) for number in child.identifiers["id_no"])
        return "perhaps" if name in _SAME_NAME or (slip and name != "different") else "no"
    if name in _SAME_NAME:
        return "by name"
    if mention.born_at and child.times and mention.born_at not in child.times:
        return "no"
    return _fit_without_name(mention, child, name, (record_type.code, source) in child.registers)


def _fit_without_name(mention: Mention, child: Child, name: str, register_knows_it: bool) -> Fit:
    """A register numbers each child once; another number in it is another child. Twins' numbers are neighbours."""
    contradicted = any(kind in child.identifiers for kind in mention.given)
    if contradicted and (register_knows_it or name in ("different", "one_character")):
        return "no"
    if contradicted:
        certificate = mention.given.get("birth_cert", "")
        known = child.identifiers.get("birth_cert", set())
        return "perhaps" if any(is_one_slip(certificate, value) for value in known) else "no"
    return "sure" if name in ("", "sound") else "perhaps"


def _closest_name(name: str, known: set[str]) -> str:
    levels = {compare_name_texts(name, one) for one in known}
    return next((level for level in ("equal", "variant", "sound", "one_character", "different") if level in levels), "")


def _side(child: Child) -> Side:
    return Side(
        name=min(child.names, default=""),
        sex=min(child.sexes, default=""),
        born=min(child.days, default=None),
        number=min(child.identifiers.get("id_no", ()), default=""),
        mother=child.mother,
    )


def _best_first(matches: tuple[Match, ...]) -> tuple[Match, ...]:
    return tuple(sorted(matches, key=lambda one: (-one.score, one.person_id)))
