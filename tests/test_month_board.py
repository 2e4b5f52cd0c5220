"""The month board says of each unit, type and month what is owed, what came and how it went."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from hub.database import Database, new_uuid
from hub.desks.month_board import Board, Cell, CellState, board_of
from hub.registry.permissions import Actor
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.tables import row_error, submission
from mappings.catalogue import Catalogue, CatalogueError
from mappings.loader import ROOT, load
from tests.district import actor, found

MONTH, BEFORE = "2026-11", "2026-10"
TODAY = date(2026, 12, 2)  # November is over, and in time until the 5th
POLICE = actor("public_security", "department_clerk")


@pytest.fixture
def ledger(owner_database: Database) -> Database:
    with owner_database.begin() as connection:
        found(connection)
    return owner_database


def send(connection: Connection, record_type: str = "marriage", period: str = MONTH, **changed: Any) -> Any:
    """One line of the ledger, taken whole unless said otherwise."""
    submission_id, hours = new_uuid(), changed.pop("hours", 0)
    name = submission_id.hex
    line = {
        "submission_id": submission_id, "receipt_number": f"HR{name}", "operation_id": name, "file_sha256": name,
        "organisation": "public_security", "record_type": record_type, "period": period, "door": "upload", "actor": "x",
        "file_name": "x.csv", "file_size": 1, "stored_as": name, "state": "merged", "received": 3, "accepted": 3,
        "received_at": datetime(2026, 12, 1, tzinfo=UTC) + timedelta(hours=hours),
    }  # fmt: skip
    connection.execute(insert(submission).values(line | changed))
    return submission_id


def board(
    database: Database, settings: Settings, catalogue: Catalogue, who: Actor = POLICE, today: date = TODAY, **more: Any
) -> Board:
    with database.begin(reach_of(who)) as connection:
        return board_of(connection, catalogue, who, MONTH, settings=settings, today=today, **more)


def cell_of(shown: Board, record_type: str, unit: str = "public_security") -> Cell:
    """Of the month."""
    (line,) = [one for one in shown.lines if (one.organisation.code, one.record_type.code) == (unit, record_type)]
    return line.cells[0]


def states(shown: Board, record_type: str, unit: str = "public_security") -> dict[str, CellState]:
    (line,) = [one for one in shown.lines if (one.organisation.code, one.record_type.code) == (unit, record_type)]
    return {cell.month: cell.state for cell in line.cells}


REFUSED: dict[str, Any] = {"received": 3, "accepted": 2, "refused": 1}
WHOLE: dict[str, Any] = {"state": "refused", "refusal": {"code": "F_NO_HEADER", "params": {}}}
FAILED: dict[str, Any] = {"state": "failed"}
WITHDRAWN: dict[str, Any] = {"state": "refused", "refusal": {"code": "F_WITHDRAWN", "params": {}}}
NIL: dict[str, Any] = {"kind": "nil", "received": 0, "accepted": 0}
# what was sent of a type in the month (each an hour after the one before), what the board calls it, and whether it says
# that a later file was turned back
SENT: list[tuple[str, list[dict[str, Any]], CellState, bool]] = [
    ("nothing yet", [], "due", False),
    ("a dry run", [{"dry_run": True, "state": "previewed"}], "due", False),
    ("a file that is being worked on", [{"state": "checked"}], "received", False),
    ("a file whose columns are asked about", [{"state": "asking"}], "received", False),
    ("a file that waits for its second person", [{"state": "braked"}], "received", False),
    ("a good file", [{}], "accepted", False),
    ("a file with a bad row", [REFUSED], "errors", False),
    ("a file refused whole", [WHOLE], "errors", False),
    ("a file that failed", [FAILED], "errors", False),
    ("taken, then refused whole", [{}, WHOLE], "accepted", True),
    ("taken, then failed", [{}, FAILED], "accepted", True),
    ("taken, then refused twice", [{}, WHOLE, FAILED], "accepted", True),
    ("taken with a bad row, then refused whole", [REFUSED, WHOLE], "errors", True),
    ("refused whole, then taken", [WHOLE, {}], "accepted", False),
    ("taken, refused whole, taken", [{}, WHOLE, {}], "accepted", False),
    ("taken, refused whole, and the next in work", [{}, WHOLE, {"state": "checked"}], "received", False),
    ("taken, one in work, the next refused whole", [{}, {"state": "braked"}, WHOLE], "received", True),
    ("one in work, the next refused whole", [{"state": "braked"}, WHOLE], "received", True),
    ("a bad row, and the next file in work", [REFUSED, {"state": "checked"}], "errors", False),
    ("a file that failed, sent again and in work", [FAILED, {"state": "checked"}], "received", False),
    ("withdrawn by its unit", [WITHDRAWN], "due", False),
    ("taken, then one withdrawn", [{}, WITHDRAWN], "accepted", False),
    ("refused whole, then one withdrawn", [WHOLE, WITHDRAWN], "errors", False),
    ("a nil return", [NIL], "nil", False),
    ("a nil return, then rows", [NIL, {}], "accepted", False),
    ("a nil return, then rows with a bad one", [NIL, REFUSED], "errors", False),
    ("a nil return, then refused whole", [NIL, WHOLE], "nil", True),
    ("refused whole, then a nil return", [WHOLE, NIL], "nil", False),
    ("history filled in later", [{"kind": "backfill"}], "due", False),
]


@pytest.mark.parametrize(
    ("sent", "expected", "turned_back"), [case[1:] for case in SENT], ids=[case[0] for case in SENT]
)
def test_a_cell_says_how_the_month_stands(
    ledger: Database,
    app_database: Database,
    settings: Settings,
    catalogue: Catalogue,
    sent: list[dict[str, Any]],
    expected: CellState,
    turned_back: bool,
) -> None:
    with ledger.begin() as connection:
        sent_as = [send(connection, "hukou_move_in", hours=hour, **changed) for hour, changed in enumerate(sent)]
    cell = cell_of(board(app_database, settings, catalogue), "hukou_move_in")
    assert (cell.state, cell.turned_back) == (expected, sent_as[-1] if turned_back else None)


def bad_rows(connection: Connection, submission_id: Any, *numbers: int) -> None:
    rows = [
        {
            "submission_id": submission_id,
            "row_no": number,
            "error_no": at,
            "sheet_row": number,
            "code": "E_X",
            "level": "error",
        }
        for number in numbers
        for at in (1, 2)  # a row may be wrong twice
    ]
    connection.execute(insert(row_error), rows)


def test_rows_that_came_back_in_their_workbook_are_wrong_no_more(
    ledger: Database, app_database: Database, settings: Settings, catalogue: Catalogue
) -> None:
    def refused() -> tuple[CellState, int]:
        cell = cell_of(board(app_database, settings, catalogue), "hukou_move_in")
        return cell.state, cell.refused

    with ledger.begin() as connection:
        first = send(connection, "hukou_move_in", received=9, accepted=5, refused=4)
        bad_rows(connection, first, 2, 3, 7, 8)
    assert refused() == ("errors", 4)
    later = {"thread_id": first, "facts": {"returned_from": f"HR{first.hex}", "returned_rows": [[2, 3]]}}
    with ledger.begin() as connection:
        second = send(connection, "hukou_move_in", hours=1, **later, received=2, accepted=1, refused=1)
        bad_rows(connection, second, 1)
    assert refused() == ("errors", 3)  # 7 and 8, and the one that is wrong again
    theirs = {"thread_id": first, "facts": {"returned_from": f"HR{second.hex}", "returned_rows": [[1, 1]]}}
    with ledger.begin() as connection:
        third = send(connection, "hukou_move_in", hours=2, **theirs, received=1, accepted=1)
    assert refused() == ("errors", 2)  # its row 1 is the second's, not the first's
    with ledger.begin() as connection:
        send(connection, "hukou_move_in", hours=3, thread_id=first, received=9, accepted=2, unchanged=7)
    assert refused() == ("accepted", 0)  # which rows it brings it does not say: the whole workbook
    with ledger.begin() as connection:
        send(connection, "hukou_move_in", hours=4, kind="undo", undoes=third)
    assert refused() == ("accepted", 0)  # the whole workbook came after it


def test_what_was_taken_back_never_came_and_what_it_had_mended_is_wrong_again(
    ledger: Database, app_database: Database, settings: Settings, catalogue: Catalogue
) -> None:
    def state(record_type: str) -> CellState:
        return states(board(app_database, settings, catalogue), record_type)[MONTH]

    with ledger.begin() as connection:
        gone = send(connection, "hukou_cancel")
        undo = send(connection, "hukou_cancel", hours=1, kind="undo", undoes=gone)
        first = send(connection, "hukou_move_in", **REFUSED)
        mended = send(connection, "hukou_move_in", hours=1, thread_id=first, received=1, accepted=1)
    assert (state("hukou_cancel"), state("hukou_move_in")) == ("due", "accepted")
    with ledger.begin() as connection:
        send(connection, "hukou_cancel", hours=2, **WHOLE)
        send(connection, "hukou_move_in", hours=2, kind="undo", undoes=mended)
    assert (state("hukou_cancel"), state("hukou_move_in")) == ("errors", "errors")
    with ledger.begin() as connection:
        send(connection, "hukou_cancel", hours=3, kind="undo", undoes=undo)
    cell = cell_of(board(app_database, settings, catalogue), "hukou_cancel")
    assert cell.state == "accepted" and cell.turned_back is not None


DAYS: list[tuple[date, CellState]] = [
    (date(2026, 11, 22), "not_due"),
    (date(2026, 11, 23), "due"),  # the last week of the month
    (date(2026, 12, 5), "due"),
    (date(2026, 12, 6), "overdue"),
]


@pytest.mark.parametrize(("today", "expected"), DAYS)
def test_a_month_is_asked_for_from_its_last_week_and_overdue_from_the_sixth(
    ledger: Database, app_database: Database, settings: Settings, catalogue: Catalogue, today: date, expected: CellState
) -> None:
    shown = board(app_database, settings, catalogue, today=today)
    assert states(shown, "hukou_move_in")[MONTH] == expected


def test_nobody_owes_months_from_before_it_took_part(
    ledger: Database, app_database: Database, settings: Settings, catalogue: Catalogue
) -> None:
    def months(**when: Any) -> list[CellState]:
        shown = board(app_database, settings, catalogue, **when)
        return list(states(shown, "hukou_move_in").values())

    assert months() == ["due", *["not_due"] * 5]
    with ledger.begin() as connection:
        send(connection, "hukou_cancel", period="2026-08")
    assert months() == ["due", "overdue", "overdue", "overdue", "not_due", "not_due"]
    with ledger.begin() as connection:
        send(connection, "hukou_cancel", period="2025-01")
    assert months() == ["due", *["overdue"] * 5]


def test_what_comes_as_it_comes_is_never_due(
    ledger: Database, app_database: Database, settings: Settings, catalogue: Catalogue
) -> None:
    town = actor("999001001", "town_officer", area_id=2)
    shown = board(app_database, settings, catalogue, town, date(2027, 1, 31))
    assert {cell.state for line in shown.lines for cell in line.cells} == {"not_due"}
    assert [line.owed for line in shown.lines] == [False] * len(shown.lines)
    assert "service_request" in {line.record_type.code for line in shown.lines}


def test_the_bureau_sees_every_unit_and_of_what_stays_in_care_only_that_it_came(
    ledger: Database, app_database: Database, settings: Settings, catalogue: Catalogue
) -> None:
    with ledger.begin() as connection:
        send(connection, "antenatal_booking", organisation="mch_station", **REFUSED)
        send(connection, "postnatal_visit", organisation="mch_station", kind="nil", received=0, accepted=0)
        send(connection, "hukou_move_in")
    for role in ("bureau_operator", "bureau_leader"):
        shown = board(app_database, settings, catalogue, actor("bureau", role))
        assert {line.organisation.code for line in shown.lines} >= {"public_security", "labour", "mch_station"}
        closed = [cell for line in shown.lines for cell in line.cells if cell.closed and cell.sent]
        assert [(cell.state, cell.files, cell.received, cell.refused) for cell in closed] == [("received", 0, 0, 0)] * 2
    own = board(app_database, settings, catalogue, actor("mch_station", "care_worker"))
    assert states(own, "antenatal_booking", "mch_station")[MONTH] == "errors"


def test_a_unit_sees_no_other_units_board(
    ledger: Database, app_database: Database, settings: Settings, catalogue: Catalogue
) -> None:
    assert board(app_database, settings, catalogue, POLICE, organisation="labour").lines == ()
    everybody = board(app_database, settings, catalogue, POLICE)
    assert {line.organisation.code for line in everybody.lines} == {"public_security"}


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("due.toml", "due_after = 5", "due_after = 90", "usual.due_after"),
        ("due.toml", "service_request =", "nothing_known =", "unknown record type"),
        ("due.toml", 'owed_by = ["health"]', 'owed_by = ["labour"]', "may not send"),
        ("labour/employment.toml", "columns = [", "due_after = -1\ncolumns = [", "due_after"),
    ],
)
def test_a_wrong_due_day_stops_the_start(tmp_path: Path, file: str, old: str, new: str, reason: str) -> None:
    root = tmp_path / "mappings"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    text = (root / file).read_text("utf-8")
    assert text.count(old) == 1
    (root / file).write_text(text.replace(old, new), "utf-8")
    with pytest.raises(CatalogueError, match=reason) as refused:
        load(root)
    assert (refused.value.file, refused.value.line > 1) == (file, True)


def test_a_department_may_be_given_longer(
    tmp_path: Path, ledger: Database, app_database: Database, settings: Settings
) -> None:
    root = tmp_path / "mappings"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    place = root / "public_security/hukou_cancel.toml"
    place.write_text(place.read_text("utf-8").replace("columns = [", "due_after = 8\ncolumns = [", 1), "utf-8")
    shown = board(app_database, settings, load(root), today=date(2026, 12, 6))
    assert states(shown, "hukou_cancel")[MONTH] == "due"
    assert states(shown, "hukou_move_in")[MONTH] == "overdue"
