"""One box finds receipts, types, units, areas, months and pages within one's rights; persons never."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from sqlalchemy import insert

from hub.database import Database, new_uuid, utc_now
from hub.desks.finding import names_a_person, tidy
from hub.desks.initials import initials
from hub.embedded import Cluster
from hub.exchange.receipt_number import new_receipt_number
from hub.registry.api_keys import issue_key
from hub.registry.permissions import SYSTEM_ACTOR, Right
from hub.settings import load_settings
from hub.tables import submission
from mappings.catalogue import Catalogue
from tests.conftest import clone_template, execute
from tests.doors import TOWN, Hub, founded_hub, identity_number
from tests.matrix_hub import Asking, new_asking
from tests.straight import Answer, Straight, straight_to

NUMBER = identity_number(7)
DAY = utc_now().date()
OWN, OTHERS = new_receipt_number(DAY), new_receipt_number(DAY)
STAFF = (
    ("wang", "department_clerk", "public_security", "department"),
    ("renshi", "department_clerk", "labour", "department"),
    ("zhen", "town_officer", TOWN, "town"),
    ("yisheng", "care_worker", "mch_station", "care"),
    ("qu", "bureau_operator", "bureau", "bureau"),
    ("ling", "bureau_leader", "bureau", "bureau"),
    ("anquan", "security_administrator", "bureau", "bureau"),
    ("shen", "auditor", "bureau", "bureau"),
)


class Search:
    """Everybody, and the box."""

    def __init__(self, hub: Hub, staff: dict[str, Asking], client: Straight, key: str) -> None:
        self.hub, self.staff, self.client, self.key = hub, staff, client, key

    def ask(self, login: str, typed: str) -> Answer:
        who = self.staff[login]
        return self.client.run(self.client.request("GET", f"/search?q={quote(typed, safe='')}", headers=who.headers))

    def found(self, login: str, typed: str) -> set[str]:
        """The addresses that are offered."""
        answer = self.ask(login, typed)
        assert answer.status_code == 200
        lists = re.findall(r'<section class="card found">.*?</section>', answer.text, re.S)
        return {href.replace("&amp;", "&") for part in lists for href in re.findall(r'href="([^"]+)"', part)}


@pytest.fixture(scope="module")
def search(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Search]:
    clone_template(cluster, "searching")
    urls, home = cluster.urls("searching"), tmp_path_factory.mktemp("searching")
    settings = load_settings(
        home, database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker, audit_url=urls.audit, demo=True,
        requests_per_minute=10_000_000, accounts={"second_factor_roles": []},
    )  # fmt: skip
    worker, served = Database(urls.worker, settings.district), Database(urls.app, settings.district)
    with founded_hub(worker, served, settings, catalogue) as hub, straight_to(hub.app) as client:
        with served.begin() as connection:
            staff = {one[0]: new_asking(connection, *one) for one in STAFF}
            key = issue_key(
                connection, SYSTEM_ACTOR, organisation="labour", title="就业系统", scopes=frozenset({Right.SUBMIT})
            ).key
        with worker.begin() as connection:
            for number, organisation in ((OWN, "public_security"), (OTHERS, "labour")):
                name = new_uuid().hex
                line = {
                    "submission_id": new_uuid(), "receipt_number": number, "operation_id": name, "actor": "x",
                    "organisation": organisation, "record_type": "hukou_move_in", "period": "2026-10", "door": "upload",
                    "file_name": "x.csv", "file_size": 1, "file_sha256": name, "stored_as": name, "state": "refused",
                    "received_at": utc_now(),
                }  # fmt: skip
                connection.execute(insert(submission).values(line))
        yield Search(hub, staff, client, key.prefix)
    worker.close()
    served.close()
    execute(cluster, "DROP DATABASE searching WITH (FORCE)")


def test_a_receipt_number_leads_straight_to_its_submission(search: Search) -> None:
    for typed in (OWN, OWN.lower(), f" {OWN.replace('-', ' ')} "):
        answer = search.ask("wang", typed)
        assert answer.status_code == 303
        assert re.fullmatch(r"/submissions/[0-9a-f-]{36}", answer.headers["location"])


def test_the_beginning_of_a_receipt_number_lists_those_one_may_see(search: Search) -> None:
    assert len(search.found("wang", OWN[:10])) == 1
    assert len(search.found("qu", f"{DAY:%Y%m%d}")) == 2
    assert search.found("wang", OTHERS) == set()
    assert search.found("shen", OWN) == set()


# who, what they type, an address that must be among those offered
FINDS = [
    ("wang", "户口迁入", "/submissions/new?record_type=hukou_move_in"),
    ("wang", "hkqr", "/submissions?record_type=hukou_move_in"),
    ("wang", "death", "/catalogue/death_certificate"),
    ("qu", "卫健", "/organisations/health"),
    ("qu", "光明", "/areas/3"),
    ("zhen", "999001001001", "/areas/3"),
    ("wang", "2026-10", "/month?month=2026-10"),
    ("ling", "2026年10月", "/board?month=2026-10"),
    ("wang", "bybs", "/month"),
    ("wang", "This month", "/month"),
    ("shen", "审计", "/audit"),
    ("anquan", "renshi", "/accounts/renshi"),
    ("anquan", "就业系统", None),
]


@pytest.mark.parametrize(("login", "typed", "address"), FINDS, ids=[f"{one[0]} {one[1]}" for one in FINDS])
def test_a_word_finds_its_page(search: Search, login: str, typed: str, address: str | None) -> None:
    found = search.found(login, typed)
    assert (address or f"/keys/{search.key}") in found
    for place in found:
        who = search.staff[login]
        there = search.client.run(search.client.request("GET", place, headers=who.headers))
        assert there.status_code == 200, place


def test_nobody_finds_what_is_not_theirs(search: Search) -> None:
    assert search.found("shen", "renshi") == set()
    assert search.found("wang", "renshi") == set()
    assert not {one for one in search.found("wang", "就业") if one.startswith(("/keys", "/submissions/new"))}
    assert search.found("wang", "产后") == set(), "what stays in care is no word of others"
    assert search.found("yisheng", "产后")


PERSONS = [
    NUMBER,
    NUMBER[:15],
    f"{NUMBER[:6]} {NUMBER[6:14]} {NUMBER[14:]}",
    f"王小明 {NUMBER}",
    "１９９００００１２３４",
]


@pytest.mark.parametrize("typed", PERSONS)
def test_a_number_of_a_person_is_neither_looked_up_nor_shown_nor_logged(
    search: Search, typed: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert names_a_person(tidy(typed))
    with caplog.at_level(logging.DEBUG):
        answer = search.ask("wang", typed)
    assert (answer.status_code, answer.headers["location"]) == (303, "/search?person=true")
    told = capsys.readouterr()
    kept = "".join((answer.text, caplog.text, told.out, told.err))
    assert typed not in kept and quote(typed, safe="") not in kept and NUMBER[6:14] not in kept
    shown = search.client.run(search.client.request("GET", "/search?person=true", headers=search.staff["wang"].headers))
    assert "这里不查人员" in shown.text
    assert 'href="/people"' in shown.text


def test_who_may_not_look_for_persons_is_not_sent_there(search: Search) -> None:
    shown = search.client.run(search.client.request("GET", "/search?person=true", headers=search.staff["shen"].headers))
    assert "这里不查人员" in shown.text
    assert 'href="/people"' not in shown.text


NUMBERS = {
    "own": OWN,
    "proof": "ZM20261123-187826FF",
    "receipt": "HR20261123-187826FF",
    "area": "999001001001",
    "month": "2026-10",
}


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_a_number_of_the_hub_names_no_person(number: str) -> None:
    assert not names_a_person(number)


def test_no_group_shows_more_than_twenty(search: Search) -> None:
    with search.hub.served.begin() as connection:
        for serial in range(21):
            new_asking(connection, f"many{serial:02d}", "department_clerk", "labour", "department")
    assert len(search.found("anquan", "many")) == 20
    assert "只显示前 20 项" in search.ask("anquan", "many").text


def test_titles_are_typed_by_their_initials() -> None:
    titles = {
        "户口迁入": "hkqr",
        "清溪街道": "qxjd",
        "疑似同一人": "ystyr",
        "完整性证明": "wzxzm",
        "SFTP 投放": "sftptf",
    }
    assert {title: initials(title) for title in titles} == titles
