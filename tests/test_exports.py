"""Files for people: numbered, marked, exactly what was chosen; and the feed goes on as if nobody had taken one."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import msgspec
import openpyxl
import pytest

from hub.database import run_sql
from hub.embedded import Cluster
from hub.errors import BadRequest, NotAllowed
from hub.exchange.plain_cells import plain_cell
from hub.exchange.slices import FeedContext, current_epoch, open_subscription, read_behind, read_page
from hub.keyring import Keyring
from hub.registry.permissions import SYSTEM_ACTOR, Actor
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import load_subscription, set_state
from hub.settings import SharingPolicy
from hub.sharing.export_list import acknowledge_export, last_position, list_exports
from hub.sharing.exports import NothingNew, Taken, TooManyRows, Wish, make_export
from mappings.catalogue import Catalogue
from tests.district import actor
from tests.doors import Hub
from tests.sliced import TERMS, move, sliced_hub, subscribe

SLICE = SliceDefinition(
    (
        SliceType("hukou_move_in", ("name", "id_no", "sex", "move_date", "live_div")),
        SliceType("marriage", ("male_name",)),
    ),
    None,
)
LABOUR = actor("labour")


@pytest.fixture(scope="module")
def hub(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One hub for all: every test has a subscription of its own."""
    with sliced_hub(cluster, catalogue, tmp_path_factory.mktemp("exports"), "exports") as hub:
        move(hub, catalogue, 1, 7)
        yield hub


def take(hub: Hub, catalogue: Catalogue, code: str, path: Path, by: Actor = LABOUR, **wish: Any) -> Taken:
    keyring = Keyring.load(hub.settings.home)
    return make_export(hub.served, hub.settings, catalogue, keyring, by, code, Wish(**wish), path)


def pull(hub: Hub, catalogue: Catalogue, code: str, cursor: str | None = None) -> Any:
    context = FeedContext(catalogue, Keyring.load(hub.settings.home))
    with hub.served.begin(reach_of(LABOUR)) as connection:
        return read_page(connection, LABOUR, context, code, cursor, 2)


def kept(hub: Hub, code: str) -> list[tuple[object, ...]]:
    with hub.worker.begin() as connection:
        return run_sql(
            connection,
            "SELECT d.first_delivery_no, d.count, d.fetched_at IS NOT NULL, d.acknowledged_at IS NOT NULL FROM {d}.delivery d"
            " JOIN {d}.subscription s USING (subscription_id) WHERE s.code = :code ORDER BY d.page_no",
            code=code,
        )


def test_a_workbook_has_a_cover_titles_names_beside_codes_and_its_mark(
    hub: Hub, catalogue: Catalogue, tmp_path: Path
) -> None:
    code = subscribe(hub, catalogue, "in-a-workbook", SLICE)
    taken = take(hub, catalogue, code, tmp_path / "x.xlsx")
    book = openpyxl.load_workbook(tmp_path / "x.xlsx")
    cover = {row[0]: row[1] for row in book["说明"].iter_rows(min_row=3, values_only=True)}
    assert taken.file_name == f"{cover['导出编号']}.xlsx" and taken.export.export_no.startswith("DC2")
    assert (cover["使用场景"], cover["目录编号"], cover["行数"]) == (TERMS.purpose, TERMS.catalogue_no, "6")
    assert (cover["下载人"], cover["内容摘要（SHA-256）"]) == (LABOUR.name, taken.export.digest)
    assert "不得转供第三方" in str(cover["声明"])
    title = catalogue.record_types["hukou_move_in"].title
    mark, headers, first = list(book[title].iter_rows(values_only=True))[:3]
    assert all(part in str(mark[0]) for part in (taken.export.export_no, "人社局", LABOUR.name))
    assert taken.export.export_no in str(book[title].oddHeader)
    shown = dict(zip(headers, first, strict=True))
    assert (shown["姓名"], shown["性别"], shown["性别（名称）"]) == ("王小明", "2", "女性")
    assert "清溪街道光明社区" in first
    assert list(book.sheetnames)[1:] == [title, catalogue.record_types["marriage"].title]


