"""What a returned list brings beside its answers is sent on once, as the town's own submissions, whatever dies in between."""

from __future__ import annotations

import io
from collections.abc import Iterator

import openpyxl
import pytest

from hub import following, jobs
from hub.database import Database
from hub.exchange import pipeline
from hub.jobs import Accepted
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.decisions import read
from tests.doors import THIS_MONTH, TOWN, VILLAGE, Hub, founded_hub, identity_number
from tests.factories import distinct_name
from tests.paper_hub import book_of, officer, paper_of
from tests.round_hub import OFFICER, answer, codes_of, items_of, marked, move_people_in, open_month, work_through

LIST = (
    "来源记录",
    "核对月份",
    "校验码",
    "序号",
    "姓名",
    "变动类别",
    "变动日期",
    "来源部门",
    "核对结果",
    "核对人",
    "核对日期",
)
ARRIVALS = ("村(居)", "增加类别", "变动日期", "姓名", "身份证号", "性别", "出生日期", "采集人", "采集日期")
DEPARTURES = ("村(居)", "减少类别", "变动日期", "姓名", "身份证号", "采集人", "采集日期")
BABY = ("光明社区", "出生", f"{THIS_MONTH}-02", "王小满", None, "女", f"{THIS_MONTH}-02", "万和", f"{THIS_MONTH}-03")


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as founded:
        move_people_in(founded, catalogue)
        open_month(founded, catalogue)
        yield founded


def workbook(hub: Hub, arrivals: tuple[tuple[str | None, ...], ...] = (BABY,)) -> bytes:
    """The list with its first line true, one birth at home, one death; an empty sheet of service requests."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "变动清单"
    sheet.append(LIST)
    for number, item in enumerate(items_of(hub), 1):
        row = marked(hub, answer(item, ""), item)
        said = ("属实", "万和", f"{THIS_MONTH}-05") if number == 1 else (None, None, None)
        sheet.append(
            (row["source_record_id"], row["round"], row["list_mark"], number, row["name"], None, None, None, *said)
        )
    for title, head, rows in (("增加人员", ARRIVALS, arrivals), ("减少人员", DEPARTURES, (_death(),))):
        other = book.create_sheet(title)
        other.append([f"清溪街道{title}"])
        other.append(head)
        for one in rows:
            other.append(one)
    book.create_sheet("服务需求").append(("需求编号", "姓名", "村(居)", "需求类别", "需求内容", "提出日期"))
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _death() -> tuple[str | None, ...]:
    return ("光明社区", "死亡", f"{THIS_MONTH}-04", distinct_name(2), identity_number(2), "万和", f"{THIS_MONTH}-05")


def send_back(hub: Hub, catalogue: Catalogue, content: bytes) -> Accepted:
    return jobs.accept(
        hub.served, hub.settings, OFFICER, stream=io.BytesIO(content), file_name="清溪街道变动清单.xlsx", door="upload",
        record_type="town_verification", organisation=TOWN, period=THIS_MONTH, catalogue=catalogue,
    )  # fmt: skip


def sent_on(hub: Hub) -> list[tuple[object, ...]]:
    return read(
        hub,
        "SELECT record_type, state, received, accepted, organisation, door FROM {d}.submission"
        " WHERE organisation = :town AND record_type <> 'town_verification' ORDER BY record_type",
        town=TOWN,
    )


def test_every_sheet_goes_on_as_what_it_is(hub: Hub, catalogue: Catalogue) -> None:
    accepted = send_back(hub, catalogue, workbook(hub))
    work_through(hub, catalogue, accepted.submission_id)
    assert sent_on(hub) == [
        ("town_arrival", "merged", 1, 1, TOWN, "round"),
        ("town_departure", "merged", 1, 1, TOWN, "round"),
    ], "and nothing of the sheet that is empty"
    assert codes_of(hub, accepted) == ["N_NOT_ANSWERED"] * 3, "no row of another sheet was taken for an answer"
    assert read(hub, "SELECT name, live_div, source FROM {d}.rec_town_arrival") == [("王小满", VILLAGE, TOWN)]
    told = read(
        hub, "SELECT facts ->> 'followed' FROM {d}.submission WHERE submission_id = :one", one=accepted.submission_id
    )
    assert str(told[0][0]).count("-") >= 2, "the return names the receipts of what went on"


def test_one_row_in_a_form_that_lost_its_title_goes_on_and_forms_left_blank_do_not(
    hub: Hub, catalogue: Catalogue
) -> None:
    book = book_of(paper_of(hub, catalogue, officer(hub)).content)
    form, answered = book["增加人员"], book["变动清单"]
    headers = [str(cell.value) for cell in form[3]]
    for column, value in zip(ARRIVALS, BABY, strict=True):
        form.cell(4, headers.index(column) + 1).value = value
    form.unmerge_cells(str(next(iter(form.merged_cells.ranges))))
    form.delete_rows(1)
    answered.cell(4, [cell.value for cell in answered[3]].index("核对结果") + 1).value = "属实"
    content = io.BytesIO()
    book.save(content)
    work_through(hub, catalogue, send_back(hub, catalogue, content.getvalue()).submission_id)
    assert sent_on(hub) == [("town_arrival", "merged", 1, 1, TOWN, "round")]


def test_what_was_found_is_put_to_the_departments_concerned(hub: Hub, catalogue: Catalogue) -> None:
    work_through(hub, catalogue, send_back(hub, catalogue, workbook(hub)).submission_id)
    told = read(hub, "SELECT against, record_type FROM {d}.challenge WHERE kind = 'unreported' ORDER BY 1, 2")
    assert told == [
        ("health", "birth_certificate"), ("health", "death_certificate"),
        ("public_security", "hukou_cancel"), ("public_security", "newborn_hukou"),
    ]  # fmt: skip


def test_followed_twice_or_after_a_crash_nothing_is_sent_twice(hub: Hub, catalogue: Catalogue) -> None:
    accepted = send_back(hub, catalogue, workbook(hub))
    pipeline.run(hub.worker, hub.settings, accepted.submission_id, catalogue)
    assert sent_on(hub) == [], "the worker died here"
    assert following.follow_all(hub.worker, hub.settings, catalogue) == 1
    assert len(sent_on(hub)) == 2
    assert following.follow_all(hub.worker, hub.settings, catalogue) == 0
    following.follow(hub.worker, hub.settings, catalogue, accepted.submission_id)
    assert len(sent_on(hub)) == 2
    assert send_back(hub, catalogue, workbook(hub)).repeated is False, "an edited workbook is another return"


def test_a_sheet_that_cannot_be_read_says_so_on_its_own_receipt(hub: Hub, catalogue: Catalogue) -> None:
    wrong = ("无此村", "出生", "昨天", "王小满", "12", "女", "", "万和", "")
    work_through(hub, catalogue, send_back(hub, catalogue, workbook(hub, (wrong,))).submission_id)
    assert sent_on(hub)[0][:4] == ("town_arrival", "merged", 1, 0)
    assert items_of(hub)[0]["state"] == "answered", "the answers stand"


def test_a_return_with_nobody_on_the_list_still_brings_whom_the_town_found(hub: Hub, catalogue: Catalogue) -> None:
    book = openpyxl.load_workbook(io.BytesIO(workbook(hub)))
    book["变动清单"].delete_rows(2, 10)
    content = io.BytesIO()
    book.save(content)
    accepted = send_back(hub, catalogue, content.getvalue())
    work_through(hub, catalogue, accepted.submission_id)
    assert [one[0] for one in sent_on(hub)] == ["town_arrival", "town_departure"]
    assert following.follow_all(hub.worker, hub.settings, catalogue) == 0
