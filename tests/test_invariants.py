"""The promises the hub is built on, end to end: one gate, nothing disappears, idempotent, gapless, replay = query, sources kept.

The clinical boundary has its own file, the feed under load and killed processes theirs (tests/faults), the replay of
arbitrary histories too (test_oracle).
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient

from drops.scan import Drops
from hub import jobs
from hub.commands.opening import operator
from hub.database import Database, run_sql
from hub.exchange.area_submission import change_areas
from hub.exchange.changelog import verify_feed
from hub.exchange.receipts import read_receipt
from hub.exchange.slices import FeedContext, query_slice, read_page
from hub.keyring import Keyring
from hub.registry.area_changes import merge_areas
from hub.registry.areas import load_area_index
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.doors import (
    OTHER_TOWN,
    OTHER_VILLAGE,
    THIS_MONTH,
    TOWN,
    VILLAGE,
    Hub,
    csv_of,
    founded_hub,
    identity_number,
    move_in,
)

TYPE = "hukou_move_in"
NAMES = {
    "姓名": "name", "公民身份号码": "id_no", "性别": "sex", "出生日期": "birth_date", "民族": "ethnicity",
    "所属社区(村)": "live_div", "迁入日期": "move_date",
}  # fmt: skip
MIXED = (
    move_in(1),
    move_in(2, 公民身份号码="999001199003070000"),  # the check digit is wrong
    move_in(3, 迁入日期="2026-13-45"),
    move_in(4, **{"所属社区(村)": OTHER_VILLAGE}),
    move_in(1),  # the first row again
)
TERMS = Terms(purpose="核对", legal_basis="条例")


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


def send(
    hub: Hub, catalogue: Catalogue, content: bytes, organisation: str = "public_security", record_type: str = TYPE,
    **told: Any,
) -> str:  # fmt: skip
    """A file at the hub's own command line, through the whole line; the receipt number."""
    accepted = jobs.accept(
        hub.worker, hub.settings, operator(organisation), stream=io.BytesIO(content), file_name="file.csv",
        record_type=record_type, organisation=organisation, period=THIS_MONTH, door="command", catalogue=catalogue, **told,
    )  # fmt: skip
    hub.work()
    return accepted.receipt_number


def receipt(hub: Hub, catalogue: Catalogue, number: str) -> dict[str, Any]:
    with hub.worker.begin() as connection:
        return read_receipt(connection, number, catalogue=catalogue)


def read(hub: Hub, statement: str) -> list[tuple[Any, ...]]:
    with hub.worker.begin() as connection:
        return run_sql(connection, statement)


def as_fields(row: dict[str, str]) -> dict[str, str]:
    return {NAMES[header]: value for header, value in row.items()}


# ---- 1. one gate ----


@dataclass(frozen=True)
class Outcome:
    """What a door's rows became, whichever way they were cut into submissions."""

    records: frozenset[tuple[Any, ...]]
    counts: frozenset[tuple[str, int]]
    errors: tuple[tuple[str, str, str], ...]  # field, code, level

    @classmethod
    def of(cls, hub: Hub, catalogue: Catalogue, numbers: list[str]) -> Outcome:
        told = [receipt(hub, catalogue, number) for number in numbers]
        counts: Counter[str] = Counter()
        for one in told:
            counts.update(one["counts"])
        # whether the same row twice is a repeated row or an unchanged record depends on where the file was cut
        issues = [issue for one in told for issue in one["issues"] if issue["code"] != "N_REPEATED_ROW"]
        columns = "id_no, name, sex, birth_date, ethnicity, move_date, areas, version, voided, source"
        records = read(hub, f"SELECT {columns} FROM {{d}}.rec_hukou_move_in")
        return cls(
            frozenset((*row[:6], tuple(row[6]), *row[7:]) for row in records),
            frozenset(counts.items()),
            tuple(sorted((issue["field"], issue["code"], issue["level"]) for issue in issues)),
        )


def by_command(hub: Hub, catalogue: Catalogue) -> list[str]:
    return [send(hub, catalogue, csv_of(*MIXED))]


def by_folder(hub: Hub, catalogue: Catalogue) -> list[str]:
    drops = Drops(hub.worker, msgspec.structs.replace(hub.settings, drop_quiet_seconds=0.0), catalogue)
    drops.lay_out()
    folder = drops.settings.drops / "public_security" / "in" / TYPE / THIS_MONTH
    folder.mkdir(parents=True)
    (folder / "moves.csv").write_bytes(csv_of(*MIXED))
    assert drops.look().accepted == 1
    hub.work()
    assert drops.look().answered == 1
    answer = drops.settings.drops / "public_security" / "receipts" / "moves.csv.receipt.json"
    return [json.loads(answer.read_text("utf-8"))["receipt"]]


