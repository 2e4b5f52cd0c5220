"""What is known of a person: derived from all records that stand, by the declared precedence, kept as a profile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import groupby
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql, utc_now
from hub.people.attribute_sql import profiles_sql, statements_sql
from hub.people.name_keys import NAME_KEY_VALUES
from mappings.catalogue import Attribute, Catalogue

COLUMNS = (
    "name", "name_key", "sex", "birth_date", "id_no", "home_area", "died_on", "attributes", "disagreeing",
)  # fmt: skip
_AT_ONCE = 5_000


class OtherValue(msgspec.Struct, frozen=True, kw_only=True):
    """What another organisation's standing record says."""

    value: str
    source: str
    record_type: str
    record_id: UUID
    since: date | None


class KnownAttribute(OtherValue, frozen=True, kw_only=True):
    """One attribute, where it comes from, and who says otherwise."""

    name: str
    title: str
    title_en: str
    disagreeing: tuple[OtherValue, ...] = ()


def derive(connection: Connection, catalogue: Catalogue, person_ids: Iterable[UUID]) -> int:
    """Derive these persons' profiles anew; how many of them have one now.

    Who was merged away, erased, or is named by no record any more loses the profile. Whoever derives holds the
    reader's row to the end of the transaction, so that nobody writes from an older view of the records.
    """
    hold_profiles(connection)
    return sum(_derive_batch(connection, catalogue, some) for some in batched(sorted(set(person_ids))))


def batched(persons: list[UUID]) -> Iterator[list[UUID]]:
    """So many that one statement's work stays in memory."""
    for first in range(0, len(persons), _AT_ONCE):
        yield persons[first : first + _AT_ONCE]


def hold_profiles(connection: Connection) -> None:
    """One writer of profiles at a time; the row stands from the first time on."""
    run_sql(
        connection,
        "INSERT INTO {d}.feed_reader (name, epoch, position, updated_at)"
        " SELECT 'profile', epoch, 0, :now FROM {d}.feed_head ON CONFLICT (name) DO NOTHING",
        now=utc_now(),
    )
    run_sql(connection, "SELECT 1 FROM {d}.feed_reader WHERE name = 'profile' FOR UPDATE")


def _derive_batch(connection: Connection, catalogue: Catalogue, persons: list[UUID]) -> int:
    """One statement; a profile that comes out the same is not written again."""
    columns = ", ".join(COLUMNS)
    rows = run_sql(
        connection,
        f"""
        WITH {profiles_sql(catalogue)}, gone AS (
            DELETE FROM {{d}}.person_profile
            WHERE person_id = ANY(CAST(:persons AS uuid[])) AND person_id NOT IN (SELECT person_id FROM derived)
        ), kept AS (
            INSERT INTO {{d}}.person_profile AS p (person_id, {columns}, derived_at)
            SELECT person_id, {columns}, :now FROM derived
            ON CONFLICT (person_id) DO UPDATE
            SET {", ".join(f"{column} = excluded.{column}" for column in COLUMNS)}, derived_at = excluded.derived_at
            WHERE {_differs("p", "excluded")}
        )
        SELECT count(*) FROM derived
        """,
        persons=persons,
        now=utc_now(),
        **NAME_KEY_VALUES,
    )
    return cast(int, rows[0][0])


def _differs(one: str, other: str) -> str:
    return (
        f"({', '.join(f'{one}.{column}' for column in COLUMNS)})"
        f" IS DISTINCT FROM ({', '.join(f'{other}.{column}' for column in COLUMNS)})"
    )


def attributes_of(connection: Connection, catalogue: Catalogue, person_id: UUID) -> list[KnownAttribute]:
    """All that is known of one person as far as this connection sees records, with where each value comes from."""
    rows = run_sql(
        connection,
        f"""
        WITH {statements_sql(catalogue)}
        SELECT attribute, value, source, record_type, record_id, since FROM placed WHERE place = 1 OR disagrees
        ORDER BY attribute, place
        """,
        persons=[person_id],
        **NAME_KEY_VALUES,
    )
    told = {cast(str, name): list(said) for name, said in groupby(rows, key=lambda row: row[0])}
    return [_known(attribute, told[name]) for name, attribute in catalogue.attributes.items() if name in told]


def _known(attribute: Attribute, said: list[tuple[Any, ...]]) -> KnownAttribute:
    best, *others = (
        dict(zip(("value", "source", "record_type", "record_id", "since"), row[1:], strict=True)) for row in said
    )
    return KnownAttribute(
        name=attribute.name,
        title=attribute.title,
        title_en=attribute.title_en,
        disagreeing=tuple(OtherValue(**each) for each in others),
        **best,
    )
