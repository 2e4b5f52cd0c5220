"""Kept quality figures are those that a count says: after every kind of change, and only what was touched is counted again."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, insert

from hub.database import Database, new_uuid, run_sql, utc_now
from hub.oversight import quality, quality_keeping
from hub.oversight.quality import MEASURES, FigureKey, Quality, open_figure, read_months
from hub.oversight.quality_keeping import keep_quality_figures
from hub.registry.permissions import Actor
from hub.registry.scope import reach_of
from hub.tables import comparison_item
from mappings.catalogue import Catalogue
from tests.district import actor, found
from tests.doors import TOWN, identity_number
from tests.quality_months import MONTHS, ZONE, Months, plant, records_of

BUREAU, POLICE = actor("bureau", "bureau_operator"), actor(role="department_clerk")
CARE = actor("mch_station", "care_worker")
WOMAN = {"woman_name": "王芳", "booked_on": "2026-09-01", "facility": "妇幼服务站", "woman_id_no": identity_number(1)}
ALL_MONTHS = (*MONTHS, "2026-12")


@pytest.fixture
def months(database: Database, catalogue: Catalogue) -> Months:
    with database.begin() as connection:
        found(connection)
    return Months(catalogue)


def kept(connection: Connection, catalogue: Catalogue, who: Actor = BUREAU) -> list[Quality]:
    return read_months(connection, who, catalogue, ZONE, ALL_MONTHS)


def live(connection: Connection, catalogue: Catalogue, who: Actor = BUREAU) -> list[Quality]:
    """Counted now, whatever is kept."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(quality, "_reads_kept", lambda *_: None)
        return kept(connection, catalogue, who)


def agrees(database: Database, app_database: Database, catalogue: Catalogue) -> int:
    """The job runs; whatever is kept is what is counted, for each of them; how many cells were counted again."""
    with database.begin() as connection:
        cells = keep_quality_figures(connection, catalogue, ZONE)
    for who in (BUREAU, POLICE, CARE, actor(TOWN, "town_officer"), actor("bureau", "bureau_leader")):
        with app_database.begin(reach_of(who)) as connection:
            assert kept(connection, catalogue, who) == live(connection, catalogue, who)
    return cells


@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_is_what_is_counted_through_a_whole_story(
    database: Database, app_database: Database, months: Months, catalogue: Catalogue, seed: int
) -> None:
    with database.begin() as connection:
        months.sent = plant(connection, catalogue, seed).sent
        months.send(connection, "mch_station", "antenatal_booking", "2026-09", WOMAN | {"handbook_no": "H1"})
    assert agrees(database, app_database, catalogue) > 4
    assert agrees(database, app_database, catalogue) == 0  # nothing happened, nothing is counted
    with database.begin() as connection:
        months.take_back(connection, next(one for one in reversed(months.sent) if one.stands and one.rows))
    assert 0 < agrees(database, app_database, catalogue) < 3
    with database.begin() as connection:
        later = plant(connection, catalogue, seed + 10)
    assert later.sent and agrees(database, app_database, catalogue)


def test_every_kept_number_is_as_long_as_the_list_that_it_opens(
    database: Database, app_database: Database, months: Months, catalogue: Catalogue
) -> None:
    with database.begin() as connection:
        plant(connection, catalogue, 1)
        keep_quality_figures(connection, catalogue, ZONE)
    with app_database.begin(reach_of(BUREAU)) as connection:
        for line in kept(connection, catalogue):
            for measure in MEASURES:
                key = FigureKey(
                    organisation=line.organisation, record_type=line.record_type, month=line.month, measure=measure
                )
                page = open_figure(connection, BUREAU, catalogue, ZONE, key, limit=1000)
                assert page.kept_at and page.total == len(page.rows)
                assert sum(row.weight for row in page.rows) == line.figures[measure].against
                for reason, many in page.reasons:
                    of_it = open_figure(connection, BUREAU, catalogue, ZONE, key, limit=1000, reason=reason)
                    assert of_it.total == many == len(of_it.rows)


def prepared(database: Database, months: Months, catalogue: Catalogue) -> None:
    """An old month with one record, kept; a later month beside it."""
    moved = {"name": "李伟", "id_no": identity_number(1), "move_date": "2026-08-01"}
    with database.begin() as connection:
        months.send(connection, "public_security", "hukou_move_in", "2026-08", moved)
        months.send(connection, TOWN, "resident_roll", "2026-09", {"name": "王芳", "id_no": identity_number(2)})
        keep_quality_figures(connection, catalogue, ZONE)


def void(connection: Connection, months: Months) -> None:
    """As a correction that takes a record of the old month away."""
    record = {"name": "李伟", "id_no": identity_number(1), "move_date": "2026-08-01", "change_kind": "void"}
    months.send(connection, "public_security", "hukou_move_in", "2026-09", record)


