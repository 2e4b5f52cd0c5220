"""The town's desk: lines answered on the page and by the interface; half a page, two at once, nothing lost, nothing twice."""

from __future__ import annotations

import html
import logging
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from admin import verdict_desk
from hub.database import Database, run_sql
from hub.embedded import Cluster
from hub.registry.api_keys import issue_key
from hub.registry.machine_identity import rights_a_key_may_have
from hub.registry.organisations import load_organisation
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import load_settings
from mappings.catalogue import Catalogue
from tests.conftest import clone_template, execute
from tests.decisions import read, rows, send
from tests.desk_visits import Visitor, visitor
from tests.doors import (
    OTHER_TOWN,
    OTHER_VILLAGE,
    THIS_MONTH,
    TOWN,
    VILLAGE,
    Hub,
    founded_hub,
    identity_number,
    open_account,
)
from tests.round_hub import items_of, open_month

ITEMS = f"/rounds/{THIS_MONTH}/items"
REPORT = f"/rounds/{THIS_MONTH}/report"
WHOLE_VILLAGE, PEOPLE = "999001001002", 20
VERDICTS, LINES = f"/v1/rounds/{THIS_MONTH}/verdicts", f"/v1/rounds/{THIS_MONTH}/items"


@pytest.fixture(scope="module")
def hub(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One hub for all: each test answers lines of its own."""
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    clone_template(cluster, "verdict_desk")
    urls = cluster.urls("verdict_desk")
    settings = load_settings(
        tmp_path_factory.mktemp("desk") / "home", database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker,
        audit_url=urls.audit, accounts={"second_factor_roles": []}, fictitious_prefixes=("999001",), demo=True,
    )  # fmt: skip
    database, app_database = (Database(url, settings.district) for url in (urls.worker, urls.app))
    with founded_hub(database, app_database, settings, catalogue) as founded:
        with founded.served.begin() as connection:
            open_account(connection, "qingxi2", TOWN, "town_officer")
        send(founded, catalogue, rows(1, 21))
        send(founded, catalogue, rows(31, 35, **{"所属社区(村)": WHOLE_VILLAGE}))
        open_month(founded, catalogue)
        with working(founded):
            yield founded
    database.close()
    app_database.close()
    execute(cluster, "DROP DATABASE verdict_desk WITH (FORCE)")


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


@pytest.fixture(scope="module")
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


def fresh(hub: Hub, many: int) -> list[dict[str, Any]]:
    """Lines of the big village that nobody answered yet."""
    return [line for line in items_of(hub) if line["state"] == "open" and line["number"] <= PEOPLE][:many]


def now(hub: Hub, *lines: dict[str, Any]) -> list[tuple[str, str | None]]:
    """State and verdict of these lines."""
    known = {line["record_id"]: (line["state"], line["result"]) for line in items_of(hub)}
    return [known[line["record_id"]] for line in lines]


def answers_sent(hub: Hub) -> int:
    return int(read(hub, "SELECT count(*) FROM {d}.submission WHERE record_type = 'town_verification'")[0][0])


OPEN, TRUE, NOBODY = ("open", None), ("answered", "1"), ("answered", "3")


def test_a_page_is_answered_in_part_and_says_what_became_of_it(hub: Hub, qingxi: Visitor) -> None:
    one, two, three = fresh(hub, 3)
    page = qingxi.get(ITEMS).text
    assert all(str(line["name"]) in page for line in (one, two, three)) and "属实" in page
    answered = row(one, "1") | row(two, "4", to_town=f"{OTHER_TOWN}000") | row(three, "")
    done = qingxi.post(ITEMS, key="k", save="all", verifier="万和", method="1", **answered)
    assert done.status_code == 303
    assert now(hub, one, two, three) == [TRUE, ("transferred", "4"), OPEN]
    after = qingxi.get(done.headers["location"])
    assert "已报送 2 项" in after.text
    assert 'value="万和"' in after.text, "who verified is not typed twice"
    assert 'value="1" selected' in after.text, "nor how"
    assert str(one["name"]) in qingxi.get(f"{ITEMS}?state=answered").text
    assert str(two["name"]) in qingxi.get(f"{ITEMS}?only={two['number']},1999999999").text


def test_what_is_wrong_is_said_beside_its_line_and_everything_typed_stays(hub: Hub, qingxi: Visitor) -> None:
    one, two, three, four = lines = fresh(hub, 4)
    typed = (
        row(one, "1") | row(two, "4") | row(three, "2", right_date="2999-01-01") | row(four, "1", right_name="王晓明")
    )
    refused = qingxi.post(ITEMS, key="k", save="all", **typed)
    assert refused.status_code == 422
    assert "请选择转派到哪个镇街。" in refused.text and "不晚于今天" in refused.text and "应选“不属实”" in refused.text
    assert 'value="2999-01-01"' in refused.text and 'value="王晓明"' in refused.text
    assert f'name="{one["number"]}-result" value="1" checked' in refused.text
    assert now(hub, *lines) == [OPEN] * 4
    nothing = qingxi.post(ITEMS, key="k", save="all", **row(one, ""))
    assert (nothing.status_code, "请先选择核对结果" in nothing.text) == (422, True)
    assert qingxi.post(ITEMS, key="k", save="all", **{"1-line": "x"}).status_code == 400
    english = qingxi.client.post(
        ITEMS, data={"token": qingxi.token, "key": "k", "save": "all"} | row(two, "4"), follow_redirects=False,
        headers=qingxi.headers | {"Cookie": f"{qingxi.headers['Cookie']}; __Host-lang=en"},
    )  # fmt: skip
    assert "Choose the town it goes to." in english.text and "请选择" not in english.text


def test_a_form_sent_twice_does_nothing_twice(hub: Hub, qingxi: Visitor) -> None:
    line, before = fresh(hub, 1)[0], answers_sent(hub)
    first = qingxi.post(ITEMS, key="k", save="all", **row(line, "1"))
    again = qingxi.post(ITEMS, key="k", save="all", **row(line, "1"))
    assert again.headers["location"] == first.headers["location"]
    assert (answers_sent(hub), now(hub, line)) == (before + 1, [TRUE])


def test_an_answer_given_meanwhile_is_shown_beside_ones_own_and_one_of_them_chosen(hub: Hub, qingxi: Visitor) -> None:
    one, two = fresh(hub, 2)
    qingxi.post(ITEMS, key="k", save="all", verifier="万和", **row(one, "3", actual="三次上门无人"))
    contested = qingxi.post(ITEMS, key="l", save="all", **row(one, "1", seen=0), **row(two, "1"))
    assert contested.status_code == 412
    assert "三次上门无人" in contested.text and f'value="mine-{one["number"]}"' in contested.text
    assert now(hub, one, two) == [NOBODY, OPEN], "of what was sent together nothing is done"
    same = qingxi.post(ITEMS, key="m", save="all", **row(one, "3", seen=0))
    assert same.status_code == 303, "who says the same is not asked"
    seen = next(line["answers"] for line in items_of(hub) if line["number"] == one["number"])
    kept = row(one, "1", seen=seen) | {f"{one['number']}-contested": "1"}
    skipped = qingxi.post(ITEMS, key="n", save="all", **kept, **row(two, "1"))
    assert (skipped.status_code, now(hub, one, two)) == (200, [NOBODY, TRUE])
    assert f'value="mine-{one["number"]}"' in skipped.text, "nobody has chosen yet"
    left = qingxi.post(ITEMS, key="o", save=f"theirs-{one['number']}", **kept)
    assert (left.status_code, now(hub, one)) == (200, [NOBODY])
    chosen = qingxi.post(ITEMS, key="p", save=f"mine-{one['number']}", **kept)
    assert (chosen.status_code, now(hub, one)) == (303, [TRUE])


def test_of_two_different_answers_at_the_same_moment_one_stands_and_the_other_waits(
    hub: Hub, client: TestClient[Litestar]
) -> None:
    line, answers, both = fresh(hub, 1)[0], {}, threading.Barrier(2)
    officers = {result: visitor(hub, client, login) for result, login in (("1", "qingxi"), ("3", "qingxi2"))}

    def send_answer(result: str) -> None:
        who = officers[result]
        form = {"token": who.token, "key": result, "save": f"row-{line['number']}"} | row(line, result)
        both.wait(10)
        answers[result] = client.post(ITEMS, data=form, headers=who.headers | {"X-Rows": "1"})

    threads = [threading.Thread(target=send_answer, args=each) for each in officers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    stood, other = sorted(answers, key=lambda result: "已报送。" not in answers[result].text)
    assert "已报送。" in answers[stood].text and now(hub, line) == [("answered", stood)]
    if answers[other].status_code == 200:  # both were let through the door
        assert 'href="/held/' in answers[other].text
        assert read(hub, "SELECT codes FROM {d}.held_row") == [(["E_VERDICT_CONFLICT"],)]
    else:
        assert (answers[other].status_code, answers[other].headers["x-rows"]) == (412, "AnsweredMeanwhile")


def test_a_whole_village_is_true_once_somebody_has_counted_it(hub: Hub, qingxi: Visitor) -> None:
    lines, before = [line for line in items_of(hub) if line["number"] > PEOPLE], answers_sent(hub)
    qingxi.post(ITEMS, key="k", save="all", **row(lines[0], "5"))
    village = {"key": "v", "village": WHOLE_VILLAGE, "method": "3"}
    wrong = qingxi.post(f"{ITEMS}/village", count="4", **village)
    assert (wrong.status_code, "现有 3 项" in wrong.text) == (422, True)
    beside = qingxi.post(f"{ITEMS}/village", count="3", **village, **row(lines[1], "2", actual="已搬走"))
    assert (beside.status_code, "请先报送或清空" in beside.text, 'value="已搬走"' in beside.text) == (422, True, True)
    assert qingxi.post(ITEMS, save="enter", count="4", **village).status_code == 422, "Enter in its field is its button"
    assert now(hub, *lines) == [("deferred", "5"), OPEN, OPEN, OPEN]
    done = qingxi.post(f"{ITEMS}/village", count="3", **village)
    assert (done.status_code, now(hub, *lines)) == (303, [("deferred", "5"), TRUE, TRUE, TRUE])
    again = qingxi.post(f"{ITEMS}/village", count="3", **village)
    assert (again.headers["location"], answers_sent(hub)) == (done.headers["location"], before + 2)


def test_the_next_page_leaves_out_nothing_that_is_open_when_this_one_was_answered(
    hub: Hub, qingxi: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict_desk, "_A_PAGE", 2)
    lines = [line for line in items_of(hub) if line["state"] == "open"]
    first = qingxi.get(f"{ITEMS}?state=open")
    onward = html.unescape(re.findall(r'<a href="([^"]+)" rel="next">', first.text)[0])
    qingxi.post(ITEMS, key="leafing", save="all", **row(lines[0], "5"))
    second = qingxi.get(f"{ITEMS}{onward}")
    shown = [re.findall(r'data-line="(\d+)"', page.text) for page in (first, second)]
    assert [int(number) for page in shown for number in page] == [line["number"] for line in lines[:4]]
    assert "回到第一页" in second.text and qingxi.get(f"{ITEMS}?after=-1").status_code == 400


def test_the_town_is_told_when_its_own_open_lines_are_due_not_when_the_round_was(hub: Hub, qingxi: Visitor) -> None:
    move = "UPDATE {d}.round_item SET due_on = due_on + CAST(:days AS integer) WHERE state = 'open' RETURNING due_on"
    with hub.worker.begin() as connection:
        due = min(str(moved) for (moved,) in run_sql(connection, move, days=20))
    try:
        assert f"期限 {due}" in qingxi.get(f"{ITEMS}?state=open").text
        assert due in qingxi.get("/").text
    finally:
        with hub.worker.begin() as connection:
            run_sql(connection, move, days=-20)


def test_nobody_answers_for_another_town_or_sees_its_lines(hub: Hub, client: TestClient[Litestar]) -> None:
    line, before = fresh(hub, 1)[0], answers_sent(hub)
    bailu, police = visitor(hub, client, "bailu"), visitor(hub, client, "gongan")
    assert line["name"] not in bailu.get(f"{ITEMS}?state=all").text
    assert bailu.post(ITEMS, key="k", save="all", **row(line, "1")).status_code == 404
    assert bailu.post(f"{ITEMS}/village", key="k", village=VILLAGE, count="4").status_code == 422
    assert police.get(ITEMS).status_code == 403
    assert police.post(ITEMS, key="k", save="all", **row(line, "1")).status_code == 403
    assert (now(hub, line), answers_sent(hub)) == ([OPEN], before)


def test_a_towns_own_system_reads_its_lines_and_answers_them(hub: Hub, client: TestClient[Litestar]) -> None:
    with hub.served.begin() as connection:
        scopes = rights_a_key_may_have(load_organisation(connection, TOWN))
        key = issue_key(connection, SYSTEM_ACTOR, organisation=TOWN, title="接口", scopes=scopes).text
    headers = {"Authorization": f"Bearer {key}"}
    client.cookies.clear()
    asked = {"limit": "3", "state": "open", "village": VILLAGE}
    page = client.get(LINES, params=asked, headers=headers).json()
    rest = client.get(LINES, params=asked | {"cursor": page["next"]}, headers=headers).json()
    numbers = [one["number"] for one in page["data"] + rest["data"]]
    assert numbers == sorted(set(numbers)) and len(page["data"]) == 3
    assert all("*" in one["id_no"] and one["answers"] == 0 and one["village"] == VILLAGE for one in page["data"])
    one, two, three = (str(line["record_id"]) for line in page["data"])

    def send_answers(key: str, *answers: dict[str, Any]) -> Any:
        return client.post(VERDICTS, json={"answers": answers}, headers=headers | {"Idempotency-Key": key})

    said = {"record_id": one, "answers": 0, "result": "1", "verifier": "万和", "method": "2"}
    nobody = {"record_id": two, "answers": 0, "result": "3"}
    first = send_answers("a", said, nobody)
    assert (first.status_code, [line["outcome"] for line in first.json()["lines"]]) == (200, ["taken", "taken"])
    assert send_answers("a", said, nobody).json()["repeated"] is True
    assert send_answers("a", said).status_code == 422
    problem = send_answers("b", nobody | {"result": "1"}, said | {"record_id": three})
    contested = problem.json()["lines"][0]
    assert problem.status_code == 412
    assert (contested["yours"]["result"], contested["theirs"]["result"], contested["answers"]) == ("1", "3", 1)
    wrong = send_answers("c", {"record_id": three, "answers": 0, "result": "4"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "to_town")
    assert send_answers("d", said | {"record_id": three, "roles": "x"}).status_code == 400
    assert [line["state"] for line in items_of(hub) if str(line["record_id"]) == three] == ["open"]


def test_one_visit_reports_several_facts_each_with_its_receipt(hub: Hub, qingxi: Visitor) -> None:
    visit = {"key": "r", "live_div": VILLAGE, "verifier": "万和", "found_on": f"{THIS_MONTH}-01"}
    born = {
        "kind": "1",
        "changed_on": f"{THIS_MONTH}-01",
        "name": "王新禾",
        "birth_date": f"{THIS_MONTH}-01",
        "sex": "2",
    }
    gone = {"kind": "2", "changed_on": f"{THIS_MONTH}-01", "name": "王小明", "id_no": identity_number(1)}
    need = {"kind": "3", "name": "王小明", "text": "孩子入托"}
    facts = {"town_arrival": born, "town_departure": gone, "service_request": need}
    form = visit | {f"{code}-{name}": value for code, row in facts.items() for name, value in row.items()}
    assert "这次入户" in qingxi.get(REPORT).text
    lacking = qingxi.post(REPORT, **(form | {"town_departure-id_no": ""}))
    assert lacking.status_code == 422 and 'value="孩子入托"' in lacking.text and "请填写此项" in lacking.text
    done = qingxi.post(REPORT, **form)
    assert (done.status_code, done.text.count("已报送。")) == (200, 3)
    kept = (
        "SELECT (SELECT string_agg(name, ',') FROM {d}.rec_town_arrival WHERE source = :town AND kind = '1'),"
        " (SELECT string_agg(name, ',') FROM {d}.rec_town_departure),"
        " (SELECT string_agg(text, ',') FROM {d}.rec_service_request)"
    )
    assert read(hub, kept, town=TOWN) == [("王新禾", "王小明", "孩子入托")]
    qingxi.post(REPORT, **form)
    assert read(hub, kept, town=TOWN) == [("王新禾", "王小明", "孩子入托")], "the same form again is the same report"
    foreign = qingxi.post(REPORT, **(form | {"live_div": OTHER_VILLAGE, "key": "s"}))
    assert (foreign.status_code, "请从列表中选择" in foreign.text) == (422, True)
    wrong = qingxi.post(
        REPORT, **(visit | {f"town_departure-{k}": v for k, v in gone.items()} | {"town_departure-id_no": "1"})
    )
    assert wrong.status_code == 200 and "已收到，待核" in wrong.text and 'href="/held/' in wrong.text
