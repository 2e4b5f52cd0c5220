"""A town's roll against the register: who is missing on either side, who is told differently, who is on it twice.

First every row is matched by number and told apart by a digest of its whole content, so that of a million rows only
the few that changed, or of whom sources disagree, are compared field by field.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import polars as pl
from sqlalchemy import Connection

from hub.casework.standing import heard, told_sql
from hub.database import district_of, driver, run_sql
from hub.people.name_keys import name_key
from hub.registry.scope import Scope
from mappings.catalogue import Attribute, Catalogue

ROLL = "resident_roll"
PLACE = "live_div"  # compared as areas, not as text: a village keeps being itself when it is recoded
NOT_COMPARED = ("id_no", PLACE)
_LIVING = {"person_id": pl.String, "id_no": pl.String, "home": pl.Int32, "last": pl.String}
_NUMBERS = {"person_id": pl.String, "number": pl.String}


@dataclass(frozen=True, kw_only=True)
class Register:
    """``living``: everybody whose home is here, one row a number; ``gone`` who left or died. ``replaced``: old numbers.

    ``last`` is the digest of what the town's roll said last, ``doubtful``: sources say different things of them.
    """

    living: pl.DataFrame
    replaced: pl.DataFrame


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Rows of the roll, or of the register, by what the comparison found; ``unsure`` must be compared field by field."""

    same: int
    missing_here: pl.DataFrame  # of the roll; ``gone``: the register says that they left or died
    missing_there: pl.DataFrame  # of the register
    unsure: pl.DataFrame  # of the roll, with person_id and home
    duplicated: pl.DataFrame  # of the roll: every row of a number but the first


# ---- the register's side ----


def read_register(connection: Connection, catalogue: Catalogue, scope: Scope, organisation: str) -> Register:
    """Everybody whose home is in the scope's areas, by COPY; a person of another town is not in it.

    The last roll has the number that is right now, so that numbers are looked up for nobody but who was not on it.
    """
    areas = list(scope.own_areas)
    gone = pl.Series(_gone(connection, catalogue, areas), dtype=pl.String)
    many = _are_many(connection, areas)
    _plan_as(connection, many=many)
    doubted = list(attributes_of(catalogue).values())
    living = copied_out(connection, _LIVING_SQL, _LIVING, areas=areas, town=organisation)
    doubtful = copied_out(connection, _DOUBTFUL_SQL, {"person_id": pl.String}, areas=areas, doubted=doubted)
    _plan_as(connection, many=False)
    unnamed = living.filter(pl.col("id_no").is_null())["person_id"].to_list()
    numbers = (
        copied_out(connection, _NUMBERS_SQL, _NUMBERS, persons=unnamed) if unnamed else pl.DataFrame(schema=_NUMBERS)
    )
    replaced = copied_out(connection, _REPLACED_SQL, {"id_no": pl.String, "now": pl.String}, areas=areas)
    living = living.join(numbers, on="person_id", how="left") if unnamed else living.with_columns(number=pl.lit(None))
    return Register(
        living=numbers_now(living.with_columns(id_no=pl.coalesce("id_no", "number")), replaced)
        .with_columns(
            doubtful=pl.col("person_id").is_in(doubtful["person_id"].implode()),
            gone=pl.col("person_id").is_in(gone.implode()),
        )
        .drop("number"),
        replaced=replaced,
    )


_HERE = "{d}.person p JOIN {d}.area_place a ON a.area_id = p.home_area AND a.leaf_id = ANY (%(areas)s::integer[])"
_LIVING_SQL = f"""
SELECT p.person_id, l.id_no, a.leaf_id, l.content_digest FROM {_HERE}
  LEFT JOIN {{d}}.rec_{ROLL} l ON l.person_ref = p.person_id AND l.source = %(town)s AND NOT l.voided
 WHERE p.merged_into IS NULL AND p.erased_at IS NULL
"""
_DOUBTFUL_SQL = f"""
SELECT p.person_id FROM {_HERE}
  JOIN {{d}}.person_profile f ON f.person_id = p.person_id AND f.disagreeing && %(doubted)s::text[]
"""
_NUMBERS_SQL = """
SELECT i.person_id, i.value FROM {d}.person_identifier i
 WHERE i.person_id = ANY (%(persons)s::uuid[]) AND i.kind = 'id_no' AND i.replaced_by IS NULL
"""
_REPLACED_SQL = f"""
SELECT i.value, i.replaced_by FROM {_HERE}
  JOIN {{d}}.person_identifier i ON i.person_id = p.person_id AND i.kind = 'id_no' AND i.replaced_by IS NOT NULL
"""
_MEMORY = "'256MB'"
_MANY = 20_000  # people: for fewer every join is by index; row security hides from the planner how many there are


