"""The SQL of link, merge, change log and slices equals a small model in plain Python, whatever happens in whatever order."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from hub.database import Database, new_uuid, run_sql, utc_now
from hub.embedded import Cluster
from hub.exchange.changelog import number_changes, verify_feed
from hub.exchange.disputes import lift_marks, mark_disputed
from hub.exchange.homes import wrong_homes
from hub.exchange.numbers import wrong_numbers
from hub.exchange.person_changes import CannotBeCarriedOut, carry_out
from hub.exchange.pipeline import apply_staged
from hub.exchange.rerouting import reroute_areas
from hub.exchange.slices import FeedContext, Page, query_slice, read_page
from hub.keyring import Keyring
from hub.registry.area_changes import merge_areas
from hub.registry.areas import AreaRow, import_areas
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.slice_definition import Condition, SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from hub.tables import challenge, difference, organisation, person_decision, person_identifier
from mappings.catalogue import Catalogue
from tests.conftest import clone_template, execute
from tests.oracle import Oracle
from tests.oracle_persons import Judgement
from tests.planned_once import planned_once
from tests.staged import stage

EXAMPLES = int(os.environ.get("HUB_ORACLE_EXAMPLES", "1000"))
DISTRICT, TOWN_A, TOWN_B, TOWN_C = 1, 2, 3, 4
VILLAGES = {5: TOWN_A, 6: TOWN_A, 7: TOWN_B, 8: TOWN_C}
PEOPLE = ["999001199001010010", "999001199001010029", "999001199001010037", "999001199001010045"]
SPARE_NUMBERS = ["999001199001010053", "999001199001010061"]
CERTIFICATES = ["Q999001001", "Q999001002"]
DAYS = ["2026-01-05", "2026-02-05", "2026-03-05"]
TYPES = ("resident_roll", "hukou_move_in", "employment", "marriage", "newborn_hukou", "identity_correction")
SOURCES = {"resident_roll": ("999001001", "999001002")}


@dataclass(frozen=True)
class Sent:
    """One submission: rows of one type from one source."""

    record_type: str
    source: str
    rows: tuple[tuple[tuple[str, Any], ...], ...]


@dataclass(frozen=True)
class Merged:
    """One area absorbed by another."""

    absorbed: int
    into: int


@dataclass(frozen=True)
class Challenged:
    """Somebody says that a record is not right, or does so no more."""

    at: int
    stands: bool


numbers = st.sampled_from(PEOPLE + SPARE_NUMBERS)
own_area = st.sampled_from([None, 5, 6, 7, 8])
change_kind = st.sampled_from(["new"] * 6 + ["correct", "void"])
words = st.sampled_from(["甲", "乙"])
days = st.sampled_from(DAYS)

ROWS = {
    "resident_roll": st.fixed_dictionaries({"id_no": numbers, "name": words, "person_area": own_area}),
    "hukou_move_in": st.fixed_dictionaries(
        {"id_no": numbers, "move_date": days, "from_addr": words, "person_area": st.sampled_from([5, 6, 7, 8])}
    ),
    "employment": st.fixed_dictionaries({"id_no": numbers, "start_date": days, "employer": words, "post": words}),
    "marriage": st.fixed_dictionaries(
        {
            "cert_no": st.sampled_from(["J1", "J2"]), "registered_on": days, "male_id_no": numbers, "female_id_no": numbers,
            "male_area": own_area, "female_area": own_area, "kind": words,
        }
    ),
    "newborn_hukou": st.fixed_dictionaries(
        {
            "child_id_no": st.sampled_from([None, *SPARE_NUMBERS]), "cert_no": st.sampled_from(CERTIFICATES),
            "registered_on": days, "child_area": own_area, "mother_id_no": numbers, "head_name": words,
        }
    ),
    "identity_correction": st.fixed_dictionaries(
        {"id_no": numbers, "new_id": numbers, "item": st.just("12"), "changed_on": days}
    ),
}  # fmt: skip


@st.composite
def sent(draw: st.DrawFn) -> Sent:
    code = draw(st.sampled_from(TYPES))
    source = draw(st.sampled_from(SOURCES.get(code, ("public_security",))))
    rows = draw(st.lists(ROWS[code], min_size=1, max_size=3))
    kinds = [draw(change_kind) for _ in rows]
    return Sent(
        code, source, tuple(tuple({**row, "change_kind": kind}.items()) for row, kind in zip(rows, kinds, strict=True))
    )


challenged = st.builds(Challenged, st.integers(0, 3), st.sampled_from([True, True, False]))
steps = st.lists(
    st.one_of(sent(), sent(), sent(), sent(), challenged, st.sampled_from([Merged(6, 5), Merged(TOWN_B, TOWN_A)])),
    min_size=1,
    max_size=6,
)
judged = st.one_of(
    st.builds(Judgement, st.just("merge"), numbers, numbers, numbers),
    st.builds(Judgement, st.sampled_from(["split", "apart"]), numbers, numbers, numbers),
    st.builds(Judgement, st.just("undo"), undoes=st.integers(0, 2)),
)
stories_of_persons = st.lists(st.one_of(sent(), sent(), judged, challenged), min_size=3, max_size=9)

WHOLE = SliceDefinition(
    record_types=(
        SliceType("resident_roll", ("name", "id_no")),
        SliceType("employment", ("post",)),
        SliceType("marriage", ("cert_no", "kind")),
        SliceType("newborn_hukou", ("cert_no", "head_name")),
    )
)
OF_TOWN_A = SliceDefinition(
    record_types=(
        SliceType("resident_roll", ("id_no",)),
        SliceType("hukou_move_in", ("move_date", "from_addr"), masked=("move_date", "from_addr")),
        SliceType("employment", ("employer", "post"), masked=("post",)),
        SliceType("marriage", ("male_id_no", "female_id_no"), masked=("male_id_no",)),
    ),
    areas=(TOWN_A,),
)
CONDITIONED = SliceDefinition(
    record_types=(
        SliceType(
            "hukou_move_in",
            ("id_no", "move_date"),
            (Condition("from_addr", "in", ("甲",)), Condition("move_date", "from", ("2026-02-05",))),
            masked=("id_no",),
        ),
        SliceType(
            "employment",
            ("employer",),
            (Condition("start_date", "not_in", ("2026-02-05",)), Condition("start_date", "to", ("2026-02-28",))),
        ),
        SliceType("newborn_hukou", ("cert_no",), (Condition("child_id_no", "empty"),)),
    ),
    areas=(TOWN_A, 7),
)
DEFINITIONS = {"whole": WHOLE, "town": OF_TOWN_A, "conditioned": CONDITIONED}


Happening = Sent | Merged | Judgement | Challenged


class District:
    """What every story starts from."""

    def __init__(self, database: Database, catalogue: Catalogue, keyring: Keyring) -> None:
        self.database, self.catalogue, self.keyring = database, catalogue, keyring


@pytest.fixture(scope="module")
def district(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[District]:
    """One database for all stories: each is one transaction that is rolled back."""
    name = f"oracle_{os.getpid()}"
    clone_template(cluster, name)
    database = planned_once(Database(cluster.urls(name).superuser, "d999001"))
    with database.begin() as connection:
        prepare(connection, catalogue)
    yield District(database, catalogue, Keyring.load(tmp_path_factory.mktemp("keys")))
    database.close()
    execute(cluster, f"DROP DATABASE {name} WITH (FORCE)")


def prepare(connection: Connection, catalogue: Catalogue) -> None:
    code = {DISTRICT: "999001000000", TOWN_A: "999001001000", TOWN_B: "999001002000", TOWN_C: "999001003000"}
    rows = [AreaRow(code[DISTRICT], "区", "district")]
    rows += [AreaRow(code[town], f"镇{town}", "town", code[DISTRICT]) for town in (TOWN_A, TOWN_B, TOWN_C)]
    for village, town in VILLAGES.items():
        rows.append(AreaRow(f"{code[town][:9]}{200 + village}", f"村{village}", "village", code[town]))
    import_areas(connection, SYSTEM_ACTOR, rows, date(2025, 1, 1))
    values = {"code": "health", "district": "d999001", "name": "卫健局", "kind": "department"}
    connection.execute(organisation.insert().values(values))
    for name, definition in DEFINITIONS.items():
        create_subscription(
            connection, SYSTEM_ACTOR, catalogue, code=name, organisation="health", title=name,
            definition=definition, terms=Terms(purpose="核对", legal_basis="条例"),
        )  # fmt: skip


OFTEN = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), report_multiple_bugs=False
)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@OFTEN
@seed(1)
@given(happenings=steps)
def test_slices_replayed_queried_and_modelled_are_the_same(
    district: District, happenings: list[Sent | Merged | Challenged]
) -> None:
    live_through(district, happenings)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@OFTEN
@seed(2)
@given(happenings=st.lists(sent(), min_size=3, max_size=7))
def test_they_stay_the_same_through_longer_stories(
    district: District, happenings: list[Sent | Merged | Challenged]
) -> None:
    live_through(district, happenings)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@settings(OFTEN, max_examples=EXAMPLES // 4)
@seed(5)
@given(happenings=stories_of_persons)
def test_persons_merge_split_and_part_again_in_any_order(
    district: District, happenings: list[Sent | Judgement | Challenged]
) -> None:
    live_through(district, happenings)


def test_a_home_that_is_taken_back_takes_its_records_along(district: District) -> None:
    """A void of nobody's record places a person; the next row of the same file follows that home, then it is gone."""
    place = {"id_no": PEOPLE[0], "name": "甲"}
    rows = ({**place, "person_area": 5, "change_kind": "void"}, {**place, "person_area": None, "change_kind": "new"})
    live_through(district, [Sent("resident_roll", "999001001", tuple(tuple(row.items()) for row in rows))])


