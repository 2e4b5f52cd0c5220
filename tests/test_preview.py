"""What a preview says before anybody agrees: how many, what is new, five records, and to whom it says how much."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from hub.database import Database, run_sql
from hub.errors import ClinicalBoundary, NotAllowed
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.registry.permissions import SYSTEM_ACTOR, Actor
from hub.registry.scope import reach_of
from hub.registry.slice_definition import Condition, SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from hub.sharing.preview import Preview, TypePreview, preview
from mappings.catalogue import Catalogue
from tests import district
from tests.district import BAILU, GUANGMING, QINGXI, actor
from tests.doors import identity_number
from tests.fresh_databases import FreshDatabases
from tests.staged import stage

POLICE, ASKER = actor(role="data_officer"), actor("labour", role="data_officer")
BUREAU, STATION = actor("bureau", role="bureau_operator"), actor("mch_station", role="data_officer")
NAME = "欧阳预览"
MOVES = SliceType("hukou_move_in", ("name", "id_no", "birth_date", "move_date"), masked=("id_no",))
WHOLE = SliceDefinition((MOVES,))
CARE = SliceDefinition((SliceType("postnatal_visit", ("woman_name", "visit_date", "findings")),))


@pytest.fixture(scope="module")
def hub(fresh_databases: FreshDatabases, cluster: Any, catalogue: Catalogue) -> Iterator[Database]:
    """24 moves of 12 people into Guangming, 3 of 3 into Bailu, 6 visits; labour knows the moves into Bailu by number."""
    name = fresh_databases.take()
    worker, served = Database(cluster.urls(name).worker, "d999001"), Database(cluster.urls(name).app, "d999001")
    with worker.begin() as connection:
        district.found(connection)
        for month in ("2026-01-05", "2026-02-05"):
            put(connection, catalogue, "hukou_move_in", [moved(at, month, GUANGMING) for at in range(12)])
        put(connection, catalogue, "hukou_move_in", [moved(at, "2026-02-07", BAILU) for at in range(20, 23)])
        visits = [{"woman_id_no": identity_number(100 + at), "woman_name": NAME, "kind": "1", "visit_date": "2026-01-05",
                   "woman_area": GUANGMING} for at in range(6)]  # fmt: skip
        put(connection, catalogue, "postnatal_visit", visits, "mch_station")
    with served.begin(reach_of(SYSTEM_ACTOR)) as connection:
        known = SliceDefinition((SliceType("hukou_move_in", ("id_no",)),), (BAILU,))
        create_subscription(
            connection, SYSTEM_ACTOR, catalogue, code="known", organisation="labour", title="已有", definition=known,
            terms=Terms(purpose="核对", legal_basis="条例"),
        )  # fmt: skip
    yield served
    worker.close()
    served.close()
    fresh_databases.give_back(name)


def moved(at: int, day: str, area: int) -> dict[str, Any]:
    born = "2020-03-07" if at < 2 else "1990-03-07"
    return {"id_no": identity_number(at), "name": NAME, "birth_date": born, "move_date": day, "person_area": area}


def put(
    connection: Any, catalogue: Catalogue, code: str, rows: list[dict[str, Any]], source: str = "public_security"
) -> None:
    record_type = catalogue.record_types[code]
    submission_id = stage(connection, record_type, rows)
    apply_staged(connection, submission_id, source, record_type, catalogue)
    number_changes(connection, submission_id)


def look(
    hub: Database, catalogue: Catalogue, definition: SliceDefinition, viewer: Actor, organisation: str = "labour"
) -> Preview:
    with hub.begin(reach_of(viewer)) as connection:
        return preview(connection, catalogue, definition, organisation, viewer)


def only(found: Preview) -> TypePreview:
    (one,) = found.types
    return one


def counts(one: TypePreview) -> tuple[str, str, str, str]:
    return one.records, one.persons, one.new_records, one.new_persons


def codes(found: Preview) -> set[str]:
    return {each.code for each in (*found.warnings, *(each for one in found.types for each in one.warnings))}


def test_the_provider_sees_exact_counts_what_is_new_and_five_of_its_own(hub: Database, catalogue: Catalogue) -> None:
    found = look(hub, catalogue, WHOLE, POLICE)
    one = only(found)
    assert found.covered_by == ("known",) and not one.is_new
    assert counts(one) == ("27", "15", "24", "12")
    assert [each.name for each in one.fields if each.is_new] == ["name", "birth_date", "move_date"]
    assert [each.masked for each in one.fields] == [False, True, False, False]
    assert len(one.sample) == 5 and all(row.cells[0] == NAME for row in one.sample)
    assert all("****" in row.cells[1] for row in one.sample)
    assert codes(found) == {"whole", "unconditioned", "minors"}


def about(count: int) -> set[str]:
    """What may be told of a count of two figures: it is off by up to ten, and rounded to ten."""
    return {f"≈{told}" if told else "<5" for told in range(0, 200, 10) if abs(told - count) <= 15}


def test_who_asks_sees_rounded_counts_none_below_five_and_no_record(hub: Database, catalogue: Catalogue) -> None:
    one = only(look(hub, catalogue, WHOLE, ASKER))
    told = zip(counts(one), (27, 15, 24, 12), strict=True)
    assert all(shown in about(count) for shown, count in told) and one.sample == ()
    for areas in ((BAILU,), (district.DISTRICT,)):  # three are told like none at all
        assert {*counts(only(look(hub, catalogue, SliceDefinition((MOVES,), areas), ASKER)))} <= {"<5", "≈10"}


def test_two_previews_do_not_tell_of_one_person_by_their_difference(hub: Database, catalogue: Catalogue) -> None:
    """The same 27 records, picked in thirty ways: if all told the same, one that tells otherwise would tell of somebody."""
    told = set()
    for day in range(1, 31):
        since = Condition("move_date", "from", (f"2025-06-{day:02d}",))
        asked = SliceDefinition((msgspec.structs.replace(MOVES, conditions=(since,)),))
        shown = only(look(hub, catalogue, asked, ASKER)).records
        assert shown in about(27) and only(look(hub, catalogue, asked, ASKER)).records == shown
        told.add(shown)
    assert len(told) > 1


@pytest.mark.parametrize(
    ("field", "values"), [("id_no", (identity_number(3),)), ("name", (NAME,)), ("from_addr", ("某地",))]
)
def test_a_preview_does_not_say_of_one_person_whether_they_are_in_it(
    hub: Database, catalogue: Catalogue, field: str, values: tuple[str, ...]
) -> None:
    asked = SliceDefinition((SliceType("hukou_move_in", ("move_date",), (Condition(field, "in", values),)),))
    found = look(hub, catalogue, asked, ASKER)
    assert counts(only(found)) == ("",) * 4 and "uncounted" in codes(found)
    assert counts(only(look(hub, catalogue, asked, POLICE))) != ("",) * 4


def test_conditions_and_areas_narrow_what_is_counted(hub: Database, catalogue: Catalogue) -> None:
    since = msgspec.structs.replace(MOVES, conditions=(Condition("move_date", "from", ("2026-02-05",)),))
    assert counts(only(look(hub, catalogue, SliceDefinition((since,)), POLICE))) == ("15", "15", "12", "12")
    assert counts(only(look(hub, catalogue, SliceDefinition((since,), (QINGXI,)), POLICE))) == ("12", "12", "12", "12")
    grown = msgspec.structs.replace(MOVES, conditions=(Condition("birth_date", "to", ("2000-01-01",)),))
    found = look(hub, catalogue, SliceDefinition((grown,), (QINGXI,)), POLICE)
    assert counts(only(found)) == ("20", "10", "20", "10") and "minors" not in codes(found)


def test_the_bureau_sees_no_name_and_no_number_in_its_five(hub: Database, catalogue: Catalogue) -> None:
    one = only(look(hub, catalogue, WHOLE, BUREAU))
    assert one.records in about(27) and len(one.sample) == 5
    for row in one.sample:
        assert row.cells[0] == "欧***" and row.cells[2].endswith("-**-**")


def test_a_provider_of_something_else_sees_neither_record_nor_small_count(hub: Database, catalogue: Catalogue) -> None:
    stranger = actor("commerce", role="data_officer")
    with pytest.raises(NotAllowed):
        look(hub, catalogue, WHOLE, stranger)
    both = SliceDefinition((MOVES, SliceType("business_licence", ("business_name",))))
    moves, licences = look(hub, catalogue, both, stranger).types
    assert moves.sample == () and moves.records in about(27) and licences.records == "0"


def test_what_stays_in_care_is_counted_for_care_alone(hub: Database, catalogue: Catalogue) -> None:
    with pytest.raises(ClinicalBoundary):
        look(hub, catalogue, CARE, ASKER)
    theirs = look(hub, catalogue, CARE, STATION, "mch_station")
    assert counts(only(theirs)) == ("6", "6", "6", "6") and "clinical" in codes(theirs)
    assert [row.cells[2] for row in only(theirs).sample] == [""] * 5  # what lies sealed is not opened for a look
    found = look(hub, catalogue, CARE, BUREAU, "mch_station")
    assert counts(only(found)) == ("",) * 4 and only(found).sample == ()


def test_it_is_noted_who_looked_and_at_which_records(hub: Database, catalogue: Catalogue, cluster: Any) -> None:
    found = look(hub, catalogue, WHOLE, POLICE)
    audited = Database(cluster.urls(hub.engine.url.database).owner, "d999001")
    with audited.begin() as connection:
        query = "SELECT organisation, act, facts FROM {d}.audit WHERE object = 'preview/labour' ORDER BY audit_id DESC LIMIT 1"
        ((who, act, facts),) = run_sql(connection, query)
    audited.close()
    assert (who, act) == ("public_security", "answer-slice")
    assert facts["digest"] == found.digest  # type: ignore[index]
    assert facts["sampled"] == [row.record_id for row in only(found).sample]  # type: ignore[index]
    assert NAME not in str(facts) and identity_number(1) not in str(facts)


def test_nothing_stays_open_behind_a_preview(hub: Database, catalogue: Catalogue) -> None:
    for viewer, organisation in ((BUREAU, "labour"), (ASKER, "labour"), (STATION, "mch_station")):
        definition = CARE if organisation == "mch_station" else WHOLE
        with hub.begin(reach_of(viewer)) as connection:
            preview(connection, catalogue, definition, organisation, viewer)
            ((seen, visits),) = run_sql(
                connection,
                "SELECT (SELECT count(*) FROM {d}.rec_hukou_move_in), (SELECT count(*) FROM {d}.rec_postnatal_visit)",
            )
        assert (seen, visits) == (0, 6 if viewer is STATION else 0)
