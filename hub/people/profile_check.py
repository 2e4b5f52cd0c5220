"""Whether the stored profiles are what the records say now; nothing is written."""

from __future__ import annotations

from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import Database, run_sql
from hub.people.attribute_sql import profiles_sql
from hub.people.attributes import COLUMNS, batched
from hub.people.name_keys import NAME_KEY_VALUES
from hub.people.profiles import known_persons, persons_to_come
from mappings.catalogue import Catalogue


class ProfileDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One person whose stored profile is not the derived one: which columns and attributes, never their values."""

    person_id: UUID
    kind: str  # missing: derived, not stored; left over: stored, not derived; different
    names: tuple[str, ...] = ()


def check(database: Database, catalogue: Catalogue) -> list[ProfileDifference]:
    """Every difference, in one snapshot."""
    with database.read() as connection:
        return profile_differences(connection, catalogue)


def profile_differences(connection: Connection, catalogue: Catalogue) -> list[ProfileDifference]:
    """As this transaction sees it; whoever the profiles still have to read in the log is left out."""
    waiting = persons_to_come(connection, catalogue)
    persons = [one for one in known_persons(connection) if one not in waiting]
    return [one for some in batched(persons) for one in _differences(connection, catalogue, some)]


def _differences(connection: Connection, catalogue: Catalogue, persons: list[UUID]) -> list[ProfileDifference]:
    rows = run_sql(
        connection,
        f"""
        WITH {profiles_sql(catalogue)}
        SELECT coalesce(n.person_id, p.person_id), p.person_id IS NOT NULL, n.person_id IS NOT NULL,
               array_remove(ARRAY[{", ".join(map(_named_if_different, COLUMNS))}], NULL),
               ARRAY(SELECT name FROM jsonb_object_keys(coalesce(p.attributes, '{{}}') || coalesce(n.attributes, '{{}}'))
                         AS name WHERE p.attributes -> name IS DISTINCT FROM n.attributes -> name ORDER BY name)
        FROM derived n
        FULL JOIN (SELECT * FROM {{d}}.person_profile WHERE person_id = ANY(CAST(:persons AS uuid[]))) p USING (person_id)
        WHERE ({_listed("n")}) IS DISTINCT FROM ({_listed("p")})
        ORDER BY 1
        """,
        persons=persons,
        **NAME_KEY_VALUES,
    )
    return [_difference(*row) for row in rows]


def _named_if_different(column: str) -> str:
    return f"CASE WHEN p.{column} IS DISTINCT FROM n.{column} THEN '{column}' END"


def _listed(alias: str) -> str:
    return ", ".join(f"{alias}.{column}" for column in COLUMNS)


def _difference(
    person: object, stored: object, derived: object, columns: object, attributes: object
) -> ProfileDifference:
    kind = "different" if stored and derived else "left over" if stored else "missing"
    changed = dict.fromkeys([*cast(list[str], columns), *cast(list[str], attributes)])
    changed.pop("attributes", None)
    return ProfileDifference(
        person_id=cast(UUID, person), kind=kind, names=tuple(changed) if kind == "different" else ()
    )
