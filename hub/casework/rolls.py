"""A town's roll against the register: who is missing on either side, who is told differently, who is on it twice.

First every row is matched by number and compared, cell for cell, with what the town's last roll says of that person, so
that of a million rows only the few that changed, or of whom sources disagree, are compared field by field.
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
LAST = "last_"  # before the name of a field: what the town's last roll says in it
_NUMBERS = {"person_id": pl.String, "number": pl.String}


@dataclass(frozen=True, kw_only=True)
class Register:
    """``living``: everybody whose home is here, one row a number; ``gone`` who left or died. ``replaced``: old numbers.

    ``last_<field>`` is what the town's roll said last, ``doubtful``: sources say different things of them.
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
    doubtful = _doubtful(connection, catalogue, areas)
    many = _are_many(connection, areas)
    _plan_as(connection, many=many)
    living = _living(connection, catalogue, areas, organisation)
    replaced = copied_out(connection, _REPLACED_SQL, {"id_no": pl.String, "now": pl.String}, areas=areas)
    _plan_as(connection, many=False)
    numbered = numbers_now(_with_numbers(connection, living), replaced)
    return Register(living=numbered.with_columns(gone=_is_among(gone), doubtful=_is_among(doubtful)), replaced=replaced)


def _living(connection: Connection, catalogue: Catalogue, areas: list[int], organisation: str) -> pl.DataFrame:
    fields = [field.name for field in catalogue.record_types[ROLL].plain_fields]
    schema: dict[str, type[pl.DataType]] = {"person_id": pl.String, "home": pl.Int32}
    schema |= {f"{LAST}{name}": pl.String for name in fields}
    query = _LIVING_SQL.replace("{fields}", ", ".join(f"l.{name}" for name in fields))
    return copied_out(connection, query, schema, areas=areas, town=organisation)


def _with_numbers(connection: Connection, living: pl.DataFrame) -> pl.DataFrame:
    """The number on the last roll; of who was not on it, whatever numbers there are."""
    living = living.with_columns(id_no=pl.col(f"{LAST}id_no"))
    unnamed = living.filter(pl.col("id_no").is_null())["person_id"].to_list()
    if not unnamed:
        return living
    numbers = copied_out(connection, _NUMBERS_SQL, _NUMBERS, persons=unnamed)
    return (
        living.join(numbers, on="person_id", how="left")
        .with_columns(id_no=pl.coalesce("id_no", "number"))
        .drop("number")
    )


def _doubtful(connection: Connection, catalogue: Catalogue, areas: list[int]) -> pl.Series:
    doubted = list(attributes_of(catalogue).values())
    return copied_out(connection, _DOUBTFUL_SQL, {"person_id": pl.String}, areas=areas, doubted=doubted)["person_id"]


def _is_among(persons: pl.Series) -> pl.Expr:
    return pl.col("person_id").is_in(persons.implode()) if len(persons) else pl.lit(False)