def live_through(district: District, happenings: Sequence[Happening]) -> None:
    """One story in one transaction, rolled back at its end."""
    with district.database.engine.connect() as connection, connection.begin() as transaction:
        oracle = Oracle(district.catalogue, dict(VILLAGES))
        for happening in happenings:
            follow(connection, oracle, district.catalogue, happening)
        check_slices(connection, oracle, FeedContext(district.catalogue, district.keyring))
        check_persons(connection, oracle, district.catalogue)
        if len(happenings) >= 5:
            assert verify_feed(connection, district.catalogue) == []
        transaction.rollback()


def follow(connection: Connection, oracle: Oracle, catalogue: Catalogue, happening: Happening) -> None:
    if isinstance(happening, Judgement):
        follow_judgement(connection, oracle, catalogue, happening)
        return
    if isinstance(happening, Merged):
        follow_merge(connection, oracle, catalogue, happening)
        return
    if isinstance(happening, Challenged):
        follow_challenge(connection, oracle, catalogue, happening)
        return
    record_type = catalogue.record_types[happening.record_type]
    rows = [dict(row) for row in happening.rows]
    submission_id = stage(connection, record_type, rows)
    apply_staged(connection, submission_id, happening.source, record_type, catalogue)
    number_changes(connection, submission_id)
    expected = oracle.submit(happening.source, record_type, rows)
    outcomes = connection.scalars(
        select(difference.c.outcome)
        .where(difference.c.submission_id == submission_id, difference.c.row_no > 0)
        .order_by(difference.c.row_no)
    ).all()
    assert list(outcomes) == expected