def complete(connection: Connection, months: Months) -> None:
    fuller = {"name": "李伟", "id_no": identity_number(1), "move_date": "2026-08-01", "sex": "1"}
    months.send(connection, "public_security", "hukou_move_in", "2026-09", fuller)


def judge(connection: Connection, months: Months) -> None:
    ((record, _),) = records_of(connection, "hukou_move_in")
    months.verify(connection, TOWN, {record: "3"}, "2026-10-05")


def close_difference(connection: Connection, months: Months) -> None:
    ((record, _),) = records_of(connection, "hukou_move_in")
    side = {"record_type": "hukou_move_in", "record_id": str(record), "role": "person", "source": "public_security"}
    item = {
        "item_id": new_uuid(),
        "check_code": "death_date_differs",
        "subject": "x",
        "organisation": "public_security",
    }
    now = {name: utc_now() for name in ("opened_at", "last_seen_at", "closed_at")}
    facts = {"areas": [], "sides": [side], "state": "closed", "evidence": "corrected: 已更正"}
    connection.execute(insert(comparison_item).values(item | now | facts))


def undo(connection: Connection, months: Months) -> None:
    months.take_back(connection, months.sent[0])


@pytest.mark.parametrize("change", [complete, judge, close_difference, undo])
def test_what_happens_to_a_record_of_an_old_month_is_found(
    database: Database, app_database: Database, months: Months, catalogue: Catalogue, change: object
) -> None:
    prepared(database, months, catalogue)
    with database.begin() as connection:
        change(connection, months)  # type: ignore[operator]
        old = [one for one in live(connection, catalogue) if one.month == "2026-08"]
        assert old != [
            one for one in kept(connection, catalogue) if one.month == "2026-08"
        ]  # it does change the figure
    assert agrees(database, app_database, catalogue)


def test_the_month_of_a_record_that_is_voided_is_counted_again(
    database: Database, app_database: Database, months: Months, catalogue: Catalogue
) -> None:
    prepared(database, months, catalogue)
    with database.begin() as connection:
        void(connection, months)
    assert agrees(database, app_database, catalogue) == 2  # its own, and that of the file that voids it


def test_a_difference_that_is_forgotten_again_is_found(
    database: Database, app_database: Database, months: Months, catalogue: Catalogue
) -> None:
    prepared(database, months, catalogue)
    with database.begin() as connection:
        close_difference(connection, months)
    assert agrees(database, app_database, catalogue) == 1
    with database.begin() as connection:
        run_sql(connection, "DELETE FROM {d}.comparison_item")
    assert agrees(database, app_database, catalogue) == 1


def test_other_rules_keep_nothing(database: Database, months: Months, catalogue: Catalogue) -> None:
    prepared(database, months, catalogue)
    with database.begin() as connection:
        assert quality.kept_at(connection, catalogue, ZONE) and not quality.kept_at(connection, catalogue, "UTC")
        assert keep_quality_figures(connection, catalogue, "UTC") == 2


@pytest.mark.parametrize(
    ("forgotten", "change"),
    [("_JUDGED_RECORDS", judge), ("_TOUCHED", complete), ("_STANDING", close_difference), ("_STANDING", undo)],
)
def test_without_a_dependency_the_kept_figures_are_others(
    database: Database, app_database: Database, months: Months, catalogue: Catalogue,
    monkeypatch: pytest.MonkeyPatch, forgotten: str, change: object,
) -> None:  # fmt: skip
    """Negative control: the comparison would notice."""
    loose = {
        "_JUDGED_RECORDS": "",
        "_TOUCHED": f"{quality_keeping._TOUCHED} AND false",
        "_STANDING": "SELECT DISTINCT month, record_type, mark FROM {d}.quality_figure WHERE record_type = ANY (:types)",
    }
    prepared(database, months, catalogue)
    monkeypatch.setattr(quality_keeping, forgotten, loose[forgotten])
    with database.begin() as connection:
        change(connection, months)  # type: ignore[operator]
    with pytest.raises(AssertionError):
        agrees(database, app_database, catalogue)


def test_nobody_reads_kept_figures_of_care_but_whose_they_are(
    database: Database, app_database: Database, months: Months, catalogue: Catalogue
) -> None:
    with database.begin() as connection:
        months.send(connection, "mch_station", "antenatal_booking", "2026-09", WOMAN | {"handbook_no": "H1"})
        months.send(connection, TOWN, "resident_roll", "2026-09", {"name": "王芳", "id_no": identity_number(2)})
        keep_quality_figures(connection, catalogue, ZONE)
    seen = {}
    for who in (BUREAU, POLICE, CARE):
        with app_database.begin(reach_of(who)) as connection:
            seen[who.organisation] = run_sql(connection, "SELECT record_type FROM {d}.quality_figure")
    assert seen == {"bureau": [("resident_roll",)], "public_security": [], "mch_station": [("antenatal_booking",)]}
