"""A year of twelve towns that tell the truth: the register comes to say what is so, and every month balances."""

from __future__ import annotations

from hub.database import Database
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.year.loop import Year, begin_year
from tests.year.register import Register
from tests.year.world import live

SEED, PEOPLE = 20261122, 200


def _year(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue, **how: object) -> Year:
    world = live(PEOPLE, SEED)
    return begin_year(Register(database, app_database, settings, catalogue, world), seed=SEED, **how)  # type: ignore[arg-type]


def test_after_a_year_of_true_answers_the_register_says_where_everybody_lives(
    database: Database, app_database: Database, settings: Settings, catalogue: Catalogue
) -> None:
    year = _year(database, app_database, settings, catalogue)
    year.live_through()
    for told in year.told:
        print(told)
    print(year.verdicts, year.excuses, year.departments.faults, year.register.sent)
    import runpy

    runpy.run_path("/tmp/year/debug.py")["explain"](year)
    assert year.register.errors() == []
    assert year.register.waiting() == []
    assert year.differences() == []
    assert year.out_of_balance() == []
    assert year.excuses == {}
    assert year.open_lines() == set()
    assert year.lost_changes() == 0