_HERE = "{d}.person p JOIN {d}.area_place a ON a.area_id = p.home_area AND a.leaf_id = ANY (%(areas)s::integer[])"
# The people apart, so that they, and not the roll, which is wide, are the side that is hashed.
_LIVING_SQL = f"""
WITH here AS MATERIALIZED (
    SELECT p.person_id, a.leaf_id FROM {_HERE} WHERE p.merged_into IS NULL AND p.erased_at IS NULL
)
SELECT here.person_id, here.leaf_id, {{fields}} FROM here
  LEFT JOIN {{d}}.rec_{ROLL} l ON l.person_ref = here.person_id AND l.source = %(town)s AND NOT l.voided
"""
_DOUBTFUL_SQL = f"""
SELECT p.person_id FROM {_HERE}
  JOIN {{d}}.person_profile f ON f.person_id = p.person_id AND f.disagreeing <> '{{}}' AND f.disagreeing && %(doubted)s::text[]
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
        "SELECT count(*) FROM (SELECT 1 FROM {d}.person p JOIN {d}.area_place a ON a.area_id = p.home_area"
        f" WHERE a.leaf_id = ANY (:areas) LIMIT {_MANY + 1}) counted"
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
    if not body.tell():
        return pl.DataFrame(schema=schema)
    return pl.read_csv(body.getvalue(), has_header=False, schema=schema).rechunk()


def attributes_of(catalogue: Catalogue) -> dict[str, str]:
    """Field of the roll -> the attribute of a person it speaks of."""
    return {
        source.field: attribute.name
        for attribute in catalogue.attributes.values()
        for source in attribute.sources
        if source.record_type == ROLL and source.field and source.field not in NOT_COMPARED
    }


# ---- the comparison: frames in, frames out ----


def match(
    roll: pl.DataFrame, register: Register, within: Iterable[int], unreadable: pl.Series, standing: pl.Series
) -> Matched:
    """``roll``: row, sheet_row, area and the fields. ``within``: areas whose people should be on the roll.

    ``unreadable``: numbers on rows that cannot be read: those people are on the roll, whatever else it says of them.
    ``standing``: places in ``living`` of whom the roll says what stands; no row of ``roll`` has their number.
    """
    said = [name.removeprefix(LAST) for name in register.living.columns if name.startswith(LAST)]
    named = numbers_now(roll.select("row", "area", *said, number="id_no").rename(_SWAPPED), register.replaced)
    is_first = pl.col("id_no").is_first_distinct()
    first, again = named.filter(is_first), named.filter(~is_first)
    others = _but(register.living, standing)
    found = first.join(others, on="id_no", how="left")
    here = pl.col("person_id").is_not_null() & ~pl.col("gone").fill_null(True)
    unsure = found.filter(here & _may_differ(said))
    missing_here = found.filter(~here)
    missing_there = _not_on_the_roll(others, found, list(within), unreadable)
    return Matched(
        same=len(standing) + first.height - missing_here.height - unsure.height,
        missing_here=_whole(roll, missing_here),
        missing_there=_but_named_otherwise(missing_there, register.living, standing),
        unsure=_whole(roll, unsure),
        duplicated=_whole(roll, again),
    )


_SWAPPED = {"id_no": "said_id_no", "number": "id_no"}  # as it was said, and to be read as the right one


def _but(living: pl.DataFrame, standing: pl.Series) -> pl.DataFrame:
    if not len(standing):
        return living
    left = pl.Series([True]).new_from_index(0, living.height).scatter(standing, False)
    return living.filter(left)


def _but_named_otherwise(missing: pl.DataFrame, living: pl.DataFrame, standing: pl.Series) -> pl.DataFrame:
    """Who stands on the roll by another number is on it."""
    if not missing.height or not len(standing):
        return missing
    on_it = living["person_id"].gather(standing)
    named = on_it.filter(on_it.is_in(missing["person_id"].implode()))
    return missing.filter(~pl.col("person_id").is_in(named.implode()))


def _may_differ(said: Sequence[str]) -> pl.Expr:
    """Anything but: word for word as on the last roll, of the same village, and nobody says otherwise."""
    moved = pl.col("area").is_not_null() & (pl.col("area") != pl.col("home"))
    told = ("said_id_no" if name == "id_no" else name for name in said)
    differs = [pl.col(one).ne_missing(pl.col(f"{LAST}{name}")) for one, name in zip(told, said, strict=True)]
    return pl.any_horizontal(*differs, "doubtful") | moved


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
    of_register = [name for name in ("person_id", "home", "gone") if name in chosen.columns]
    kept = chosen.select("row", *of_register, pl.col(f"^{LAST}.*$"), number="id_no")
    return kept.join(roll, on="row", how="left", maintain_order="left") if kept.height else kept.join(roll, on="row")


# ---- field by field ----


def read_believed(connection: Connection, catalogue: Catalogue, persons: Sequence[object]) -> dict[str, dict[str, str]]:
    """Person id -> field of the roll -> what the register believes; nothing of whom nobody has derived anything yet."""
    rows = run_sql(
        connection, "SELECT person_id, attributes::text FROM {d}.person_profile"
        " WHERE person_id = ANY (CAST(:persons AS uuid[]))", persons=list(persons),
    )  # fmt: skip
    decoded = msgspec.json.Decoder(dict[str, list[object]]).decode
    attributes = attributes_of(catalogue).items()
    return {
        str(person): {field: str(said[name][0]) for field, name in attributes if name in said}
        for person, said in ((person, decoded(str(told))) for person, told in rows)
    }


def sides(
    roll: Mapping[str, object],
    last: Mapping[str, object],
    believed: Mapping[str, str],
    fields: Iterable[tuple[str, str]],
) -> dict[str, list[str]]:
    """Field -> [roll, register, last roll], of every field that any of the three fills in.

    ``fields``: names as ``roll`` has them, and as ``last`` does. What nobody has derived yet is as the last roll says it.
    """
    found = {}
    for name, last_name in fields:
        said, before, register = roll.get(name) or "", last.get(last_name) or "", believed.get(name)
        if said or before or register is not None:
            found[name] = [said, before if register is None else register, before]
    return found  # type: ignore[return-value]  # every cell is text


def differing(
    three: Mapping[str, Sequence[str]], known: Mapping[str, str], attributes: Mapping[str, Attribute]
) -> list[str]:
    """Fields of which roll and register say different things; who says nothing contradicts nobody.

    ``known``: field -> attribute. The number and the village are judged by the match, not by how they are written.
    """
    return [
        name
        for name, said in three.items()
        if said[0] != said[1] and said[0] and said[1] and name in known
        and not _alike(said[0], said[1], attributes[known[name]])
    ]  # fmt: skip


def _alike(one: str, other: str, attribute: Attribute) -> bool:
    """As the register itself compares its sources: as much of it as counts, however it is written."""
    if attribute.compare_first:
        return one[: attribute.compare_first] == other[: attribute.compare_first]
    return attribute.type in ("text", "name") and name_key(one) == name_key(other)
