"""The town's desk: lines answered on the page and by the interface; half a page, two at once, nothing lost, nothing twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from hub.database import Database
from hub.registry.api_keys import issue_key
from hub.registry.permissions import ROLES, SYSTEM_ACTOR
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.decisions import read
from tests.desk_visits import Visitor, visitor
from tests.doors import OTHER_TOWN, THIS_MONTH, TOWN, VILLAGE, Hub, founded_hub, open_account
from tests.round_hub import challenges_of, items_of, move_people_in, open_month

ITEMS = f"/rounds/{THIS_MONTH}/items"
VERDICTS, LINES = f"/v1/rounds/{THIS_MONTH}/verdicts", f"/v1/rounds/{THIS_MONTH}/items"


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as founded:
        with founded.served.begin() as connection:
            open_account(connection, "qingxi2", TOWN, "town_officer")
        move_people_in(founded, catalogue)
        open_month(founded, catalogue)
        with working(founded):
            yield founded


class working:  # noqa: N801 -- read as a word
    """A worker that does what is queued while the pages wait for it."""

    def __init__(self, hub: Hub) -> None:
        self._hub, self._over = hub, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.wait(0.02):
            self._hub.work()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(20)


@pytest.fixture
def client(hub: Hub) -> Iterator[TestClient[Litestar]]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield client


@pytest.fixture
def qingxi(hub: Hub, client: TestClient[Litestar]) -> Visitor:
    return visitor(hub, client, "qingxi")


def row(item: dict[str, Any], result: str, seen: int | None = None, **said: str) -> dict[str, str]:
    """One row of the form as the browser sends it."""
    n, answers = item["number"], item["answers"] if seen is None else seen
    typed = {f"{n}-{name}": value for name, value in {"result": result, **said}.items()}
    return {f"{n}-line": f"{item['record_id']}:{answers}"} | typed


def states(hub: Hub, town: str = TOWN) -> list[str]:
    return [one["state"] for one in items_of(hub, town)]


def answers_sent(hub: Hub) -> int:
    return int(read(hub, "SELECT count(*) FROM {d}.submission WHERE record_type = 'town_verification'")[0][0])


def test_a_page_is_answered_in_part_and_says_what_became_of_it(hub: Hub, qingxi: Visitor) -> None:
    one, two, three, _ = items_of(hub)
    page = qingxi.get(ITEMS).text
    assert all(str(line["name"]) in page for line in items_of(hub)) and "属实" in page
    answered = row(one, "1") | row(two, "4", to_town=f"{OTHER_TOWN}000") | row(three, "")
    done = qingxi.post(ITEMS, key="k", save="all", verifier="万和", method="1", **answered)
    assert done.status_code == 303
    assert states(hub) == ["answered", "transferred", "open", "open"]
    after = qingxi.get(done.headers["location"])
    assert "已报送 2 项" in after.text
    assert 'value="万和"' in after.text, "who verified is not typed twice"
    assert 'value="1" selected' in after.text, "nor how"
    assert str(one["name"]) in qingxi.get(f"{ITEMS}?state=answered").text


def test_what_is_wrong_is_said_beside_its_line_and_everything_typed_stays(hub: Hub, qingxi: Visitor) -> None:
    one, two, three, four = items_of(hub)
    typed = (
        row(one, "1") | row(two, "4") | row(three, "2", right_date="2999-01-01") | row(four, "1", right_name="王晓明")
    )
    refused = qingxi.post(ITEMS, key="k", save="all", **typed)
    assert refused.status_code == 422
    assert "请选择转派到哪个镇街。" in refused.text and "不晚于今天" in refused.text and "应选“不属实”" in refused.text
    assert 'value="2999-01-01"' in refused.text and 'value="王晓明"' in refused.text
    assert f'name="{one["number"]}-result" value="1" checked' in refused.text
    assert states(hub) == ["open"] * 4 and answers_sent(hub) == 0
    nothing = qingxi.post(ITEMS, key="k", save="all", **row(one, ""))
    assert (nothing.status_code, "请先选择核对结果" in nothing.text) == (422, True)
    english = qingxi.client.post(
        ITEMS, data={"token": qingxi.token, "key": "k", "save": "all"} | row(two, "4"), follow_redirects=False,
        headers=qingxi.headers | {"Cookie": f"{qingxi.headers['Cookie']}; __Host-lang=en"},
    )  # fmt: skip
    assert "Choose the town it goes to." in english.text and "请" not in english.text.replace("中文", "")


def test_a_form_sent_twice_does_nothing_twice(hub: Hub, qingxi: Visitor) -> None:
    one, two, *_ = items_of(hub)
    first = qingxi.post(ITEMS, key="k", save="all", **row(one, "1"))
    again = qingxi.post(ITEMS, key="k", save="all", **row(one, "1"))
    assert again.headers["location"] == first.headers["location"]
    assert (answers_sent(hub), items_of(hub)[0]["answers"]) == (1, 1)
    qingxi.post(ITEMS, key="later", save="all", **row(two, "3"))
    assert (answers_sent(hub), len(challenges_of(hub))) == (2, 1)


def test_an_answer_given_meanwhile_is_shown_beside_ones_own_and_one_of_them_chosen(hub: Hub, qingxi: Visitor) -> None:
    one, two, *_ = items_of(hub)
    qingxi.post(ITEMS, key="k", save="all", verifier="万和", **row(one, "3", actual="三次上门无人"))
    contested = qingxi.post(ITEMS, key="l", save="all", **row(one, "1", seen=0), **row(two, "1"))
    assert contested.status_code == 412
    assert "三次上门无人" in contested.text and f'value="mine-{one["number"]}"' in contested.text
    assert states(hub)[1] == "open", "of what was sent together nothing is done"
    same = qingxi.post(ITEMS, key="m", save="all", **row(one, "3", seen=0))
    assert same.status_code == 303, "who says the same is not asked"
    kept = row(items_of(hub)[0], "1") | {f"{one['number']}-contested": "1"}
    skipped = qingxi.post(ITEMS, key="n", save="all", **kept, **row(two, "1"))
    assert (skipped.status_code, items_of(hub)[0]["result"], states(hub)[1]) == (303, "3", "answered")
    left = qingxi.post(ITEMS, key="o", save=f"theirs-{one['number']}", **kept)
    assert (left.status_code, items_of(hub)[0]["result"]) == (200, "3")
    chosen = qingxi.post(ITEMS, key="p", save=f"mine-{one['number']}", **kept)
    assert (chosen.status_code, items_of(hub)[0]["result"]) == (303, "1")


def test_of_two_different_answers_at_the_same_moment_one_stands_and_the_other_waits(hub: Hub) -> None:
    line, answers = items_of(hub)[0], {}
    both_read = threading.Barrier(2)

    def answer(login: str, result: str) -> None:
        with TestClient(hub.app, base_url="https://hub.test") as client:
            officer = visitor(hub, client, login)
            both_read.wait(10)
            headers = officer.headers | {"X-Rows": "1"}
            form = {"token": officer.token, "key": login, "save": f"row-{line['number']}"} | row(line, result)
            answers[login] = client.post(ITEMS, data=form, headers=headers)

    threads = [threading.Thread(target=answer, args=each) for each in (("qingxi", "1"), ("qingxi2", "3"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    told = {login: (one.status_code, one.headers["x-rows"]) for login, one in answers.items()}
    stood, other = sorted(answers, key=lambda login: "已报送。" not in answers[login].text)
    assert told[stood] == (200, "taken") and "已报送。" in answers[stood].text
    assert items_of(hub)[0]["result"] == {"qingxi": "1", "qingxi2": "3"}[stood]
    assert items_of(hub)[0]["answers"] == 1
    if told[other][0] == 200:  # both were let through the door
        assert 'href="/held/' in answers[other].text
        assert read(hub, "SELECT codes FROM {d}.held_row") == [(["E_VERDICT_CONFLICT"],)]
    else:
        assert told[other] == (412, "AnsweredMeanwhile")


def test_a_whole_village_is_true_once_somebody_has_counted_it(hub: Hub, qingxi: Visitor) -> None:
    one, *_ = items_of(hub)
    qingxi.post(ITEMS, key="k", save="all", **row(one, "5"))
    village = {"key": "v", "village": VILLAGE, "method": "3"}
    wrong = qingxi.post(f"{ITEMS}/village", count="4", **village)
    assert (wrong.status_code, "现有 3 项" in wrong.text) == (422, True)
    assert states(hub) == ["deferred", "open", "open", "open"]
    done = qingxi.post(f"{ITEMS}/village", count="3", **village)
    assert (done.status_code, states(hub)) == (303, ["deferred", "answered", "answered", "answered"])
    again = qingxi.post(f"{ITEMS}/village", count="3", **village)
    assert (again.headers["location"], answers_sent(hub)) == (done.headers["location"], 2)


def test_nobody_answers_for_another_town_or_sees_its_lines(hub: Hub, client: TestClient[Litestar]) -> None:
    line = items_of(hub)[0]
    bailu, police = visitor(hub, client, "bailu"), visitor(hub, client, "gongan")
    assert line["name"] not in bailu.get(f"{ITEMS}?state=all").text
    assert bailu.post(ITEMS, key="k", save="all", **row(line, "1")).status_code == 404
    assert bailu.post(f"{ITEMS}/village", key="k", village=VILLAGE, count="4").status_code == 422
    assert police.get(ITEMS).status_code == 403
    assert police.post(ITEMS, key="k", save="all", **row(line, "1")).status_code == 403
    assert states(hub) == ["open"] * 4 and answers_sent(hub) == 0


def test_a_towns_own_system_reads_its_lines_and_answers_them(hub: Hub, client: TestClient[Litestar]) -> None:
    with hub.served.begin() as connection:
        scopes = ROLES["town_officer"]
        key = issue_key(connection, SYSTEM_ACTOR, organisation=TOWN, title="接口", scopes=scopes).text
    headers = {"Authorization": f"Bearer {key}"}
    page = client.get(LINES, params={"limit": 3}, headers=headers).json()
    rest = client.get(page["next"] and f"{LINES}?cursor={page['next']}&limit=3", headers=headers).json()
    assert [one["number"] for one in page["data"] + rest["data"]] == [1, 2, 3, 4] and rest["next"] is None
    assert all("*" in one["id_no"] and one["answers"] == 0 and one["village"] == f"{VILLAGE}" for one in page["data"])
    one, two, three = (str(line["record_id"]) for line in page["data"])

    def send(key: str, *answers: dict[str, Any]) -> Any:
        return client.post(VERDICTS, json={"answers": answers}, headers=headers | {"Idempotency-Key": key})

    said = {"record_id": one, "answers": 0, "result": "1", "verifier": "万和", "method": "2"}
    first = send("a", said, {"record_id": two, "answers": 0, "result": "3"})
    assert (first.status_code, [line["outcome"] for line in first.json()["lines"]]) == (200, ["taken", "taken"])
    assert send("a", said, {"record_id": two, "answers": 0, "result": "3"}).json()["repeated"] is True
    assert send("a", said).status_code == 422
    assert states(hub) == ["answered", "answered", "open", "open"]
    problem = send("b", {"record_id": two, "answers": 0, "result": "1"}, {"record_id": three, "answers": 0, "result": "1"})
    assert problem.status_code == 412
    contested = problem.json()["lines"][0]
    assert (contested["yours"]["result"], contested["theirs"]["result"], contested["answers"]) == ("1", "3", 1)
    assert states(hub)[2] == "open"
    wrong = send("c", {"record_id": three, "answers": 0, "result": "4"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "to_town")
    assert send("d", {"record_id": three, "answers": 0, "result": "1", "roles": "x"}).status_code == 400
