"""Units are told of what is due: once each stage, each unit its own; nothing personal is in it."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from hub.casework.contacts import add_contact, list_contacts, remove_contact
from hub.casework.notice_words import Facts
from hub.casework.notices import count_unread, list_notices, mark_read, reminded
from hub.casework.reminders import make_due_notices
from hub.database import Database, new_uuid, run_sql
from hub.errors import BadRequest, Conflict, NotAllowed, NotFound
from hub.registry.scope import reach_of
from hub.settings import Settings
from tests.district import BAILU, QINGXI_OFFICE, actor
from tests.noticed import (
    BAILU_TOWN,
    BUREAU,
    LEADER,
    MAIL,
    OPENED,
    PHONE,
    TOWN,
    enter_line,
    found_towns,
    noon,
    open_round,
    raise_one,
    tell,
)


@pytest.fixture
def district(database: Database) -> Database:
    return found_towns(database)


def told(database: Database, organisation: str = "") -> list[tuple[str, str, int]]:
    """Organisation, kind and how many it says, oldest first."""
    with database.begin() as connection:
        rows = run_sql(
            connection,
            "SELECT organisation, kind, coalesce((facts ->> 'items')::integer, 0) FROM {d}.notice"
            " WHERE organisation = :one OR :one = '' ORDER BY made_at, organisation, kind",
            one=organisation,
        )
    return [(str(unit), str(kind), int(str(items))) for unit, kind, items in rows]


def remind(database: Database, settings: Settings, day: date) -> int:
    with database.begin() as connection:
        return make_due_notices(connection, settings, noon(day))


# ---- what is told, and when ----


def test_a_town_is_told_at_each_stage_once_and_the_bureau_when_it_is_late(
    district: Database, settings: Settings
) -> None:
    with district.begin() as connection:
        open_round(connection)
    stages = {}
    for day in range(1, 18):
        for _ in range(2):  # however often it runs
            if made := remind(district, settings, date(2026, 12, day)):
                stages[day] = made
    assert stages == {1: 2, 7: 1, 11: 1, 13: 2}
    assert [kind for _, kind, items in told(district, QINGXI_OFFICE)] == [
        "round_opened", "due_soon", "overdue", "escalated",
    ]  # fmt: skip
    assert told(district, BAILU_TOWN) == [(BAILU_TOWN, "round_empty", 0)]
    assert told(district, "bureau") == [("bureau", "towns_late", 2)]
    with district.begin() as connection:
        assert reminded(connection, "2026-11") == {QINGXI_OFFICE: (3, noon(date(2026, 12, 13)))}
        late = list_notices(connection, BUREAU)[0]
    assert late.facts.organisations == (QINGXI_OFFICE,)


def test_who_answered_is_not_reminded_and_after_days_of_silence_only_the_last_stage_is_told(
    district: Database, settings: Settings
) -> None:
    with district.begin() as connection:
        open_round(connection)
        enter_line(connection, town=BAILU, number=1)
        run_sql(connection, "UPDATE {d}.round_item SET state = 'answered' WHERE town = :town", town=BAILU)
    remind(district, settings, date(2026, 12, 20))
    assert told(district, QINGXI_OFFICE)[-1] == (QINGXI_OFFICE, "round_opened", 2)
    assert sorted(kind for _, kind, _ in told(district, QINGXI_OFFICE)) == ["escalated", "round_opened"]
    assert told(district, BAILU_TOWN) == [(BAILU_TOWN, "round_opened", 1)]


def test_lines_transferred_are_told_as_they_come_and_have_a_day_of_their_own(
    district: Database, settings: Settings
) -> None:
    own_day = date(2026, 12, 15)
    with district.begin() as connection:
        open_round(connection, lines=0)
        enter_line(connection, came="transfer", due_on=own_day)
        enter_line(connection, came="transfer", due_on=own_day)
    assert remind(district, settings, date(2026, 12, 10)) == 3  # both towns' round, and the two lines together
    with district.begin() as connection:  # the newest is answered: no second notice of the one before
        run_sql(
            connection,
            "UPDATE {d}.round_item SET state = 'answered' WHERE item_id = (SELECT item_id FROM {d}.round_item"
            " ORDER BY item_id DESC LIMIT 1)",
        )
    assert remind(district, settings, date(2026, 12, 14)) == 0
    assert remind(district, settings, date(2026, 12, 16)) == 1
    assert remind(district, settings, date(2026, 12, 18)) == 2
    assert [kind for _, kind, _ in told(district, QINGXI_OFFICE)] == [
        "round_empty", "transferred", "overdue", "escalated",
    ]  # fmt: skip
    with district.begin() as connection:
        enter_line(connection, came="transfer", due_on=date(2026, 12, 23))
    assert remind(district, settings, date(2026, 12, 18)) == 1


def test_both_sides_of_a_challenge_are_told_and_the_bureau_of_who_does_not_answer(
    district: Database, settings: Settings
) -> None:
    with district.begin() as connection:
        raise_one(connection)
        raise_one(connection)
    assert remind(district, settings, date(2026, 12, 1)) == 1
    assert remind(district, settings, date(2026, 12, 8)) == 1
    assert remind(district, settings, date(2026, 12, 11)) == 2
    assert remind(district, settings, date(2026, 12, 13)) == 2
    with district.begin() as connection:
        run_sql(connection, "UPDATE {d}.challenge SET state = 'answered', answered_at = :now", now=OPENED)
    assert remind(district, settings, date(2026, 12, 14)) == 1
    kinds = [kind for _, kind, _ in told(district, "public_security")]
    assert kinds == ["challenged", "challenge_due", "challenge_overdue", "challenge_escalated"]
    assert [kind for _, kind, _ in told(district, QINGXI_OFFICE)] == ["challenge_unanswered", "challenge_answered"]
    assert told(district, "bureau") == [("bureau", "sources_late", 2)]


# ---- who reads it ----


def test_a_unit_reads_its_own_notices_alone_and_one_tick_counts_for_the_unit(
    district: Database, app_database: Database, settings: Settings
) -> None:
    with district.begin() as connection:
        tell(connection, settings)
        tell(connection, settings, BAILU_TOWN)
        tell(connection, settings, "bureau")
    with app_database.begin(reach_of(TOWN)) as connection:
        seen = list_notices(connection, TOWN)
        other = run_sql(connection, "SELECT count(*) FROM {d}.notice WHERE organisation = :one", one=BAILU_TOWN)[0][0]
        assert ([one.organisation for one in seen], other, count_unread(connection, TOWN)) == ([QINGXI_OFFICE], 0, 1)
        assert mark_read(connection, TOWN, seen[0].notice_id) == 1
        assert (mark_read(connection, TOWN, seen[0].notice_id), count_unread(connection, TOWN)) == (0, 0)
        with pytest.raises(NotFound):
            mark_read(connection, TOWN, new_uuid())
    with app_database.begin(reach_of(LEADER)) as connection:
        assert count_unread(connection, LEADER) == 1
        with pytest.raises(NotAllowed):  # a look of the leader's hides nothing from who works
            mark_read(connection, LEADER)
    with app_database.begin(reach_of(BUREAU)) as connection:
        assert mark_read(connection, BUREAU) == 1


def test_a_notice_has_no_place_for_a_person() -> None:
    """Counts, dates and codes alone: there is no field a name could go into."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"month": "2026-11", "name": "王小明"}, Facts)
    kinds = {field.name: str(field.type) for field in msgspec.structs.fields(Facts)}
    assert sorted(kinds) == ["due_on", "items", "month", "number", "organisations"]