def by_api_file(hub: Hub, catalogue: Catalogue) -> list[str]:
    with TestClient(hub.app) as client:
        headers = {**hub.key_of("public_security"), "Content-Type": "text/csv", "Idempotency-Key": "bulk"}
        sent = client.post(f"/v1/submissions?type={TYPE}&period={THIS_MONTH}", content=csv_of(*MIXED), headers=headers)
    hub.work()
    return [sent.json()["receipt"]]


def by_api_rows(hub: Hub, catalogue: Catalogue) -> list[str]:
    """Row after row, each its own submission; the repeated one in a month of its own, or it would be the same bytes."""
    numbers = []
    with TestClient(hub.app) as client:
        for place, row in enumerate(MIXED):
            body = {"type": TYPE, "period": None if place == 4 else THIS_MONTH, "rows": [as_fields(row)]}
            headers = {**hub.key_of("public_security"), "Idempotency-Key": f"row-{place}"}
            numbers.append(client.post("/v1/submissions", json=body, headers=headers).json()["receipt"])
            hub.work()
    return numbers


@pytest.mark.parametrize("door", [by_command, by_folder, by_api_file, by_api_rows])
def test_the_same_rows_become_the_same_whichever_door_they_took(
    hub: Hub, catalogue: Catalogue, door: Callable[[Hub, Catalogue], list[str]]
) -> None:
    index = _areas(hub)
    own = tuple(sorted((index[VILLAGE], index[TOWN])))
    other = tuple(sorted((index[OTHER_VILLAGE], index[OTHER_TOWN])))
    moved, born = date.fromisoformat(f"{THIS_MONTH}-01"), date(1990, 3, 7)
    expected = Outcome(
        records=frozenset(
            (
                identity_number(serial),
                move_in(serial)["姓名"],
                sex,
                born,
                "01",
                moved,
                areas,
                1,
                False,
                "public_security",
            )
            for serial, sex, areas in ((1, "1", own), (4, "2", other))
        ),
        counts=frozenset({"received": 5, "accepted": 2, "unchanged": 1, "held": 1, "refused": 1}.items()),
        errors=EXPECTED_ERRORS,
    )
    assert Outcome.of(hub, catalogue, door(hub, catalogue)) == expected


EXPECTED_ERRORS = (("id_no", "E_ID_CHECK", "hold"), ("move_date", "E_DATE", "error"))


def _areas(hub: Hub) -> dict[str, int]:
    with hub.worker.begin() as connection:
        return load_area_index(connection).codes


# ---- 2. nothing disappears ----


def test_every_received_row_is_in_exactly_one_place_and_can_be_shown(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, csv_of(move_in(1)))
    rows = [move_in(1), *(move_in(serial) for serial in range(2, 12))]
    rows += [move_in(50, 公民身份号码="999001199003070000"), move_in(51, 迁入日期="不详"), move_in(52, 姓名="")]
    rows += [move_in(60), move_in(60, 姓名="王大明")]  # two rows that mean one record, and differ
    number = send(hub, catalogue, csv_of(*rows))
    counts = receipt(hub, catalogue, number)["counts"]
    accepted = _row_numbers(hub, number, "rec_hukou_move_in")
    held = _row_numbers(hub, number, "stg_hukou_move_in")
    refused = _row_numbers(hub, number, "row_error", "level = 'error'")
    assert not accepted & held
    assert not (accepted | held) & refused
    unchanged = set(range(1, len(rows) + 1)) - accepted - held - refused
    assert unchanged == {1}
    assert counts == {
        "received": len(rows), "accepted": len(accepted), "unchanged": 1, "held": len(held), "refused": len(refused),
    }  # fmt: skip
    assert held == {12, 15, 16}
    assert held | refused == _row_numbers(hub, number, "row_error", "level IN ('hold', 'error')")


def _row_numbers(hub: Hub, number: str, table: str, which: str = "true") -> set[int]:
    own = f"(SELECT submission_id FROM {{d}}.submission WHERE receipt_number = '{number}')"
    return {row[0] for row in read(hub, f"SELECT row_no FROM {{d}}.{table} WHERE {which} AND submission_id = {own}")}


# ---- 3. idempotent ----


def test_the_same_bytes_again_are_the_same_submission(hub: Hub, catalogue: Catalogue) -> None:
    numbers = {send(hub, catalogue, csv_of(*MIXED)) for _ in range(3)}
    assert len(numbers) == 1
    assert read(hub, "SELECT count(*) FROM {d}.submission") == [(1,)]
    assert read(hub, "SELECT count(*), max(version) FROM {d}.rec_hukou_move_in") == [(2, 1)]