def follow_merge(connection: Connection, oracle: Oracle, catalogue: Catalogue, happening: Merged) -> None:
    if happening.absorbed in oracle.successor or happening.into in oracle.successor:
        return
    change = merge_areas(connection, SYSTEM_ACTOR, [happening.absorbed], happening.into, date(2026, 1, 1))
    submission_id = stage(connection, catalogue.record_types["employment"], [])
    reroute_areas(connection, submission_id, {*change.replaced, *change.moved_villages}, catalogue)
    number_changes(connection, submission_id)
    oracle.successor |= change.replaced
    oracle.parent |= change.moved_villages
    oracle.change_areas()


def follow_challenge(connection: Connection, oracle: Oracle, catalogue: Catalogue, happening: Challenged) -> None:
    """The challenge as the hub keeps it, opened or closed, and the marks that follow from all of them."""
    if not oracle.records:
        return
    at = happening.at % len(oracle.records)
    tables = " UNION ALL ".join(f"SELECT record_id, '{code}' FROM {{d}}.rec_{code}" for code in TYPES)
    ((record_id, code),) = run_sql(connection, f"{tables} ORDER BY record_id OFFSET :at LIMIT 1", at=at)
    assert code == oracle.records[at].record_type
    if happening.stands:
        values = {
            "challenge_id": new_uuid(), "kind": "untrue", "record_type": code, "record_id": record_id, "raised_by": "town",
            "raised_by_name": "镇", "raised_at": utc_now(), "against": "health", "due_on": date(2026, 12, 1),
        }  # fmt: skip
        connection.execute(challenge.insert().values(values))
    else:
        connection.execute(challenge.update().where(challenge.c.record_id == record_id).values(state="closed"))
    submission_id = stage(connection, catalogue.record_types["employment"], [])
    mark_disputed(connection, submission_id, catalogue)
    lift_marks(connection, submission_id, catalogue)
    number_changes(connection, submission_id)
    oracle.challenge(at, stands=happening.stands)


