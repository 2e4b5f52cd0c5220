"""A list's look saved under a name: one's own, shared with colleagues of one's role, first when the list opens."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from sqlalchemy import insert, select

from hub.database import new_uuid, utc_now
from hub.desks.saved_views import MOST_VIEWS
from hub.tables import audit as audit_table
from hub.tables import saved_view
from tests.list_hub import Lists, body_rows, lay_submissions, lists  # noqa: F401

REFUSED = {"q-state": "refused", "q-columns": "state,received", "name": "退回的"}


@pytest.fixture(scope="module", autouse=True)
def sent(lists: Lists) -> None:  # noqa: F811
    lay_submissions(lists.hub, "labour", 12)


@pytest.fixture(autouse=True)
def no_views(lists: Lists) -> None:  # noqa: F811
    _empty(lists)


def test_a_view_brings_back_filters_and_columns(lists: Lists) -> None:  # noqa: F811
    answer = lists.post("wang", "/views/submissions", **REFUSED)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/submissions?state=refused&columns=state%2Creceived",
    )
    page = lists.get("wang", "/submissions").text
    link = _link_of(page, "退回的")
    shown = lists.get("wang", link).text
    assert len(body_rows(shown)) == 3 and "退回的" in shown
    assert f'<a href="{link.replace("&", "&amp;")}" aria-current="page"' in shown


def test_a_name_is_there_once_and_takes_the_newest_look(lists: Lists) -> None:  # noqa: F811
    lists.post("wang", "/views/submissions", **REFUSED)
    lists.post("wang", "/views/submissions", **(REFUSED | {"q-state": "merged"}))
    assert [(one.name, one.query) for one in _kept(lists)] == [("退回的", "columns=state%2Creceived&state=merged")]


def test_a_shared_view_is_seen_by_colleagues_of_the_role_alone(lists: Lists) -> None:  # noqa: F811
    lists.post("wang", "/views/submissions", **REFUSED)
    place = f"/views/submissions/{_kept(lists)[0].view_id}"
    assert "退回的" not in lists.get("zhao", "/submissions").text
    lists.post("wang", place, act="share")
    seen = {login: "退回的" in lists.get(login, "/submissions").text for login in ("wang", "zhao", "lan", "jing", "qu")}
    assert seen == {"wang": True, "zhao": True, "lan": False, "jing": False, "qu": False}
    for act in ("drop", "first", "keep"):
        assert lists.post("zhao", place, act=act).status_code == 404
    lists.post("wang", place, act="keep")
    assert "退回的" not in lists.get("zhao", "/submissions").text


def test_the_first_view_opens_the_list_and_can_be_left(lists: Lists) -> None:  # noqa: F811
    lists.post("wang", "/views/submissions", **REFUSED)
    place = f"/views/submissions/{_kept(lists)[0].view_id}"
    lists.post("wang", place, act="first")
    assert (
        lists.get("wang", "/submissions").headers["location"] == "/submissions?state=refused&columns=state%2Creceived"
    )
    assert lists.get("zhao", "/submissions").status_code == 200
    assert len(body_rows(lists.get("wang", "/submissions?view=all").text)) == 12
    lists.post("wang", place, act="not-first")
    assert lists.get("wang", "/submissions").status_code == 200


def test_a_view_that_is_dropped_is_gone_and_every_act_is_recorded(lists: Lists) -> None:  # noqa: F811
    lists.post("wang", "/views/submissions", **REFUSED)
    view_id = _kept(lists)[0].view_id
    for act in ("share", "first", "drop"):
        assert lists.post("wang", f"/views/submissions/{view_id}", act=act).status_code == 303
    assert _kept(lists) == []
    with lists.hub.worker.begin() as connection:
        said = connection.execute(select(audit_table).where(audit_table.c.object == f"view/{view_id}")).all()
    assert {one.facts["what"] for one in said} == {"save-view", "share-view", "default-view", "drop-view"}
    assert {one.actor for one in said} == {"wang"}


@pytest.mark.parametrize(
    ("page", "fields"),
    [
        ("accounts", {"q-text": "wangxiaoming"}),
        ("audit", {"q-actor": "王小明"}),
        ("audit", {"q-object": "person/01890000-0000-7000-8000-000000000000"}),
        ("audit", {"q-object": "99900119900307001X"}),
    ],
)
def test_nothing_personal_is_kept(lists: Lists, page: str, fields: dict[str, str]) -> None:  # noqa: F811
    who = "anquan" if page == "accounts" else "shen"
    assert "不能存入视图" in _told_at_the_form(lists, who, lists.post(who, f"/views/{page}", name="查", **fields), "查")
    assert _kept(lists) == []


@pytest.mark.parametrize("name", ["", " ", "字" * 41, "13800138000", "99900119900307001X"])
def test_a_name_is_short_and_nobodys_number(lists: Lists, name: str) -> None:  # noqa: F811
    refused = lists.post("wang", "/views/submissions", **(REFUSED | {"name": name}))
    assert "1 至 40 个字的名称" in _told_at_the_form(lists, "wang", refused, name.strip())
    assert name.strip() not in refused.headers["location"] or not name.strip()
    assert _kept(lists) == []


def test_only_what_the_list_knows_is_kept(lists: Lists) -> None:  # noqa: F811
    sent = {"q-state": "refused", "q-next": "//elsewhere", "q-before": "x", "q-columns": "nonsense", "name": "试"}
    answer = lists.post("wang", "/views/submissions", **sent)
    assert answer.headers["location"] == "/submissions?state=refused"
    assert [one.query for one in _kept(lists)] == ["state=refused"]


def test_nobody_keeps_a_view_of_a_list_that_is_not_theirs(lists: Lists) -> None:  # noqa: F811
    assert lists.post("wang", "/views/audit", name="查").status_code == 403
    assert lists.post("wang", "/views/nothing", name="查").status_code == 404
    assert lists.post("wang", "/views/balance-people", name="查").status_code == 404


def test_an_account_keeps_fifty_views(lists: Lists) -> None:  # noqa: F811
    rows = [_row(number) for number in range(MOST_VIEWS)]
    with lists.hub.served.begin({"organisation": "labour"}) as connection:
        connection.execute(insert(saved_view), rows)
    refused = lists.post("wang", "/views/submissions", **REFUSED)
    assert refused.headers["location"].startswith("/submissions?state=refused&columns=state%2Creceived&")
    assert "最多保存 50 个视图" in _told_at_the_form(lists, "wang", refused, "退回的")
    assert lists.post("wang", "/views/submissions", **(REFUSED | {"name": "视图0"})).status_code == 303


def _told_at_the_form(lists: Lists, who: str, refused: Any, name: str) -> str:  # noqa: F811
    """The list again: what it says beside the form, with the name that was typed still in it."""
    assert refused.status_code == 303
    cookie = refused.headers["set-cookie"].partition(";")[0]
    headers = {"Cookie": f"{lists.staff[who].headers['Cookie']}; {cookie}"}
    page = lists.get(who, refused.headers["location"], **headers).text
    typed = re.search(r'<input[^>]*id="view-name"[^>]*>', page)
    assert typed and f'value="{name}" aria-invalid="true" aria-describedby="view-name-error" autofocus' in typed[0]
    assert '<details class="list-menu" open>' in page
    said = re.search(r'id="view-name-error" role="alert">([^<]+)<', page)
    return said[1] if said else ""


def _row(number: int) -> dict[str, object]:
    return {
        "view_id": new_uuid(), "login": "wang", "organisation": "labour", "page": "submissions", "query": "",
        "name": f"视图{number}", "created_at": utc_now(),
    }  # fmt: skip


def _kept(lists: Lists) -> list[Any]:  # noqa: F811
    with lists.hub.worker.begin() as connection:
        return list(connection.execute(select(saved_view)).all())


def _empty(lists: Lists) -> None:  # noqa: F811
    for organisation in ("labour", "bureau"):
        with lists.hub.served.begin({"organisation": organisation}) as connection:
            connection.execute(saved_view.delete())


def _link_of(page: str, name: str) -> str:
    found = re.search(rf'<a href="([^"]+)"[^>]*>{name}</a>', page)
    assert found
    return unescape(found.group(1))
