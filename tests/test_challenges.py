"""Challenges: what a town or a receiver says of a record reaches its source, is answered in time, and ends."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from typer.testing import CliRunner

from hub import jobs
from hub.__main__ import app
from hub.casework.challenge_list import HIDDEN, WantedChallenges, count_by_source, list_challenges
from hub.casework.challenge_settling import settle_by_itself
from hub.casework.challenges import (
    BadAnswer,
    CareNotChallenged,
    ChallengeMoved,
    Raised,
    due_on,
    raise_challenges,
)
from hub.database import Database, utc_now
from hub.decisions.challenges import BadChallenge, OwnRecord, Said, raise_challenge, unmask_challenge, work_challenge
from hub.errors import NotAllowed, NotFound
from hub.exchange.dispute_submission import lift_settled
from hub.registry.permissions import SYSTEM_ACTOR, Actor
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.decisions import finish, read, rows, send
from tests.desk_visits import visitor
from tests.district import actor
from tests.doors import THIS_MONTH, TOWN, VILLAGE, Hub, founded_hub, identity_number
from tests.round_hub import OFFICER, OTHER_OFFICER, answer, give, items_of, marked, move_people_in, open_month

POLICE = actor("public_security", "department_clerk", name="gongan")
HEALTH = actor("health", "department_clerk", name="weijian")
LABOUR = actor("labour", "department_clerk", name="renshe")
BUREAU = actor("bureau", "bureau_operator", name="quju")
TOMORROW = timedelta(days=1)


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as founded:
        move_people_in(founded, catalogue, 2)
        open_month(founded, catalogue)
        with founded.served.begin(reach_of(SYSTEM_ACTOR)) as connection:
            create_subscription(
                connection, SYSTEM_ACTOR, catalogue, code="moves", organisation="health", title="迁入",
                definition=SliceDefinition((SliceType("hukou_move_in", ("name", "move_date")),)),
                terms=Terms(purpose="核对", legal_basis="条例"),
            )  # fmt: skip
        yield founded


def only(hub: Hub, who: Actor, catalogue: Catalogue, **wanted: Any) -> Any:
    with hub.served.begin(reach_of(who)) as connection:
        (one,) = list_challenges(connection, who, catalogue, WantedChallenges(**wanted), purpose="test")
    return one


def untrue(hub: Hub, catalogue: Catalogue) -> Any:
    """The town said that its first line is not true; the challenge as the source sees it."""
    give(hub, catalogue, answer(items_of(hub)[0], "2"))
    return only(hub, POLICE, catalogue, side="against")


def work(hub: Hub, who: Actor, challenge: UUID, act: str, outcome: str = "", text: str = "") -> None:
    work_challenge(hub.served, hub.settings, who, challenge, act, outcome=outcome, text=text)


def tick(hub: Hub, catalogue: Catalogue) -> int:
    """What the hub does each minute: what the register has answered is closed, marks are told."""
    with hub.worker.begin() as connection:
        settle_by_itself(connection, SYSTEM_ACTOR, catalogue, utc_now())
    return lift_settled(hub.worker, hub.settings, catalogue)


def marks(hub: Hub) -> list[bool]:
    return [bool(mark) for (mark,) in read(hub, "SELECT disputed FROM {d}.rec_hukou_move_in ORDER BY record_id")]


def states(hub: Hub) -> list[tuple[Any, ...]]:
    return read(hub, "SELECT kind, against, state, answer FROM {d}.challenge ORDER BY raised_at, kind, against")


def test_a_towns_word_marks_the_record_at_once_and_the_sources_answer_ends_it(hub: Hub, catalogue: Catalogue) -> None:
    asked = untrue(hub, catalogue)
    assert (asked.kind, asked.state, asked.name, asked.record_type) == ("untrue", "open", "王小明", "hukou_move_in")
    assert marks(hub) == [True, False]
    with pytest.raises(BadAnswer):
        work(hub, POLICE, asked.challenge_id, "answer", "stands")
    with pytest.raises(BadAnswer):
        work(hub, POLICE, asked.challenge_id, "answer", "registered", "已经登记了")
    work(hub, POLICE, asked.challenge_id, "answer", "stands", "已调阅户口底册，迁入属实")
    with pytest.raises(ChallengeMoved):
        work(hub, POLICE, asked.challenge_id, "answer", "corrected")
    assert (tick(hub, catalogue), marks(hub)) == (0, [True, False])
    work(hub, OFFICER, asked.challenge_id, "close")
    assert (tick(hub, catalogue), marks(hub)) == (1, [False, False])


def test_after_the_second_time_it_is_the_bureaus_and_it_reads_nobodys_values(hub: Hub, catalogue: Catalogue) -> None:
    asked = untrue(hub, catalogue).challenge_id
    for _ in range(2):
        work(hub, POLICE, asked, "answer", "stands", "底册如此，无误")
        with pytest.raises(NotAllowed):
            work(hub, BUREAU, asked, "close")
        work(hub, OFFICER, asked, "insist", text="入户三次，确无此事")
    work(hub, POLICE, asked, "answer", "stands", "底册如此，无误")
    with pytest.raises(ChallengeMoved):
        work(hub, OFFICER, asked, "insist", text="入户三次，确无此事")
    shown = only(hub, BUREAU, catalogue, escalated=True)
    assert (shown.name, shown.identifier) == (HIDDEN, "")
    with hub.served.begin(reach_of(BUREAU)) as connection:
        (count,) = count_by_source(connection, BUREAU, date(2100, 1, 1))
        assert (count.organisation, count.answered, count.escalated) == ("public_security", 1, 1)
        with pytest.raises(NotAllowed):
            unmask_challenge(connection, BUREAU, catalogue, asked, "协调两家单位")
    work(hub, BUREAU, asked, "close")
    assert states(hub) == [("untrue", "public_security", "closed", "stands")]


def test_the_sources_own_correction_closes_it(hub: Hub, catalogue: Catalogue) -> None:
    one, two = items_of(hub)
    give(hub, catalogue, answer(one, "2", right_name="王晓明"), answer(two, "3"))
    tick(hub, catalogue)
    assert marks(hub) == [True, True]
    send(hub, catalogue, rows(1, 2, 民族="回族"))  # another field: the name is still in question
    assert (tick(hub, catalogue), marks(hub)) == (0, [True, True])
    send(hub, catalogue, rows(1, 2, 姓名="王晓明"))
    assert (tick(hub, catalogue), marks(hub)) == (1, [False, True])
    assert states(hub) == [
        ("nobody", "public_security", "open", ""),
        ("value", "public_security", "closed", "corrected"),
    ]


def test_another_answer_withdraws_what_came_of_the_first(hub: Hub, catalogue: Catalogue) -> None:
    untrue(hub, catalogue)
    line = items_of(hub)[0]
    give(hub, catalogue, marked(hub, answer(line, "1"), line))
    assert states(hub) == [("untrue", "public_security", "withdrawn", "")]
    assert (tick(hub, catalogue), marks(hub)) == (1, [False, False])


def found(hub: Hub, catalogue: Catalogue, serial: int, kind: str = "2", **more: str) -> None:
    row = {
        "kind": kind, "changed_on": f"{THIS_MONTH}-01", "name": "陈新来", "id_no": identity_number(serial), "live_div": VILLAGE,
        "sex": "1", "birth_date": "1990-03-07",
    }  # fmt: skip
    accepted = jobs.accept(
        hub.served, hub.settings, OFFICER, stream=io.BytesIO(msgspec.json.encode(row | more) + b"\n"),
        file_name="found.jsonl", record_type="town_arrival", organisation=TOWN, period=THIS_MONTH, door="panel",
        catalogue=catalogue,
    )  # fmt: skip
    finish(hub, catalogue, accepted.submission_id)


def test_what_a_town_found_is_put_to_the_department_until_it_registers_it(hub: Hub, catalogue: Catalogue) -> None:
    found(hub, catalogue, 1)  # the police have registered this one already
    assert states(hub) == []
    found(hub, catalogue, 61)
    assert states(hub) == [("unreported", "public_security", "open", "")]
    assert "陈新来" in read(hub, "SELECT claimed FROM {d}.challenge")[0][0]
    found(hub, catalogue, 61, text="补充说明")
    assert len(states(hub)) == 1, "said again, it is one challenge"
    tick(hub, catalogue)
    assert states(hub)[0][2] == "open"
    send(hub, catalogue, rows(61, 62, 姓名="陈新来"))
    tick(hub, catalogue)
    assert states(hub) == [("unreported", "public_security", "closed", "registered")]


def test_a_birth_found_goes_to_each_department_and_is_taken_back_with_the_find(hub: Hub, catalogue: Catalogue) -> None:
    born = {
        "kind": "1",
        "id_no": identity_number(63, f"{THIS_MONTH}01".replace("-", "")),
        "birth_date": f"{THIS_MONTH}-01",
    }
    found(hub, catalogue, 63, **born)
    assert [(kind, against) for kind, against, *_ in states(hub)] == [
        ("unreported", "health"), ("unreported", "public_security"),
    ]  # fmt: skip
    found(hub, catalogue, 63, **born, change_kind="void")
    assert {state for _, _, state, _ in states(hub)} == {"withdrawn"}


def record_of(hub: Hub) -> UUID:
    return UUID(str(items_of(hub)[0]["record_id"]))


def raised(hub: Hub, catalogue: Catalogue, who: Actor, record: UUID, **said: str) -> UUID | None:
    asked = Said(**({"kind": "untrue", "reason": "与医院记录不符"} | said))  # type: ignore[arg-type]
    return raise_challenge(hub.served, hub.settings, catalogue, who, record, asked)


def test_a_receiver_challenges_what_it_receives_and_nothing_else(hub: Hub, catalogue: Catalogue) -> None:
    record = record_of(hub)
    made = raised(hub, catalogue, HEALTH, record, kind="value", field="name", claimed="王晓明")
    assert raised(hub, catalogue, HEALTH, record, kind="value", field="name", claimed="王晓明") is None
    assert (tick(hub, catalogue), marks(hub)) == (1, [True, False])
    for who, problem, said in (
        (LABOUR, NotFound, {}),  # it has no slice with the record
        (HEALTH, NotFound, {"record": UUID(int=1)}),
        (HEALTH, BadChallenge, {"kind": "value", "field": "id_no", "claimed": "1"}),  # a field it does not receive
        (HEALTH, BadChallenge, {"reason": "不"}),
    ):
        with pytest.raises(problem):
            raised(hub, catalogue, who, said.pop("record", record), **said)  # type: ignore[arg-type]
    assert only(hub, POLICE, catalogue, side="against").challenge_id == made
    with hub.served.begin(reach_of(SYSTEM_ACTOR)) as connection:
        create_subscription(
            connection, SYSTEM_ACTOR, catalogue, code="own", organisation="public_security", title="迁入",
            definition=SliceDefinition((SliceType("hukou_move_in", ("name",)),)),
            terms=Terms(purpose="核对", legal_basis="条例"),
        )  # fmt: skip
    with pytest.raises(OwnRecord):
        raised(hub, catalogue, POLICE, record)
    refused = read(
        hub, "SELECT count(*) FROM {d}.audit WHERE object = :one AND outcome = 'refused'", one=f"record/{record}"
    )
    assert refused == [(4,)]


def test_care_records_are_not_challenged(hub: Hub) -> None:
    care = Raised(
        kind="untrue", record_type="postnatal_visit", record_id=UUID(int=7), raised_by="health",
        raised_by_name="卫健局", against="mch_station",
    )  # fmt: skip
    with hub.worker.begin() as connection, pytest.raises(CareNotChallenged):
        raise_challenges(connection, hub.settings, utc_now(), [care])


def test_the_other_side_alone_knows_of_it(hub: Hub, catalogue: Catalogue) -> None:
    asked = untrue(hub, catalogue).challenge_id
    for who in (OTHER_OFFICER, LABOUR, HEALTH):
        with pytest.raises(NotFound):
            work(hub, who, asked, "withdraw")
        with hub.served.begin(reach_of(who)) as connection:
            assert list_challenges(connection, who, catalogue, WantedChallenges(), purpose="test") == []
    with pytest.raises(NotAllowed):
        work(hub, POLICE, asked, "withdraw")
    with pytest.raises(NotAllowed):
        work(hub, OFFICER, asked, "answer", "corrected")


def test_ten_working_days_go_around_national_day(settings: Settings) -> None:
    """1 to 7 October are free, Saturday the 10th is worked."""
    assert due_on(settings, datetime(2026, 9, 29, 4, tzinfo=UTC)) == date(2026, 10, 19)
    assert due_on(settings, datetime(2026, 9, 28, 17, tzinfo=UTC)) == date(2026, 10, 19), "it is the 29th there"


@pytest.fixture
def client(hub: Hub) -> Iterator[TestClient[Litestar]]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield client


def test_both_sides_work_it_on_their_pages(hub: Hub, client: TestClient[Litestar], catalogue: Catalogue) -> None:
    asked = untrue(hub, catalogue).challenge_id
    police, town, bureau = (visitor(hub, client, login) for login in ("gongan", "qingxi", "quju"))
    number = identity_number(1)
    listed, page = police.get("/challenges?side=against&state=open"), police.get(f"/challenges/{asked}")
    assert "王小明" in listed.text and "不属实" in page.text
    assert number not in listed.text + page.text
    assert number in police.post(f"/challenges/{asked}/unmask", reason="核对户口底册").text
    refused = police.post(f"/challenges/{asked}/answer", answer="stands", text="")
    assert refused.status_code == 422 and "aria-invalid" in refused.text
    assert police.post(f"/challenges/{asked}/answer", answer="stands", text="底册如此，无误").status_code == 303
    assert "王小明" not in bureau.get("/challenges").text + bureau.get(f"/challenges/{asked}", language="en").text
    assert "底册如此" in town.get(f"/challenges/{asked}").text
    assert town.post(f"/challenges/{asked}/close").status_code == 303
    assert states(hub)[0][2] == "closed"


def test_a_units_system_works_it_too(hub: Hub, client: TestClient[Litestar], catalogue: Catalogue) -> None:
    from hub.registry.api_keys import issue_key
    from hub.registry.permissions import Right

    with hub.served.begin() as connection:
        keys = {
            code: issue_key(
                connection,
                SYSTEM_ACTOR,
                organisation=code,
                title="校核",
                scopes={Right.WORK_CHALLENGE, Right.PULL_SLICE},
            ).text
            for code in ("health", "public_security")
        }
    health, police = ({"Authorization": f"Bearer {keys[code]}"} for code in ("health", "public_security"))
    body = {"record_id": str(record_of(hub)), "kind": "untrue", "reason": "与医院记录不符"}
    made = client.post("/v1/challenges", json=body, headers=health)
    assert made.status_code == 201
    one = made.json()["challenge_id"]
    assert client.post("/v1/challenges", json=body, headers=health).json() == {"challenge_id": None, "repeated": True}
    (listed,) = client.get("/v1/challenges?side=against", headers=police).json()["data"]
    assert (listed["challenge_id"], listed["state"]) == (one, "open")
    said = {"act": "answer", "answer": "stands", "text": "底册如此，无误"}
    assert client.post(f"/v1/challenges/{one}/act", json=said, headers=police).status_code == 200
    assert client.get(f"/v1/challenges/{one}", headers=health).json()["may"] == ["close", "insist", "withdraw"]
    assert client.get("/v1/challenges", headers=hub.key_of("labour")).status_code == 403


def test_the_commands_raise_list_answer_and_close(
    hub: Hub, settings: Settings, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("database_url", "worker_url", "owner_url"):
        monkeypatch.setenv(f"HUB_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("HUB_HOME", str(settings.home))

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["challenges", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    said = ("--as", "health", "--reason", "与医院记录不符")
    assert "已提出校核" in run("raise", str(record_of(hub)), *said, "--field", "name", "--claimed", "王晓明")
    (one,) = msgspec.json.decode(run("list", "--as", "public_security", "--side", "against", "--json"))
    assert identity_number(1) not in run("list", "--as", "public_security")
    run("answer", one["challenge_id"], "--as", "public_security", "--answer", "stands", "--text", "底册如此，无误")
    run("close", one["challenge_id"], "--as", "health")
    assert states(hub) == [("value", "public_security", "closed", "stands")]
