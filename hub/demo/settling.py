"""After the year was sent: what is known of everybody, what sources say differently, and who may be one person."""

from __future__ import annotations

import msgspec

from hub.database import Database, run_sql
from hub.exchange.homes import wrong_homes
from hub.exchange.numbers import wrong_numbers
from hub.people.comparison import run_comparisons
from hub.people.pairs import find_pairs
from hub.people.profile_check import check
from hub.people.profiles import catch_up
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import Settings
from mappings.catalogue import Catalogue


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """``differing``: persons whose kept attributes, home or number are not what the records say; must be 0."""

    persons: int
    differing: int
    held: int
    pairs: int
    comparisons: dict[str, int]  # title of the check -> open items, the most frequent first


def settle_people(database: Database, settings: Settings, catalogue: Catalogue) -> Settled:
    """Bring the profiles to the end of the log, compare the sources, look for pairs; what there is to decide."""
    follow(database, catalogue)
    run_comparisons(database, settings, catalogue, SYSTEM_ACTOR)
    with database.begin() as connection:
        pairs = find_pairs(connection, catalogue)
    differing = len(check(database, catalogue))
    with database.read() as connection:
        differing += len(wrong_homes(connection, catalogue)) + len(wrong_numbers(connection, catalogue))
        persons, held = run_sql(connection, _COUNTS)[0]
        found = run_sql(connection, _OPEN)
    titles = {one.code: f"{one.title} {one.title_en}" for one in catalogue.comparisons.values()}
    return Settled(
        persons=int(str(persons)), held=int(str(held)), pairs=pairs, differing=differing,
        comparisons={titles[str(code)]: int(str(count)) for code, count in found},
    )  # fmt: skip


def follow(database: Database, catalogue: Catalogue) -> None:
    """What the worker's timetable does every minute: the profiles come to where the log ends."""
    changes = 1
    while changes:
        with database.begin() as connection:
            changes = catch_up(connection, catalogue)


_COUNTS = (
    "SELECT (SELECT count(*) FROM {d}.person_profile), (SELECT count(*) FROM {d}.held_row WHERE state = 'waiting')"
)
_OPEN = (
    "SELECT check_code, count(*) FROM {d}.comparison_item WHERE state = 'open'"
    " GROUP BY check_code ORDER BY count(*) DESC, check_code"
)