def test_a_download_of_the_whole_slice_disturbs_no_cursor_and_is_no_delivery(
    hub: Hub, catalogue: Catalogue, tmp_path: Path
) -> None:
    code = subscribe(hub, catalogue, "undisturbed", SLICE)
    first = pull(hub, catalogue, code)
    before = kept(hub, code)
    take(hub, catalogue, code, tmp_path / "whole.xlsx")
    assert kept(hub, code) == before
    second = pull(hub, catalogue, code, first.next)
    assert (second.from_seq, second.first_delivery_no) == (first.to_seq, 3)


def test_changes_are_the_kept_pages_since_the_last_download_and_are_acknowledged_by_it(
    hub: Hub, catalogue: Catalogue, tmp_path: Path
) -> None:
    code = subscribe(hub, catalogue, "since-last", SLICE)
    program = pull(hub, catalogue, code)  # a program reads the same feed
    taken = take(hub, catalogue, code, tmp_path / "1.zip", whole=False, form="ndjson")
    assert taken.export.rows == 6 and not taken.more
    assert pull(hub, catalogue, code).changes == program.changes
    with ZipFile(tmp_path / "1.zip") as archive:
        lines = archive.read("rows.ndjson")
        cover = json.loads(archive.read("cover.json"))
    assert hashlib.sha256(lines).hexdigest() == cover["digest"] == taken.export.digest
    assert program.changes.split(",\n") == lines.decode().splitlines()[:2]
    with pytest.raises(NothingNew):
        take(hub, catalogue, code, tmp_path / "2.zip", whole=False)
    move(hub, catalogue, 40, 42)
    assert [row[2] for row in kept(hub, code)] == [True, True]  # who asked for the next download has had these
    again = take(hub, catalogue, code, tmp_path / "3.zip", whole=False, form="csv")
    assert (again.export.rows, again.export.from_seq) == (2, taken.export.to_seq)
    with hub.served.begin(reach_of(LABOUR)) as connection:
        own = load_subscription(connection, code)
        epoch = current_epoch(connection, own)
        assert acknowledge_export(connection, LABOUR, own, epoch, again.export.export_no).to_delivery_no == 8
    assert all(row[3] for row in kept(hub, code))


def test_a_range_is_taken_again_by_its_numbers_and_moves_nothing_on(
    hub: Hub, catalogue: Catalogue, tmp_path: Path
) -> None:
    code = subscribe(hub, catalogue, "by-numbers", SLICE)
    page = pull(hub, catalogue, code)
    for _ in range(2):
        page = pull(hub, catalogue, code, page.next)
    taken = take(
        hub, catalogue, code, tmp_path / "r.zip", whole=False, form="ndjson", from_delivery_no=3, to_delivery_no=4
    )
    assert taken.export.rows == 2
    with hub.served.begin(reach_of(LABOUR)) as connection:
        own = load_subscription(connection, code)
        position, had = last_position(connection, own, current_epoch(connection, own))
        assert (position, had) == (0, None)  # numbers 1 and 2 were never downloaded
        assert [one.export_no for one in list_exports(connection, own)] == [taken.export.export_no]


def test_only_what_was_chosen_is_in_the_file_and_never_more_than_the_slice(
    hub: Hub, catalogue: Catalogue, tmp_path: Path
) -> None:
    code = subscribe(hub, catalogue, "chosen", SLICE)
    taken = take(hub, catalogue, code, tmp_path / "m.zip", form="csv", record_types=("marriage",))
    assert (taken.export.rows, taken.export.record_types) == (0, ["marriage"])
    with ZipFile(tmp_path / "m.zip") as archive:
        names = archive.namelist()
    assert names == [f"{catalogue.record_types['marriage'].title}.csv", "说明.txt"]
    for wrong in ({"record_types": ("death_certificate",)}, {"areas": (4711,)}):
        with pytest.raises(BadRequest):
            take(hub, catalogue, code, tmp_path / "w.xlsx", **wrong)