def test_the_same_rows_in_another_file_change_nothing(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, csv_of(move_in(1), move_in(2)))
    before = read(hub, "SELECT * FROM {d}.rec_hukou_move_in ORDER BY record_id")
    number = send(hub, catalogue, csv_of(move_in(2), move_in(1)))
    assert receipt(hub, catalogue, number)["counts"] == {
        "received": 2,
        "accepted": 0,
        "unchanged": 2,
        "held": 0,
        "refused": 0,
    }
    assert read(hub, "SELECT * FROM {d}.rec_hukou_move_in ORDER BY record_id") == before
    assert read(hub, "SELECT last_seq FROM {d}.feed_head") == [(2,)]


def test_an_operation_takes_effect_once_however_often_its_job_runs(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, csv_of(move_in(1)), operation_id="monthly")
    ((submission_id,),) = read(hub, "SELECT submission_id FROM {d}.submission")
    with hub.worker.begin() as connection:
        for _ in range(3):
            jobs.enqueue(connection, submission_id, "public_security", TYPE)
    hub.work()
    send(hub, catalogue, csv_of(move_in(1)), operation_id="monthly")
    assert read(hub, "SELECT count(*) FROM {d}.operation") == [(1,)]
    assert read(hub, "SELECT last_seq, last_batch FROM {d}.feed_head") == [(1, 1)]


def test_a_page_and_its_acknowledgement_may_be_repeated(hub: Hub, catalogue: Catalogue) -> None:
    subscribe(hub, catalogue, "labour-moves", SliceDefinition((SliceType(TYPE, ("name", "id_no")),)))
    send(hub, catalogue, csv_of(*(move_in(serial) for serial in range(1, 8))))
    with TestClient(hub.app) as client:
        address, headers = "/v1/subscriptions/labour-moves", hub.key_of("labour")
        pages = [client.get(f"{address}/changes?limit=3", headers=headers) for _ in range(3)]
        assert len({page.content for page in pages}) == 1
        ack = {"to_delivery_no": 3, "digest": pages[0].json()["meta"]["digest"]}
        first, again = (client.post(f"{address}/acks", json=ack, headers=headers).json() for _ in range(2))
    assert (first["matches"], first["deliveries"], again["matches"], again["deliveries"]) == (True, 1, True, 0)
    assert read(hub, "SELECT count(*) FROM {d}.delivery") == [(1,)]


# ---- 4. gapless ----


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM {d}.change_log WHERE seq = 3",
        "DELETE FROM {d}.change_log WHERE seq = (SELECT max(seq) FROM {d}.change_log)",
        "UPDATE {d}.feed_head SET last_seq = last_seq + 1",
        "UPDATE {d}.change_log SET record_id = (SELECT record_id FROM {d}.change_log WHERE seq = 1) WHERE seq = 3",
        "UPDATE {d}.rec_hukou_move_in SET content_digest = '\\x00' WHERE row_no = 2",
        "DELETE FROM {d}.feed_batch WHERE batch = 1",
    ],
)
def test_the_feed_is_whole_and_any_damage_to_it_is_seen(
    hub: Hub, catalogue: Catalogue, owner_database: Database, tampering: str
) -> None:
    for first in (1, 11, 21):
        send(hub, catalogue, csv_of(*(move_in(serial) for serial in range(first, first + 3))))
    with owner_database.begin() as connection:
        assert verify_feed(connection, catalogue) == []
        assert run_sql(connection, "SELECT count(*), min(seq), max(seq) FROM {d}.change_log") == [(9, 1, 9)]
        run_sql(connection, tampering)
        assert verify_feed(connection, catalogue) != []


# ---- 5. slice replayed = slice queried ----


def test_a_slice_replayed_is_the_slice_queried_through_moves_voids_and_an_area_merge(
    hub: Hub, catalogue: Catalogue
) -> None:
    index = _areas(hub)
    definition = SliceDefinition((SliceType(TYPE, ("name", "id_no")),), areas=(index[TOWN],))
    subscribe(hub, catalogue, "moves-of-town", definition)
    held: dict[str, Any] = {}
    cursor = None
    elsewhere = {"所属社区(村)": OTHER_VILLAGE}

    def merge_towns() -> None:
        change_areas(
            hub.worker, hub.settings, catalogue, SYSTEM_ACTOR,
            lambda connection: merge_areas(connection, SYSTEM_ACTOR, [index[OTHER_TOWN]], index[TOWN], date(2026, 1, 1)),
        )  # fmt: skip

    happenings: list[tuple[int, Callable[[], object]]] = [
        (3, lambda: send(hub, catalogue, csv_of(*(move_in(serial) for serial in (1, 2, 3)), move_in(4, **elsewhere)))),
        (2, lambda: send(hub, catalogue, changed_csv("更正", move_in(2, **elsewhere)))),
        (1, lambda: send(hub, catalogue, changed_csv("作废", move_in(3)))),
        (2, lambda: send(hub, catalogue, changed_csv("更正", move_in(3, 姓名="王中明")))),
        (4, merge_towns),
    ]
    for size, happen in happenings:
        happen()
        cursor = replay(hub, catalogue, "moves-of-town", held, cursor)
        with hub.worker.begin() as connection:
            queried = {
                one["record_id"]: one["after"]
                for one in query_slice(connection, feed_context(hub, catalogue), definition)
            }
        assert held == queried
        assert len(held) == size