@pytest.mark.parametrize(
    ("name", "mail", "phone", "field"),
    [
        ("", MAIL, "", "name"),
        ("李明", "", "", "mail"),
        ("李明", "no address", "", "mail"),
        ("李明", "a@b.test\r\nBcc: c@d.test", "", "mail"),
        ("李明", "", "12345", "phone"),
    ],
)
def test_a_contact_that_cannot_be_told_is_not_entered(
    district: Database, name: str, mail: str, phone: str, field: str
) -> None:
    with district.begin() as connection, pytest.raises(BadRequest) as refused:
        add_contact(connection, TOWN, name=name, mail=mail, phone=phone)
    assert field in refused.value.facts


def test_a_unit_keeps_its_own_contacts(district: Database, app_database: Database) -> None:
    other = actor(BAILU_TOWN, "town_officer")
    with app_database.begin(reach_of(TOWN)) as connection:
        one = add_contact(connection, TOWN, name="李明", mail=MAIL, phone=PHONE)
        with pytest.raises(Conflict):
            add_contact(connection, TOWN, name="李二", mail=MAIL, phone="")
    with app_database.begin(reach_of(other)) as connection:
        assert list_contacts(connection, other) == []
        with pytest.raises(NotFound):
            remove_contact(connection, other, one)
    with app_database.begin(reach_of(TOWN)) as connection:
        remove_contact(connection, TOWN, one)
        assert list_contacts(connection, TOWN) == []
