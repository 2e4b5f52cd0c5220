"""The panel's lists: what the address says is what the page shows and what the file holds, and nobody else's rows."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from admin.lists import every, submissions
from hub.tables import audit as audit_table
from tests.list_hub import Lists, body_rows, every_page, heads, lay_submissions, lists, read_file  # noqa: F401

MANY = 75


@pytest.fixture(scope="module", autouse=True)
def sent(lists: Lists) -> None:  # noqa: F811
    lay_submissions(lists.hub, "labour", MANY)
    lay_submissions(lists.hub, "public_security", 7)


def test_a_list_goes_on_page_by_page_and_leaves_nothing_out(lists: Lists) -> None:  # noqa: F811
    first = lists.get("wang", "/submissions").text
    assert len(body_rows(first)) == 30 and 'rel="next"' in first
    rows = every_page(lists, "wang", "/submissions")
    receipts = [next(cell for cell in row if cell.startswith("R-")) for row in rows]
    assert receipts == [f"R-labour-{number:04d}" for number in reversed(range(MANY))]
    oldest = every_page(lists, "wang", "/submissions?sort=received_at")
    assert oldest == rows[::-1]
    assert 'aria-sort="ascending"' in lists.get("wang", "/submissions?sort=received_at").text


def test_filters_and_columns_stand_in_the_address_and_in_every_link(lists: Lists) -> None:  # noqa: F811
    page = lists.get("wang", "/submissions?period=2026-09&columns=state,received").text
    assert heads(page) == ["收到时间", "文件", "状态", "收到"]
    following = re.search(r'<a href="([^"]+)" rel="next">', page)
    assert following and "period=2026-09" in following.group(1) and "columns=state%2Creceived" in following.group(1)
    chosen = lists.get("wang", "/submissions?columns=state&columns=received&period=2026-09").text
    assert heads(chosen) == heads(page)


def test_a_filter_says_how_many_there_are(lists: Lists) -> None:  # noqa: F811
    page = lists.get("wang", "/submissions").text
    assert re.search(r"整份退回 <b>15</b>", page) and re.search(r"已入库 <b>60</b>", page)
    assert "公安" not in page


@pytest.mark.parametrize("query", ["state=nonsense", "columns=nonsense", "sort=nonsense", "period=2026-13", "before=1"])
def test_what_the_list_does_not_know_is_refused(lists: Lists, query: str) -> None:  # noqa: F811
    assert lists.get("wang", f"/submissions?{query}").status_code == 400


@pytest.mark.parametrize("query", ["", "state=refused", "period=2026-08&state=merged&columns=record_type,refused"])
def test_the_file_holds_the_rows_of_all_pages_and_no_others(lists: Lists, query: str) -> None:  # noqa: F811
    address = f"/submissions?{query or 'view=all'}"
    file = read_file(lists.get("wang", f"{address}&export=xlsx"))
    shown = every_page(lists, "wang", address)
    assert file.head == heads(lists.get("wang", address).text)
    assert [_as_shown(row) for row in file.rows] == shown and len(shown) > 10
    assert file.cover["行数"] == str(len(shown)) and file.cover["内容摘要（SHA-256）"] == file.digest()
    assert not [row for row in file.rows if "public_security" in str(row)]


def test_the_cover_says_whose_the_file_is_and_what_was_chosen(lists: Lists) -> None:  # noqa: F811
    file = read_file(lists.get("wang", "/submissions?state=refused&period=2026-09&export=xlsx"))
    assert file.cover["单位"] == "云岭区人社局" and file.cover["导出人"] == "wang"
    assert file.cover["筛选条件"] == "状态：整份退回；月份：2026年9月"
    with lists.hub.worker.begin() as connection:
        line = connection.execute(
            select(audit_table).where(audit_table.c.object == "list/submissions").order_by(audit_table.c.at.desc())
        ).first()
    assert line is not None and line.actor == "wang"
    assert {name: line.facts[name] for name in ("number", "rows", "digest", "what", "filter")} == {
        "number": file.cover["导出编号"], "rows": len(file.rows), "digest": file.digest(), "what": "list-export",
        "filter": {"state": "refused", "period": "2026-09"},
    }  # fmt: skip


def test_a_file_that_was_cut_says_so(lists: Lists, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    small = msgspec.structs.replace(submissions.SUBMISSIONS, most_rows=10)
    monkeypatch.setattr("admin.submissions.SUBMISSIONS", small)
    file = read_file(lists.get("wang", "/submissions?export=xlsx"))
    assert (
        len(file.rows) == 10
        and "前 10 行" in file.cover["不完整"]
        and file.cover["内容摘要（SHA-256）"] == file.digest()
    )


def test_no_cell_of_the_file_is_a_formula(lists: Lists) -> None:  # noqa: F811
    formula = '=HYPERLINK("http://x","y")'
    lay_submissions(lists.hub, "mch_station", 1, file_name=formula, record_type="hukou_move_in")
    file = read_file(lists.get("qu", "/submissions?organisation=mch_station&export=xlsx"))
    assert [cell for cell in file.rows[0] if "HYPERLINK" in str(cell)] == [f"'{formula}"]


def test_nothing_of_a_file_stays_on_the_disk(lists: Lists) -> None:  # noqa: F811
    assert lists.get("wang", "/submissions?export=xlsx").status_code == 200
    assert list((lists.hub.settings.files / "tmp").glob("list-*")) == []


def test_rows_stand_closer_together_where_somebody_wants_it(lists: Lists) -> None:  # noqa: F811
    assert "list-scroll roomy" in lists.get("wang", "/submissions").text
    answer = lists.get("wang", "/density/compact?back=/submissions?state=merged")
    assert answer.headers["location"] == "/submissions?state=merged"
    cookie = answer.headers["set-cookie"]
    assert "SameSite=strict" in cookie and "Secure" in cookie
    both = f"{lists.staff['wang'].headers['Cookie']}; {cookie.partition(';')[0]}"
    assert "list-scroll compact" in lists.get("wang", "/submissions", Cookie=both).text
    assert lists.get("wang", "/density/compact?back=//elsewhere").headers["location"] == "/"


WHO_READS = {
    "submissions": "wang zhen lan qu", "held": "wang zhen qu", "comparisons": "wang qu", "challenges": "wang zhen qu",
    "pairs": "zhen qu", "licences": "wang lan qu", "subscriptions": "wang qu", "certificates": "wang qu",
    "corrections": "wang lan qu", "catalogue": "wang lan qu", "notices": "wang zhen", "accounts": "anquan lan",
    "keys": "anquan lan", "access-requests": "anquan lan", "audit": "shen", "organisations": "qu lan", "areas": "qu lan",
    "area-history": "qu lan", "mappings": "qu lan", "mapping-columns": "qu lan", "jobs": "qu",
}  # fmt: skip


@pytest.mark.parametrize("code", [one for one in every.EVERY if one != "balance-people"])
def test_every_list_opens_and_is_taken_away_by_those_it_is_for_and_nobody_else(lists: Lists, code: str) -> None:  # noqa: F811
    page, readers = every.EVERY[code], WHO_READS[code].split()
    columns = ",".join(one.code for one in page.columns)
    for login in readers:
        shown = lists.get(login, f"{page.path}?view=all")
        assert shown.status_code == 200 and "list-tools" in shown.text and "{{" not in shown.text
        assert lists.get(login, f"{page.path}?columns={columns}").status_code == 200
        file = read_file(lists.get(login, f"{page.path}?export=xlsx"))
        assert file.cover["导出人"] == login and file.cover["内容摘要（SHA-256）"] == file.digest()
    strangers = {one.name for one in lists.staff.values() if not one.rights & {*page.rights}}
    assert not strangers & {*readers} and strangers
    for login in strangers:
        assert lists.get(login, f"{page.path}?export=xlsx").status_code in (403, 404)


def test_the_people_of_a_figure_are_not_taken_away_without_a_purpose(lists: Lists) -> None:  # noqa: F811
    answer = lists.get("qu", "/balance/people?month=2026-09&area=999001001&export=xlsx")
    assert "spreadsheet" not in answer.headers["content-type"] and "目的" in answer.text


def _as_shown(row: list[Any]) -> list[str]:
    """A row of the file as the page writes it: numbers with their commas, instants to the minute."""
    return [
        f"{cell:,}" if isinstance(cell, int) else re.sub(r"^(\d{4}-\d\d-\d\d \d\d:\d\d):\d\d$", r"\1", cell)
        for cell in row
    ]
