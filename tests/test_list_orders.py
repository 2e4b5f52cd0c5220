"""Lists that are read a page at a time: whole in every order, the same in the file, and their counts are their rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from html import unescape
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, insert, select, update

from admin.lists import every
from admin.lists.declared import ListPage
from hub.database import new_uuid
from hub.tables import challenge, comparison_item, held_row, notice, person_pair, submission
from tests.doors import TOWN
from tests.list_hub import (  # noqa: F401
    MOMENT,
    Lists,
    body_rows,
    every_page,
    heads,
    lay_submissions,
    lists,
    read_file,
)

MANY = 11  # of each kind; two at a time at the same instant, so that the order has to be made by more than it
TYPES = ("employment", "unemployment")


@pytest.fixture(scope="module", autouse=True)
def laid(lists: Lists) -> None:  # noqa: F811
    lay_submissions(lists.hub, "labour", MANY, record_type="employment")
    with lists.hub.worker.begin() as connection:
        sent = connection.execute(select(submission.c.submission_id).limit(1)).scalar_one()
        for table, rows in _rows_of(sent).items():
            connection.execute(insert(table), rows)


def _rows_of(sent: Any) -> dict[Any, list[dict[str, Any]]]:
    numbers = range(MANY)
    when = [MOMENT + timedelta(minutes=number // 2) for number in numbers]
    sides = [{"record_type": "employment", "record_id": str(new_uuid()), "role": "", "source": "labour"}]
    return {
        held_row: [
            {
                "submission_id": sent, "row_no": number, "record_type": TYPES[number % 2], "organisation": "labour",
                "sheet_row": number + 2, "codes": ["H_NO_ID"] if number % 3 else ["H_NO_ID", "H_NAMESAKE"],
                "held_at": when[number], "state": "waiting",
            }
            for number in numbers
        ],
        comparison_item: [
            {
                "item_id": new_uuid(), "check_code": "death_employed", "subject": str(number),
                "sides": [side | {"person": str(new_uuid())} for side in sides], "areas": [],
                "organisation": ("labour", "health", "bureau")[number % 3], "state": "open", "opened_at": when[number],
                "last_seen_at": when[number],
            }
            for number in numbers
        ],
        challenge: [
            {
                "challenge_id": new_uuid(), "kind": "unreported", "record_type": "employment", "raised_by": TOWN,
                "raised_by_name": TOWN, "raised_at": when[number], "against": ("labour", "health")[number % 2],
                "due_on": date(2026, 9, 1) + timedelta(days=(number * 7) % 5),
            }
            for number in numbers
        ],
        person_pair: [
            {
                "first_id": new_uuid(), "second_id": new_uuid(), "score": float(number // 3), "features": {},
                "state": "open", "organisation": ("", TOWN)[number % 2], "found_at": when[number],
            }
            for number in numbers
        ],
        notice: [
            {
                "notice_id": new_uuid(), "organisation": "labour", "kind": ("round_opened", "round_closing")[number % 2],
                "about": str(number), "made_at": when[number],
            }
            for number in numbers
        ],
    }  # fmt: skip


WHERE = {
    "submissions": "admin.submissions.SUBMISSIONS",
    "held": "admin.held_page.HELD",
    "comparisons": "admin.comparisons.COMPARISONS",
    "challenges": "admin.challenges_page.CHALLENGES",
    "pairs": "admin.pairs_page.PAIRS",
    "notices": "admin.notices_page.NOTICES",
    "organisations": "admin.organisations_page.ORGANISATIONS",
    "areas": "admin.areas_page.AREAS",
    "area-history": "admin.areas_page.AREA_PERIODS",
}
READERS = dict.fromkeys(("pairs", "comparisons", "challenges", "organisations", "areas", "area-history"), "qu")


@pytest.fixture
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ListPage]:
    """The list three rows a page."""
    page = msgspec.structs.replace(every.EVERY[request.param], rows_a_page=3)
    monkeypatch.setattr(WHERE[request.param], page)
    yield page


@pytest.mark.parametrize("small", WHERE, indirect=True)
def test_every_order_of_a_list_is_whole_and_the_file_has_it_too(lists: Lists, small: ListPage) -> None:  # noqa: F811
    login = READERS.get(small.code, "wang")
    titles = {one.code: one.title for one in small.columns}
    first = lists.get(login, f"{small.path}?view=all").text
    assert len(body_rows(first)) == 3 and 'rel="next"' in first and first.count("aria-sort") == 1
    usual = every_page(lists, login, f"{small.path}?view=all")
    assert len({*map(tuple, usual)}) > 3 and small.sorts
    for order in small.sorts:
        shown = every_page(lists, login, f"{small.path}?sort={order}")
        assert sorted(shown) == sorted(usual), order
        if order.startswith("-"):
            continue
        assert every_page(lists, login, f"{small.path}?sort=-{order}") == shown[::-1], order
        page = lists.get(login, f"{small.path}?sort={order}").text
        assert re.search(rf'aria-sort="ascending"><a href="[^"]+">{titles[order]}', page), order
        file = read_file(lists.get(login, f"{small.path}?sort={order}&export=xlsx"))
        kept = [heads(page).index(title) for title in file.head]
        on_page = [[_plain(row[place]) for place in kept] for row in shown]
        assert [_as_shown(row) for row in file.rows] == on_page, order


def _as_shown(row: list[Any]) -> list[str]:
    """A row of the file as the page writes it."""
    shown = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)
    return [_plain(re.sub(r"^(\d{4}-\d\d-\d\d \d\d:\d\d):\d\d$", r"\1", cell)) for cell in shown]


def _plain(text: str) -> str:
    """Without what parts the lines of one cell."""
    return " ".join(text.replace("；", " ").split())


def test_what_was_worked_off_meanwhile_ends_no_list(lists: Lists, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """The last row of a page is done before the next page is asked for: the list goes on behind its place."""
    small = msgspec.structs.replace(every.EVERY["comparisons"], rows_a_page=3)
    monkeypatch.setattr(WHERE["comparisons"], small)
    whole = every_page(lists, "qu", "/comparisons?state=open&sort=opened_at")
    page = lists.get("qu", "/comparisons?state=open&sort=opened_at").text
    following = re.search(r'<a href="([^"]+)" rel="next">', page)
    last = re.findall(r'href="/comparisons/([0-9a-f-]{36})"', page)[-1]
    assert following
    with lists.hub.worker.begin() as connection:
        _set_state(connection, last, "closed")
    try:
        rest = every_page(lists, "qu", unescape(following.group(1)))
    finally:
        with lists.hub.worker.begin() as connection:
            _set_state(connection, last, "open")
    assert rest == whole[3:] and len(rest) == MANY - 3


def _set_state(connection: Connection, item_id: str, state: str) -> None:
    connection.execute(update(comparison_item).where(comparison_item.c.item_id == item_id).values(state=state))


def test_an_order_is_kept_in_a_view_and_over_every_page(lists: Lists) -> None:  # noqa: F811
    lists.post("wang", "/views/held", name="按类别", q__sort="-what", q__kind="held")
    page = lists.get("wang", "/held?view=all").text
    view = re.search(r'<a href="([^"]+)"[^>]*>按类别</a>', page)
    assert view
    assert re.search(
        r'aria-sort="descending"><a href="[^"]+">信息类别', lists.get("wang", unescape(view.group(1))).text
    )


@pytest.mark.parametrize("code", ["submissions", "held", "comparisons", "challenges", "notices", "areas", "catalogue"])
def test_what_a_filter_counts_is_what_it_shows(lists: Lists, code: str) -> None:  # noqa: F811
    """Each number beside a chip or a choice is the number of rows behind it."""
    login, path = READERS.get(code, "wang"), every.EVERY[code].path
    page = lists.get(login, f"{path}?view=all").text
    chips = re.findall(r'<li><a href="([^"]+)"[^>]*>[^<]* <b>([\d,]+)</b></a></li>', page)
    choices = [
        (f"{path}?{name}={value}", many)
        for name, options in re.findall(r'<select class="form-select"[^>]* name="(\w+)">(.*?)</select>', page, re.S)
        for value, many in re.findall(r'<option value="([^"]+)"[^>]*>[^<]*\(([\d,]+)\)</option>', options)
    ]
    for address, many in chips + choices:
        assert len(every_page(lists, login, unescape(address))) == int(many.replace(",", "")), address
    assert (code in COUNTED) == bool(chips + choices)


COUNTED = ("submissions", "held", "comparisons")


def test_what_a_reader_sees_first_is_only_the_beginning(lists: Lists) -> None:  # noqa: F811
    """Whoever answers requests opens on those that wait, and still gets to all of them."""
    first = lists.get("anquan", "/access-requests").text
    assert re.search(r'aria-current="page"[^>]*>待', first)
    every_one = re.search(r'<a href="([^"]+)"[^>]*>全部', first.partition("list-tools")[0])
    assert every_one
    assert re.search(r'aria-current="page"[^>]*>全部', lists.get("anquan", unescape(every_one.group(1))).text)
    areas = lists.get("qu", "/areas").text
    assert {row[2] for row in body_rows(areas)} == {"镇街"}
    assert {row[2] for row in body_rows(lists.get("qu", "/areas?text=9990010").text)} == {"镇街", "村居", "区县"}
