"""The first page: what is due, what came back, what went wrong; every number on it is the number of rows behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, insert, update

from admin.inbox_words import SENTENCES
from hub.audit import seal
from hub.casework.challenges import Raised, raise_challenges
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.desks.inbox import Inbox, read_inbox
from hub.desks.inbox_doors import sealing
from hub.desks.inbox_lines import Line
from hub.embedded import Cluster
from hub.registry import requests
from hub.registry.api_keys import issue_key
from hub.registry.month_calendar import month_after
from hub.registry.permissions import SYSTEM_ACTOR, Actor, Right
from hub.registry.scope import reach_of
from hub.settings import load_settings
from hub.sharing.alarms import Due, open_alarm
from hub.tables import account, comparison_item, person_pair, submission
from mappings.catalogue import Catalogue
from tests.conftest import clone_template, execute
from tests.district import actor
from tests.doors import THIS_MONTH, TOWN, founded_hub
from tests.licensed import MOVES, ask
from tests.matrix_hub import Asking, Matrix, found_matrix, new_asking
from tests.noticed import tell
from tests.stopped import leave_upload
from tests.straight import Answer, Straight, straight_to

POLICE = "public_security"
LAST_MONTH = month_after(THIS_MONTH, -1)
STAFF = (
    ("clerk", "department_clerk", POLICE, "department"),
    ("data", "data_officer", POLICE, "department"),
    ("town", "town_officer", TOWN, "town"),
    ("care", "care_worker", "mch_station", "care"),
    ("bureau", "bureau_operator", "bureau", "bureau"),
    ("leader", "bureau_leader", "bureau", "bureau"),
    ("system", "system_administrator", "bureau", "bureau"),
    ("security", "security_administrator", "bureau", "bureau"),
    ("auditor", "auditor", "bureau", "bureau"),
)
MONTHS_DUE = datetime(int(THIS_MONTH[:4]), int(THIS_MONTH[5:]), 28, 4, tzinfo=UTC)  # this month is asked for by then


class Desks:
    """A hub in which something waits for everybody."""

    def __init__(self, matrix: Matrix, staff: dict[str, Asking], client: Straight, catalogue: Catalogue) -> None:
        self.matrix, self.staff, self.client, self.catalogue = matrix, staff, client, catalogue

    def get(self, login: str, address: str) -> Answer:
        return self.client.run(self.client.request("GET", address, headers=self.staff[login].headers))

    def inbox(self, login: str, now: datetime = MONTHS_DUE) -> Inbox:
        """As the page reads it, on a day on which the month is due."""
        who = self.staff[login]
        acting = Actor(
            name=login, organisation=who.organisation, kind=who.kind, door="panel", rights=who.rights,
            area_id=2 if who.kind == "town" else None,
        )  # fmt: skip
        with self.matrix.hub.served.begin(reach_of(acting)) as connection:
            return read_inbox(connection, self.matrix.hub.settings, self.catalogue, acting, now)

    def lines(self, login: str) -> dict[str, Line]:
        found = self.inbox(login)
        return {line.kind: line for line in (*found.due, *found.returned, *found.wrong)}


@pytest.fixture(scope="module")
def desks(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desks]:
    clone_template(cluster, "inbox")
    urls, home = cluster.urls("inbox"), tmp_path_factory.mktemp("inbox")
    settings = load_settings(
        home, database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker, audit_url=urls.audit,
        fictitious_prefixes=("999001",), demo=True, requests_per_minute=10_000_000,
        accounts={"second_factor_roles": []},
    )  # fmt: skip
    worker, served = Database(urls.worker, settings.district), Database(urls.app, settings.district)
    with founded_hub(worker, served, settings, catalogue) as hub, straight_to(hub.app) as client:
        matrix = found_matrix(hub, catalogue)
        with served.begin() as connection:
            staff = {one[0]: new_asking(connection, *one) for one in STAFF}
            _ask_and_lock(connection)
        with worker.begin() as connection:
            _leave_waiting(connection, matrix)
        ask(hub, catalogue, MOVES)
        leave_upload(settings, POLICE, "十月.csv", "cut", utc_now() - timedelta(days=40))
        yield Desks(matrix, staff, client, catalogue)
    worker.close()
    served.close()
    execute(cluster, "DROP DATABASE inbox WITH (FORCE)")


def _ask_and_lock(connection: Connection) -> None:
    """Two requests, an account that is locked, a key that ends soon and one that ended."""
    for login in ("lixin", "wangxin"):
        who = actor("bureau", "system_administrator", name="system")
        asked = {"name": "李某", "organisation": POLICE, "roles": ["department_clerk"]}
        requests.ask(connection, who, "open_account", login, asked, "新入职人员")
    later = utc_now() + timedelta(days=3650)
    connection.execute(update(account).where(account.c.login == "renshe").values(locked_until=later))
    for title, days in (("快到期", 10), ("早着呢", 4000)):
        issue_key(
            connection, SYSTEM_ACTOR, organisation=POLICE, title=title, scopes=frozenset({Right.SUBMIT}),
            expires_at=MONTHS_DUE + timedelta(days=days),
        )  # fmt: skip


def _leave_waiting(connection: Connection, matrix: Matrix) -> None:
    """Files that ask, wait and failed; a pair, two comparisons, two challenges, a notice and an alarm."""
    settings, now = matrix.hub.settings, utc_now()
    for state, many in (("asking", 2), ("braked", 1), ("failed", 3)):
        for _ in range(many):
            _enter_line(connection, state, "hukou_cancel")
    for unit, record_type in ((POLICE, "hukou_move_out"), ("mch_station", "postnatal_visit")):
        rows = {"received": 2, "accepted": 1, "refused": 1}
        _enter_line(connection, "merged", record_type, organisation=unit, period=LAST_MONTH, **rows)
    for at, state in enumerate(("merged", "refused")):
        when = now - timedelta(minutes=2 - at)
        _enter_line(connection, state, "identity_correction", period=LAST_MONTH, received_at=when)
    first, second, *_ = sorted(matrix.persons.values())
    pair = {"first_id": first, "second_id": second, "score": 1.0, "features": {"name": ["equal", 12.0]}}
    connection.execute(insert(person_pair).values(pair | {"state": "open", "organisation": TOWN, "found_at": now}))
    found = run_sql(connection, "SELECT record_id, person_ref FROM {d}.rec_hukou_move_in LIMIT 2")
    for serial, (record, person) in enumerate(found):
        side = {"record_type": "hukou_move_in", "record_id": str(record), "role": "person", "source": POLICE}
        item = {"item_id": new_uuid(), "check_code": "hukou_after_death", "subject": str(serial), "areas": []}
        more = {"organisation": POLICE, "state": "open", "opened_at": now, "last_seen_at": now}
        connection.execute(insert(comparison_item).values(item | more | {"sides": [side | {"person": str(person)}]}))
    records = [UUID(str(record)) for record, _ in found]
    raise_challenges(connection, settings, now, [_challenge(record) for record in records])
    run_sql(connection, "UPDATE {d}.challenge SET state = 'answered' WHERE record_id = :one", one=records[0])
    tell(connection, settings, POLICE, now, f"round/{THIS_MONTH}")
    alarm = {"kind": "source", "about": f"source/{POLICE}/hukou_cancel", "organisation": POLICE, "facts": {}}
    source = Due(since=now, tell=(), notice="source_silent", **alarm)  # type: ignore[arg-type]
    open_alarm(connection, settings, SYSTEM_ACTOR, source, now)


def _challenge(record: UUID) -> Raised:
    return Raised(
        kind="untrue", record_type="hukou_move_in", record_id=record, raised_by=TOWN, raised_by_name="town",
        against=POLICE, reason="查无此人",
    )  # fmt: skip


def _enter_line(connection: Connection, state: str, record_type: str, **changed: Any) -> None:
    name = new_uuid().hex
    line = {
        "submission_id": new_uuid(), "receipt_number": f"HR{name}", "operation_id": name, "organisation": POLICE,
        "record_type": record_type, "period": THIS_MONTH, "door": "upload", "actor": "x", "file_name": "x.csv",
        "file_size": 1, "file_sha256": name, "stored_as": name, "state": state, "received_at": utc_now(),
    }  # fmt: skip
    connection.execute(insert(submission).values(line | changed))


# ---- the number on a line is the number of rows behind it ----

_ID = r"[0-9a-f-]{36}"
# what there is once for each row of the page a line opens
ROWS = {
    "month": r'<th scope="row"',
    "errors": r'<th scope="row"',
    "stopped_uploads": r'<tr class="stopped-upload">',
    "turned_back": r'<th scope="row"',
    "units_late": r'<th scope="row"',
    "asking": rf'href="/submissions/{_ID}"',
    "braked": rf'href="/submissions/{_ID}"',
    "failed": rf'href="/submissions/{_ID}"',
    "held": r'href="/held/HR[^"]+"',
    "pairs": rf'href="/pairs/{_ID}/{_ID}"',
    "comparisons": rf'href="/comparisons/{_ID}"',
    "challenges": rf'href="/challenges/{_ID}"',
    "answered": rf'href="/challenges/{_ID}"',
    "round": r'id="line-\d+"',
    "access": rf'href="/access-requests/{_ID}"',
    "notices": rf'action="/notices/{_ID}/read"',
    "alarms": r'<tr><th scope="row">(?=[^<]*</th><td data-text>)',
    "locked": r'href="/accounts/[a-z-]+"',
}
EXPECTED = {
    "clerk": {
        "month",
        "errors",
        "turned_back",
        "asking",
        "braked",
        "held",
        "comparisons",
        "challenges",
        "failed",
        "stopped_uploads",
        "notices",
        "alarms",
    },
    "data": {"month", "errors", "braked", "failed", "licence", "notices", "alarms", "key_ends"},
    "town": {"round", "pairs", "answered"},
    "care": {"month", "errors"},
    "bureau": {"pairs", "comparisons", "failed", "units_late", "alarms"},
    "leader": {"units_late"},
    "security": {"access", "locked", "key_ends"},
}
COUNTED = [(login, kind) for login, kinds in EXPECTED.items() for kind in sorted(kinds & ROWS.keys())]


@pytest.mark.parametrize(("login", "kind"), COUNTED)
def test_the_number_on_a_line_is_the_number_of_rows_it_opens(desks: Desks, login: str, kind: str) -> None:
    line = desks.lines(login)[kind]
    there = desks.get(login, line.path)
    assert there.status_code == 200
    assert line.count > 0
    parts = there.text.partition("<h2>当前告警</h2>")[2].partition("</table>")[0] if kind == "alarms" else there.text
    rows = re.findall(ROWS[kind], parts)
    assert line.count == (len(rows) if ROWS[kind].startswith("<") else len({*rows})), line


@pytest.mark.parametrize("login", EXPECTED)
def test_each_desk_has_the_lines_of_its_work_and_all_of_them_open(desks: Desks, login: str) -> None:
    lines = desks.lines(login)
    assert lines.keys() >= EXPECTED[login]
    assert {line.path: desks.get(login, line.path).status_code for line in lines.values()} == {
        line.path: 200 for line in lines.values()
    }


def test_what_is_late_stands_first_and_is_said_to_be(desks: Desks) -> None:
    late = desks.inbox("clerk", MONTHS_DUE).due
    assert [line.overdue for line in late] == sorted((line.overdue for line in late), reverse=True)
    (owed,) = [line for line in late if line.facts.get("month") == LAST_MONTH]
    assert (owed.overdue, owed.kind) == (True, "month")
    page = desks.get("clerk", "/").text
    assert re.search(r'<li class="late"><a href="/month\?month=' + LAST_MONTH, page)


def test_the_first_page_says_who_one_is_and_offers_the_desks_main_work(desks: Desks) -> None:
    works = {
        "clerk": ("部门报送员", "/submissions/new"),
        "town": ("镇街经办人", f"/rounds/{THIS_MONTH}/items"),
        "bureau": ("区局经办人", "/board"),
        "auditor": ("审计管理员", "/audit"),
    }
    for login, (role, path) in works.items():
        page = desks.get(login, "/")
        assert page.status_code == 200
        assert role in page.text
        assert re.search(rf'class="btn btn-primary main-work" href="{path}"', page.text)


def test_a_desk_with_nothing_on_it_is_told_so(desks: Desks) -> None:
    assert "都办完了" in desks.get("system", "/").text


def test_the_leader_has_counts_and_no_way_to_a_submission(desks: Desks) -> None:
    page = desks.get("leader", "/").text + desks.get("leader", desks.lines("leader")["units_late"].path).text
    assert 'href="/submissions' not in page


def test_nobody_outside_care_counts_what_stays_in_care(desks: Desks) -> None:
    path = f"/month?month={LAST_MONTH}"
    assert desks.lines("care")["errors"].count == 1
    assert "退回 1" in desks.get("care", path).text
    shown = desks.get("bureau", path).text
    (visits,) = [row for row in shown.split("<tr>") if "产后访视" in row]
    assert "处理中" in visits or "已收到" in visits
    assert not re.search(r"\d 行|退回|待核|href", visits)


def test_administrators_see_no_business(desks: Desks) -> None:
    for login in ("system", "security", "auditor"):
        assert desks.lines(login).keys() <= {"access", "locked", "key_ends", "key_ended", "sealed", "unsealed"}


def test_every_kind_of_line_has_its_sentence(desks: Desks) -> None:
    for login in EXPECTED:
        page = unescape(desks.get(login, "/").text)
        assert "{" not in page.partition("<main")[2].partition("</main>")[0]
        assert desks.lines(login).keys() <= SENTENCES.keys()


def test_the_auditor_sees_whether_the_seals_are_kept_up(desks: Desks) -> None:
    hub = desks.matrix.hub
    with hub.worker.begin() as connection:
        seal(connection, utc_now())
    assert "审计记录已封存至第" in desks.get("auditor", "/").text
    with hub.worker.begin() as connection:
        (line,) = sealing(connection, utc_now() + timedelta(days=2))
    assert (line.kind, line.section) == ("unsealed", "wrong")


def test_that_a_month_had_no_changes_is_said_in_one_click_and_a_due_cell_leads_to_its_upload(desks: Desks) -> None:
    def row() -> str:
        page = desks.get("clerk", f"/month?month={LAST_MONTH}").text
        (found,) = [part for part in page.split("<tr>") if "新生儿入户" in part]
        return found.partition("</td>")[0]  # the month that was asked for

    assert f'href="/submissions/new?record_type=newborn_hukou&amp;period={LAST_MONTH}"' in row()
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', row()))
    assert fields.keys() == {"token", "record_type", "period"}
    headers = desks.staff["clerk"].headers
    done = desks.client.run(desks.client.request("POST", "/submissions/new/nothing", headers=headers, data=fields))
    assert done.status_code == 303
    assert "本月无变动" in row() and "上传" not in row()
    form = desks.get("clerk", f"/submissions/new?record_type=newborn_hukou&period={LAST_MONTH}").text
    assert re.search(r'<option value="newborn_hukou"[^>]* selected', form)