def follow_judgement(connection: Connection, oracle: Oracle, catalogue: Catalogue, happening: Judgement) -> None:
    """The decision as the hub keeps it, carried out if it can be; the model must agree whether it can."""
    decided = connection.scalars(select(person_decision.c.decision_id).order_by(person_decision.c.decision_id)).all()
    kept, other = (who_has(connection, number) for number in (happening.kept, happening.other))
    impossible = kept is None or (happening.kind in ("merge", "apart") and other in (None, kept))
    if happening.undoes >= len(decided) if happening.kind == "undo" else impossible:
        assert not oracle.judge(happening)
        return
    decision_id, submission_id = new_uuid(), stage(connection, catalogue.record_types["employment"], [])
    values = {
        "decision_id": decision_id, "kind": happening.kind, "organisation": "bureau", "decided_by": "tester",
        "decided_at": utc_now(), "reason": "同一人", "id_no": happening.right if happening.kind == "merge" else None,
        "person_id": kept or decided[happening.undoes], "other_id": other if happening.kind != "split" else None,
        "identifiers": [["id_no", happening.right]] if happening.kind == "split" else [],
        "undoes": decided[happening.undoes] if happening.kind == "undo" else None,
    }  # fmt: skip
    savepoint = connection.begin_nested()
    connection.execute(person_decision.insert().values(values))
    try:
        carry_out(connection, submission_id, decision_id, catalogue)
    except CannotBeCarriedOut:
        savepoint.rollback()
        assert not oracle.judge(happening)
        return
    savepoint.commit()
    number_changes(connection, submission_id)
    assert oracle.judge(happening)


def who_has(connection: Connection, number: str) -> Any:
    return connection.scalar(select(person_identifier.c.person_id).where(person_identifier.c.value == number))


def check_persons(connection: Connection, oracle: Oracle, catalogue: Catalogue) -> None:
    """Records name the same persons as in the model, nobody is named by two, and what is kept of persons follows."""
    same: dict[Any, int | None] = {}
    for code in TYPES:
        refs = ", ".join(f"{role.role}_ref" for role in catalogue.record_types[code].people)
        kept = run_sql(connection, f"SELECT voided, {refs} FROM {{d}}.rec_{code} ORDER BY record_id")
        modelled = [one.now for one in oracle.records if one.record_type == code]
        assert [row[0] for row in kept] == [version.voided for version in modelled]
        for row, version in zip(kept, modelled, strict=True):
            for person, model in zip(row[1:], version.people, strict=True):
                assert same.setdefault(person, model) == model
    assert len({*same.values()}) == len(same)
    assert wrong_homes(connection, catalogue) == [] and wrong_numbers(connection, catalogue) == []


def check_slices(connection: Connection, oracle: Oracle, context: FeedContext) -> None:
    for name, definition in DEFINITIONS.items():
        queried = {str(found["record_id"]): marked(found) for found in query_slice(connection, context, definition)}
        modelled = oracle.slice(definition)
        assert sorted(map(repr, queried.values())) == sorted(map(repr, modelled))
        assert replay(connection, context, name) == queried


def marked(found: dict[str, Any]) -> dict[str, Any]:
    return {**found["after"], "disputed": found["disputed"]}


def replay(connection: Connection, context: FeedContext, code: str) -> dict[str, dict[str, Any]]:
    """What a subscriber holds after reading every page; each change must fit what it holds."""
    serve(connection)
    actor = SYSTEM_ACTOR
    held: dict[str, dict[str, Any]] = {}
    values: dict[str, Any] = {}
    cursor, expected_no = None, 1
    while True:
        page: Page = read_page(connection, actor, context, code, cursor, limit=5)
        for change in json.loads(f"[{page.changes}]"):
            assert change["delivery_no"] == expected_no
            expected_no += 1
            assert (change["op"] == "enter") == (change["record_id"] not in held)
            assert change["before"] == values.get(change["record_id"])
            if change["op"] == "leave":
                del held[change["record_id"]], values[change["record_id"]]
            else:
                held[change["record_id"]], values[change["record_id"]] = marked(change), change["after"]
        cursor = page.next
        if not page.more:
            connection.exec_driver_sql("RESET ROLE")
            return held


def serve(connection: Connection) -> None:
    """From here on as the web door: row security shows the opened slice and nothing else."""
    connection.exec_driver_sql("SET LOCAL ROLE hub_app")
    connection.exec_driver_sql("SET LOCAL hub.registry = 'on'")
