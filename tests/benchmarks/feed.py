"""What a subscriber draws: pages of a town's changes and the snapshot of its slice, against the bare queries."""

from __future__ import annotations

import time

from hub.exchange import pipeline
from hub.exchange.slices import FeedContext, Page, read_page, snapshot
from hub.keyring import Keyring
from hub.registry.areas import load_area_index
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from mappings.catalogue import Catalogue
from tests.benchmarks import people_file
from tests.benchmarks.floor import drain
from tests.benchmarks.ground import SUBSCRIBER, Register, ground, subscriber
from tests.benchmarks.line import SEED
from tests.benchmarks.report import Report

FIELDS = ("name", "id_no", "sex", "birth_date", "move_date", "reason", "hukou_addr", "live_div")
_CODE, _ROWS, _PAGES = "bench", 1_000, 50
_JSON = f"json_build_object({', '.join(f'{chr(39)}{name}{chr(39)}, r.{name}' for name in FIELDS)})"


def measure(report: Report, catalogue: Catalogue, repeats: int) -> None:
    """One town's slice of a loaded register."""
    with ground(catalogue) as laid, laid.register() as register:
        pipeline.run(
            register.worker, register.settings, register.send(people_file.file_of(report.rows, SEED)), catalogue
        )
        town = _subscribe(register, catalogue)
        _measure_pages(report, register, catalogue, town)
        _measure_snapshot(report, register, catalogue, town)


def _subscribe(register: Register, catalogue: Catalogue) -> int:
    with register.app.begin(reach_of(SYSTEM_ACTOR)) as connection:
        town = load_area_index(connection).codes[people_file.areas()[1].code]
        create_subscription(
            connection, SYSTEM_ACTOR, catalogue, code=_CODE, organisation=SUBSCRIBER, title="基准 benchmark",
            definition=SliceDefinition((SliceType(people_file.RECORD_TYPE, FIELDS),), (town,)),
            terms=Terms(purpose="基准测试 benchmark", legal_basis="基准测试 benchmark"),
        )  # fmt: skip
    return town


def _measure_pages(report: Report, register: Register, catalogue: Catalogue, town: int) -> None:
    """Pages one after the other, each in its own transaction with its range and its audit line."""
    context = FeedContext(catalogue, Keyring.load(register.settings.home))
    cursor, changes, spent, bare, pages, more = None, 0, 0.0, 0.0, 0, True
    while more and pages < _PAGES:
        started = time.perf_counter()
        with register.app.begin(reach_of(subscriber())) as connection:
            page = read_page(connection, subscriber(), context, _CODE, cursor, _ROWS)
        spent += time.perf_counter() - started
        bare += drain(register, _page_query(register, town, page))
        cursor, more, changes, pages = page.next, page.more, changes + page.count, pages + 1
    report.add(
        work=f"变动页 page of {changes // pages:,}", seconds=spent / pages, floor="json_build_object, COPY out",
        floor_seconds=bare / pages, goal=4.0,
    )  # fmt: skip


def _page_query(register: Register, town: int, page: Page) -> str:
    district = register.settings.district
    return (
        f"SELECT l.seq, {_JSON} FROM {district}.change_log l JOIN {district}.rec_{people_file.RECORD_TYPE} r USING (record_id)"
        f" WHERE l.seq > {page.from_seq} AND l.seq <= {page.to_seq} AND l.areas_after && ARRAY[{town}] ORDER BY l.seq"
    )


def _measure_snapshot(report: Report, register: Register, catalogue: Catalogue, town: int) -> None:
    context = FeedContext(catalogue, Keyring.load(register.settings.home))
    query = f"SELECT {_JSON} FROM {register.settings.district}.rec_{people_file.RECORD_TYPE} r WHERE r.areas && ARRAY[{town}]"
    bare = drain(register, query)
    started = time.perf_counter()
    with register.app.begin(reach_of(subscriber()), isolation="REPEATABLE READ") as connection:
        lines = sum(1 for _ in snapshot(connection, subscriber(), context, _CODE))
    spent = time.perf_counter() - started
    report.add(
        work=f"切片快照 snapshot of {lines - 1:,}",
        seconds=spent,
        floor="json_build_object, COPY out",
        floor_seconds=bare,
    )
