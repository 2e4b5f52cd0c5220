"""Who in the register may be there twice? The whole register against itself, by the blocks of matching.toml."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from hub.database import district_of, run_sql, utc_now
from hub.people.candidates import INDEXED, PROFILE_KEYS, PROFILE_SIDE, agreement, blocks_by, profile_side
from hub.people.matching import Side, Weighed, score_of, weigh
from hub.people.mentions import towns_of
from mappings.catalogue import Catalogue, MatchingBlock

_CHUNK = 5_000  # pairs held in memory


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two persons who may be one; ``first`` is the smaller id, ``town`` where both live, if they do."""

    first: UUID
    second: UUID
    score: float
    features: Weighed
    town: int | None


def find_pairs(connection: Connection, catalogue: Catalogue) -> int:
    """Compare everybody who agrees with somebody in a block; how many open pairs there are now.

    What was judged stays judged. An open pair that no longer looks like one is gone.
    """
    found = _search(connection, catalogue)
    standing = [pair for part in found for pair in _note_pairs(connection, part)]
    _let_go(connection, standing)
    return cast(int, run_sql(connection, "SELECT count(*) FROM {d}.person_pair WHERE state = 'open'")[0][0])


def _search(connection: Connection, catalogue: Catalogue) -> Iterator[list[Pair]]:
    """Pairs from ``hold`` on, a chunk at a time."""
    towns = towns_of(connection)
    for indexed in INDEXED:
        blocks = blocks_by(catalogue.matching, indexed)
        for rows in _streamed(connection, _self_join(blocks, indexed)) if blocks else ():
            yield [pair for row in rows if (pair := _weighed(row, catalogue, towns)) is not None]


def _streamed(connection: Connection, statement: str) -> Iterator[Sequence[Any]]:
    plain = text(statement.replace("{d}", district_of(connection)))
    yield from connection.execute(plain, execution_options={"stream_results": True}).partitions(_CHUNK)


def _self_join(blocks: list[MatchingBlock], indexed: str) -> str:
    keys = ", ".join(f"{expression.replace('p.', 'o.')} AS {key}" for key, expression in PROFILE_KEYS.items())
    together = " OR ".join(f"({agreement(block)})" for block in blocks)
    return f"""
        SELECT m.person_id, {PROFILE_SIDE.replace("p.", "m.")}, p.person_id, {PROFILE_SIDE}
        FROM (SELECT o.person_id, o.name, o.sex, o.id_no, o.attributes, {keys} FROM {{d}}.person_profile o) m
        JOIN {{d}}.person_profile p ON p.{indexed} = m.{indexed} AND p.person_id > m.person_id AND ({together})
        JOIN {{d}}.person a ON a.person_id = m.person_id AND a.merged_into IS NULL AND a.erased_at IS NULL
        JOIN {{d}}.person b ON b.person_id = p.person_id AND b.merged_into IS NULL AND b.erased_at IS NULL"""


def _weighed(row: Sequence[Any], catalogue: Catalogue, towns: dict[object, int]) -> Pair | None:
    half = len(row) // 2
    mine, theirs = profile_side(row[1:half], towns), profile_side(row[half + 1 :], towns)
    features = weigh(mine, theirs, catalogue.matching)
    score = score_of(features)
    if score < catalogue.matching.hold:
        return None
    return Pair(first=row[0], second=row[half], score=score, features=features, town=_common_town(mine, theirs))


def _common_town(mine: Side, theirs: Side) -> int | None:
    return mine.town if mine.town == theirs.town else None


def _note_pairs(connection: Connection, pairs: list[Pair]) -> list[str]:
    """New ones are open for the town both live in, else for the bureau; the keys of all that were found."""
    if pairs:
        run_sql(
            connection,
            """
            INSERT INTO {d}.person_pair (first_id, second_id, score, features, state, organisation, found_at)
            SELECT n.first, n.second, n.score, n.features, 'open', coalesce(o.code, ''), :now
            FROM unnest(CAST(:firsts AS uuid[]), CAST(:seconds AS uuid[]), CAST(:scores AS float8[]),
                        CAST(:features AS jsonb[]), CAST(:towns AS integer[])) n(first, second, score, features, town)
            LEFT JOIN LATERAL (SELECT code FROM shared.organisation WHERE kind = 'town' AND area_id = n.town
                               ORDER BY code LIMIT 1) o ON true
            ON CONFLICT (first_id, second_id) DO UPDATE
            SET score = excluded.score, features = excluded.features, organisation = excluded.organisation, state = 'open'
            WHERE person_pair.state IN ('open', 'gone')
            """,
            firsts=[one.first for one in pairs],
            seconds=[one.second for one in pairs],
            scores=[one.score for one in pairs],
            features=[json.dumps(one.features) for one in pairs],
            towns=[one.town for one in pairs],
            now=utc_now(),
        )
    return [f"{one.first} {one.second}" for one in pairs]


def _let_go(connection: Connection, standing: list[str]) -> None:
    run_sql(
        connection,
        "UPDATE {d}.person_pair SET state = 'gone' WHERE state = 'open'"
        " AND first_id || ' ' || second_id <> ALL (CAST(:standing AS text[]))",
        standing=standing,
    )
