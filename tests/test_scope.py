"""What an actor may see: its own, its area, and nothing by default."""

from sqlalchemy import ColumnElement
from sqlalchemy.dialects import postgresql

from hub.database import Database, run_sql
from hub.registry.areas import load_area_index
from hub.registry.scope import Scope, scope_for
from hub.tables import change_log, submission, subscription
from tests import district
from tests.district import GUANGMING, QINGXI, actor


def town_scope() -> Scope:
    who = actor("999001001", "town_officer", area_id=QINGXI)
    return Scope(actor=who, own_areas=(QINGXI, GUANGMING))


def sql_of(predicate: ColumnElement[bool]) -> str:
    return str(predicate.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))


def test_a_towns_scope_is_its_area_as_it_is_now(database: Database) -> None:
    with database.begin() as connection:
        district.found(connection)
        areas = load_area_index(connection)
    assert scope_for(town_scope().actor, areas) == town_scope()
    assert scope_for(actor(), areas).own_areas == ()


def test_a_town_sees_records_of_its_own_area(database: Database) -> None:
    within = town_scope().records_in_areas(change_log.c.areas_after)
    written = sql_of(within).replace("district.change_log.areas_after", "areas")
    query = (
        f"SELECT n FROM (VALUES (1, ARRAY[2,3]), (2, ARRAY[4]), (3, ARRAY[3,4]), (4, NULL)) t(n, areas) WHERE {written}"
    )
    with database.read() as connection:
        assert run_sql(connection, query + " ORDER BY n") == [(1,), (3,)]


def test_nobody_else_sees_records_by_area() -> None:
    areas = change_log.c.areas_after
    for organisation, role in (("labour", "integrator"), ("mch_station", "care_worker"), ("bureau", "bureau_operator")):
        scope = Scope(actor=actor(organisation, role))
        assert sql_of(scope.records_in_areas(areas)) == sql_of(scope.people(areas)) == "false"


def test_a_scope_is_nothing_without_the_right() -> None:
    scope = Scope(actor=actor("999001001", "town_officer", rights=frozenset()), own_areas=(QINGXI,))
    areas = change_log.c.areas_after
    for predicate in (
        scope.records_in_areas(areas),
        scope.people(areas),
        scope.submissions(submission),
        scope.row_errors(submission),
        scope.own_subscriptions(subscription),
        scope.records_sent(submission.c.organisation),
    ):
        assert sql_of(predicate) == "false"
    assert not scope.stored_file("999001001")


def test_the_bureau_sees_the_whole_ledger_and_no_value_in_it() -> None:
    bureau = Scope(actor=actor("bureau", "bureau_operator"))
    assert sql_of(bureau.submissions(submission)) == "true"
    assert sql_of(bureau.row_errors(submission)) == "false"
    assert not bureau.stored_file("labour")
    assert not bureau.may_see_clinical("mch_station")
    assert not bureau.may_see_type("antenatal_booking", "mch_station")


def test_a_department_sees_its_own_lines_of_the_ledger() -> None:
    scope = Scope(actor=actor("labour"))
    assert "organisation = 'labour'" in sql_of(scope.submissions(submission))
    assert scope.stored_file("labour") and not scope.stored_file("health")


def test_clinical_values_are_for_care_and_for_who_sent_them() -> None:
    care, health, town = Scope(actor=actor("mch_station")), Scope(actor=actor("health")), town_scope()
    assert care.may_see_clinical("health")
    assert health.may_see_clinical("health") and not health.may_see_clinical("mch_station")
    assert not town.may_see_clinical("health")
    assert care.may_see_type("antenatal_booking") and not town.may_see_type("antenatal_booking")
    assert town.may_see_type("marriage")