def _are_many(connection: Connection, areas: list[int]) -> bool:
    counted = (
        "SELECT count(*) FROM {d}.person p JOIN {d}.area_place a ON a.area_id = p.home_area"
        " WHERE a.leaf_id = ANY (:areas)"
    )
    return int(str(run_sql(connection, counted, areas=areas)[0][0])) > _MANY


def _plan_as(connection: Connection, *, many: bool) -> None:
    """Many: every table is read once and hashed, what row security asks of each row too."""
    for way in ("nestloop", "mergejoin", "indexscan", "indexonlyscan", "bitmapscan"):
        run_sql(connection, f"SET LOCAL enable_{way} TO {'off' if many else 'DEFAULT'}")
    run_sql(connection, f"SET LOCAL work_mem TO {_MEMORY if many else 'DEFAULT'}")


def _gone(connection: Connection, catalogue: Catalogue, areas: list[int]) -> list[str]:
    """Of those whose home is here, who by the records that stand has left or died. Only who has such a record can have."""
    here = "SELECT p.person_id FROM {d}.person p JOIN {d}.area_place a ON a.area_id = p.home_area WHERE a.leaf_id = ANY (:areas)"
    leaving = " UNION ".join(
        f"SELECT r.{rule.role}_ref FROM {{d}}.rec_{rule.record_type} r WHERE NOT r.voided"
        + (f" AND r.{rule.date} IS NOT NULL" if rule.date else "")
        for rule in heard(catalogue)
        if rule.does != "arrives"
    )
    told = told_sql(catalogue, "CURRENT_DATE", persons=f"({here}) INTERSECT ({leaving})")
    rows = run_sql(connection, f"SELECT person_id::text FROM ({told}) t WHERE does <> 'arrives'", areas=areas)
    return [str(person) for (person,) in rows]


def copied_out(
    connection: Connection, query: str, schema: Mapping[str, type[pl.DataType]], **bound: object
) -> pl.DataFrame:
    """A query's rows as a frame; ``%(name)s`` stands for what is bound."""
    district = district_of(connection)
    statement = f"COPY ({query.replace('{d}', district)}) TO STDOUT (FORMAT csv)"
    body = io.BytesIO()
    with driver(connection).cursor().copy(statement.encode(), bound) as copy:
        for block in copy:
            body.write(block)
    return pl.read_csv(body.getvalue(), has_header=False, schema=schema) if body.tell() else pl.DataFrame(schema=schema)


def attributes_of(catalogue: Catalogue) -> dict[str, str]:
    """Field of the roll -> the attribute of a person it speaks of."""
    return {
        source.field: attribute.name
        for attribute in catalogue.attributes.values()
        for source in attribute.sources
        if source.record_type == ROLL and source.field and source.field not in NOT_COMPARED
    }


# ---- the comparison: frames in, frames out ----


def match(roll: pl.DataFrame, register: Register, within: Iterable[int], unreadable: pl.Series) -> Matched:
    """``roll``: row, sheet_row, id_no, area, content_digest. ``within``: areas whose people should be on the roll.

    ``unreadable``: numbers on rows that cannot be read: those people are on the roll, whatever else it says of them.
    """
    named = numbers_now(roll.select("row", "id_no", "area", "content_digest"), register.replaced)
    is_first = pl.col("id_no").is_first_distinct()
    first, again = named.filter(is_first), named.filter(~is_first)
    found = first.join(register.living, on="id_no", how="left")
    here = pl.col("person_id").is_not_null() & ~pl.col("gone").fill_null(True)
    unsure = found.filter(here & _may_differ())
    missing_here = found.filter(~here)
    return Matched(
        same=first.height - missing_here.height - unsure.height,
        missing_here=_whole(roll, missing_here),
        missing_there=_not_on_the_roll(register.living, found, list(within), unreadable),
        unsure=_whole(roll, unsure),
        duplicated=_whole(roll, again),
    )


def _may_differ() -> pl.Expr:
    """Anything but: word for word as on the last roll, of the same village, and nobody says otherwise."""
    moved = pl.col("area").is_not_null() & (pl.col("area") != pl.col("home"))
    return pl.col("content_digest").ne_missing(pl.col("last")) | pl.col("doubtful") | moved