def changed_csv(kind: str, row: dict[str, str]) -> bytes:
    headers, cells = ",".join([*row, "变动标识"]), ",".join([*row.values(), kind])
    return f"{headers}\r\n{cells}\r\n".encode()


def feed_context(hub: Hub, catalogue: Catalogue) -> FeedContext:
    return FeedContext(catalogue, Keyring.load(hub.settings.home))


def subscribe(hub: Hub, catalogue: Catalogue, code: str, definition: SliceDefinition) -> None:
    with hub.served.begin(reach_of(SYSTEM_ACTOR)) as connection:
        create_subscription(
            connection,
            SYSTEM_ACTOR,
            catalogue,
            code=code,
            organisation="labour",
            title=code,
            definition=definition,
            terms=TERMS,
        )


def replay(hub: Hub, catalogue: Catalogue, code: str, held: dict[str, Any], cursor: str | None) -> str:
    """Apply every page behind the cursor to what the subscriber holds; the new cursor."""
    while True:
        with hub.served.begin({"registry": "on"}) as connection:  # the opened slice alone decides what is seen
            page = read_page(connection, SYSTEM_ACTOR, feed_context(hub, catalogue), code, cursor, limit=2)
        for change in json.loads(f"[{page.changes}]"):
            assert (change["op"] == "enter") == (change["record_id"] not in held)
            assert change["before"] == held.pop(change["record_id"], None)
            if change["op"] != "leave":
                held[change["record_id"]] = change["after"]
        cursor = page.next
        if not page.more:
            return cursor


# ---- 6. sources are kept ----

ROLL = ("姓名", "身份证号", "现住村居", "门牌号")


def roll(door_no: str, village: str = VILLAGE) -> bytes:
    cells = ("王小明", identity_number(1), village, door_no)
    return (",".join(ROLL) + "\r\n" + ",".join(cells) + "\r\n").encode()


def test_two_sources_of_one_person_keep_records_and_histories_of_their_own(hub: Hub, catalogue: Catalogue) -> None:
    send(hub, catalogue, roll("一号"), "public_security", "resident_roll")
    send(hub, catalogue, roll("二号"), TOWN, "resident_roll")
    send(hub, catalogue, roll("三号"), TOWN, "resident_roll")
    now = read(hub, "SELECT source, version, door_no, person_ref FROM {d}.rec_resident_roll ORDER BY source")
    assert [row[:3] for row in now] == [(TOWN, 2, "三号"), ("public_security", 1, "一号")]
    assert len({row[3] for row in now}) == 1
    assert read(hub, "SELECT source, version, door_no FROM {d}.rec_resident_roll_history") == [(TOWN, 1, "二号")]
    assert read(hub, "SELECT count(*) FROM {d}.person") == [(1,)]


def test_a_home_can_be_recomputed_from_the_records_and_comes_out_the_same(hub: Hub, catalogue: Catalogue) -> None:
    first, second = VILLAGE, OTHER_VILLAGE
    days = (
        (1, "01", first),
        (2, "03", second),
        (1, "05", second),
        (2, "02", first),
        (3, "04", first),
        (1, "06", first),
    )
    for serial, day, village in days:
        send(hub, catalogue, csv_of(move_in(serial, 迁入日期=f"{THIS_MONTH}-{day}", **{"所属社区(村)": village})))
    derived = read(hub, "SELECT person_id, home_area, home_since FROM {d}.person ORDER BY person_id")
    recomputed = read(
        hub,
        "SELECT DISTINCT ON (person_ref) person_ref, person_area, move_date FROM {d}.rec_hukou_move_in"
        " WHERE NOT voided AND person_area IS NOT NULL ORDER BY person_ref, move_date DESC",
    )
    assert derived == recomputed
    assert {home for _, home, _ in derived} == {_areas(hub)[VILLAGE], _areas(hub)[OTHER_VILLAGE]}