def test_too_many_rows_are_refused_with_the_limit_and_changes_are_taken_in_parts(
    hub: Hub, catalogue: Catalogue, tmp_path: Path
) -> None:
    code = subscribe(hub, catalogue, "too-many", SLICE)
    small = msgspec.structs.replace(hub.settings, sharing=SharingPolicy(export_rows=4))
    keyring = Keyring.load(hub.settings.home)
    with pytest.raises(TooManyRows) as refused:
        make_export(hub.served, small, catalogue, keyring, LABOUR, code, Wish(), tmp_path / "t.xlsx")
    assert refused.value.facts["most"] == 4 and list(tmp_path.iterdir()) == []
    first = make_export(hub.served, small, catalogue, keyring, LABOUR, code, Wish(whole=False), tmp_path / "t.xlsx")
    assert (first.export.rows, first.more) == (4, True)


def test_nothing_in_a_file_is_run_as_a_formula(hub: Hub, catalogue: Catalogue, tmp_path: Path) -> None:
    code = subscribe(hub, catalogue, "formulas", SLICE)
    move(hub, catalogue, 60, 61, name="=1+1")
    take(hub, catalogue, code, tmp_path / "f.zip", form="csv")
    take(hub, catalogue, code, tmp_path / "f.xlsx")
    title = catalogue.record_types["hukou_move_in"].title
    with ZipFile(tmp_path / "f.zip") as archive:
        rows = list(csv.reader(io.StringIO(archive.read(f"{title}.csv").decode("utf-8-sig"))))
    cells = [
        cell for row in openpyxl.load_workbook(tmp_path / "f.xlsx")[title].iter_rows() for cell in row if cell.value
    ]
    assert any("'=1+1" in row for row in rows)
    assert {cell.data_type for cell in cells} == {"s"} and plain_cell("@x") == "'@x"


def test_a_stopped_subscription_and_a_stranger_take_nothing(hub: Hub, catalogue: Catalogue, tmp_path: Path) -> None:
    code = subscribe(hub, catalogue, "stopped", SLICE)
    with pytest.raises(Exception, match="没有订阅"):
        take(hub, catalogue, code, tmp_path / "s.xlsx", by=actor("public_security"))
    with hub.worker.begin() as connection:
        set_state(connection, SYSTEM_ACTOR, code, "suspended")
    with pytest.raises(NotAllowed):
        take(hub, catalogue, code, tmp_path / "s.xlsx")


def test_what_only_a_narrower_file_held_is_not_acknowledged_by_a_later_one(
    hub: Hub, catalogue: Catalogue, tmp_path: Path
) -> None:
    code = subscribe(hub, catalogue, "narrower-first", SLICE)
    some = take(hub, catalogue, code, tmp_path / "n.zip", whole=False, form="csv", record_types=("hukou_move_in",))
    move(hub, catalogue, 70, 72)
    with hub.served.begin(reach_of(LABOUR)) as connection:
        context = FeedContext(catalogue, Keyring.load(hub.settings.home))
        own = open_subscription(connection, LABOUR, context, code)
        epoch = current_epoch(connection, own)
        page = read_behind(connection, LABOUR, context, own, epoch, some.export.to_seq, 10)
    numbers: Any = {"from_delivery_no": page.first_delivery_no, "to_delivery_no": page.first_delivery_no}
    later = take(hub, catalogue, code, tmp_path / "l.zip", whole=False, form="csv", **numbers)
    for one in (some, later):
        with hub.served.begin(reach_of(LABOUR)) as connection, pytest.raises(BadRequest):
            acknowledge_export(connection, LABOUR, own, epoch, one.export.export_no)
    everything = take(hub, catalogue, code, tmp_path / "e.zip", whole=False, form="csv")
    with hub.served.begin(reach_of(LABOUR)) as connection:
        acknowledge_export(connection, LABOUR, own, epoch, later.export.export_no)
    assert everything.export.from_seq == 0 and all(row[3] for row in kept(hub, code))