def numbers_now(rows: pl.DataFrame, replaced: pl.DataFrame) -> pl.DataFrame:
    """Numbers that were corrected since are read as the ones that are right."""
    if not replaced.height:
        return rows
    known = replaced.unique("id_no")
    return rows.with_columns(pl.col("id_no").replace(known["id_no"], known["now"]))


def _not_on_the_roll(
    living: pl.DataFrame, found: pl.DataFrame, within: list[int], unreadable: pl.Series
) -> pl.DataFrame:
    """One row a person. Who has no number at all is on no roll of numbers, and is not asked for."""
    asked = living.filter(~pl.col("gone") & pl.col("id_no").is_not_null() & pl.col("home").is_in(within))
    missing = asked.join(found.select("id_no"), on="id_no", how="anti").filter(
        ~pl.col("id_no").is_in(unreadable.implode())
    )
    by_another_number = found.filter(pl.col("person_id").is_in(missing["person_id"].implode()))["person_id"]
    return missing.filter(~pl.col("person_id").is_in(by_another_number.implode())).unique(
        "person_id", maintain_order=True
    )


def _whole(roll: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """The chosen rows with all their fields; the number is the one that is right now."""
    kept = chosen.drop("content_digest", "area", "last", "doubtful", strict=False).rename({"id_no": "number"})
    return kept.join(roll, on="row", how="left", maintain_order="left") if kept.height else kept.join(roll, on="row")


# ---- field by field ----


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Of one person, by the roll's fields: what the register believes, and what the town's last roll said."""

    register: Mapping[str, str]
    last: Mapping[str, str]


def read_told(
    connection: Connection, catalogue: Catalogue, scope: Scope, organisation: str, persons: Sequence[object]
) -> dict[str, Told]:
    """By person id, of one's own area alone. What nobody has derived yet is as the last roll says it."""
    fields = [field.name for field in catalogue.record_types[ROLL].plain_fields]
    rows = run_sql(
        connection, _TOLD_SQL.format(d="{d}", fields=", ".join(f"'{name}', l.{name}" for name in fields)),
        areas=list(scope.own_areas), town=organisation, persons=list(persons),
    )  # fmt: skip
    believed = msgspec.json.Decoder(dict[str, list[object]]).decode
    last = msgspec.json.Decoder(dict[str, str | None]).decode
    attributes = attributes_of(catalogue)
    return {str(person): _told(attributes, believed(str(said)), last(str(roll))) for person, said, roll in rows}


_TOLD_SQL = f"""
SELECT p.person_id, coalesce(f.attributes, '{{{{}}}}')::text, json_build_object({{fields}})::text
  FROM {{d}}.person p
  JOIN {{d}}.area_place a ON a.area_id = p.home_area AND a.leaf_id = ANY (:areas)
  LEFT JOIN {{d}}.rec_{ROLL} l ON l.person_ref = p.person_id AND l.source = :town AND NOT l.voided
  LEFT JOIN {{d}}.person_profile f ON f.person_id = p.person_id
 WHERE p.person_id = ANY (CAST(:persons AS uuid[]))
"""


def _told(attributes: Mapping[str, str], said: Mapping[str, list[object]], roll: Mapping[str, str | None]) -> Told:
    last = {name: value for name, value in roll.items() if value}
    register = {field: str(said[name][0]) for field, name in attributes.items() if name in said}
    return Told(register={**last, **register}, last=last)


def sides(row: Mapping[str, object], told: Told | None, fields: Iterable[str]) -> dict[str, list[str]]:
    """Field -> [roll, register, last roll], of every field that any of the three fills in."""
    register, last = (told.register, told.last) if told else ({}, {})
    found = {}
    for name in fields:
        roll = row.get(name)
        if roll or name in register or name in last:
            found[name] = [str(roll or ""), register.get(name, ""), last.get(name, "")]
    return found


def differing(
    three: Mapping[str, Sequence[str]], known: Mapping[str, str], attributes: Mapping[str, Attribute]
) -> list[str]:
    """Fields of which roll and register say different things; who says nothing contradicts nobody.

    ``known``: field -> attribute. The number and the village are judged by the match, not by how they are written.
    """
    return [
        name
        for name, (roll, register, *_) in three.items()
        if roll != register and roll and register and name in known
        and not _alike(roll, register, attributes[known[name]])
    ]  # fmt: skip


def _alike(one: str, other: str, attribute: Attribute) -> bool:
    """As the register itself compares its sources: as much of it as counts, however it is written."""
    if attribute.compare_first:
        return one[: attribute.compare_first] == other[: attribute.compare_first]
    return attribute.type in ("text", "name") and name_key(one) == name_key(other)
