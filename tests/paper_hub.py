"""A hub whose round of the month is open in two towns: newcomers, a wedding between them, a child without a name."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openpyxl

from hub.casework.item_list import RoundList, read_list
from hub.casework.round_papers import Paper, list_paper
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.embedded import Cluster
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.registry.areas import load_area_index
from hub.registry.permissions import Actor
from hub.registry.scope import reach_of, scope_for
from hub.settings import load_settings
from mappings.catalogue import Catalogue
from tests.district import actor
from tests.doors import OTHER_TOWN, OTHER_VILLAGE, THIS_MONTH, TOWN, VILLAGE, Hub, founded_hub, identity_number
from tests.fresh_databases import FreshDatabases
from tests.round_hub import open_month
from tests.staged import stage

HEPING = "999001001002"
FORMULAS = ("=王", "+李", "-赵", "@孙")
HUSBAND, WIFE, MOTHER = identity_number(31), identity_number(32), identity_number(40)
SECRET_HANDBOOK = "S-1"
NAMESAKE = "钱外"  # of a household with the same number in the other town


@contextmanager
def papered_hub(cluster: Cluster, databases: FreshDatabases, catalogue: Catalogue, home: Path) -> Iterator[Hub]:
    name = databases.take()
    urls = cluster.urls(name)
    settings = load_settings(
        home, database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker, audit_url=urls.audit,
        accounts={"second_factor_roles": []}, fictitious_prefixes=("999001",), demo=True,
    )  # fmt: skip
    worker, served = Database(urls.worker, settings.district), Database(urls.app, settings.district)
    with founded_hub(worker, served, settings, catalogue) as hub:
        for source, code, rows in _records(area_ids(hub)):
            put(hub, catalogue, source, code, rows)
        open_month(hub, catalogue)
        yield hub
    worker.close()
    served.close()
    databases.give_back(name)


def area_ids(hub: Hub) -> dict[str, int]:
    with hub.worker.begin() as connection:
        return load_area_index(connection).codes


def put(hub: Hub, catalogue: Catalogue, source: str, code: str, rows: list[dict[str, Any]]) -> None:
    """Records through link and merge, with the ledger's line they came by."""
    with hub.worker.begin() as connection:
        submission_id = stage(connection, catalogue.record_types[code], rows)
        run_sql(
            connection, _SUBMISSION, id=submission_id, number=f"HR-{new_uuid()}", organisation=source, code=code,
            now=utc_now(),
        )  # fmt: skip
        apply_staged(connection, submission_id, source, catalogue.record_types[code], catalogue)
        number_changes(connection, submission_id)


def _records(areas: dict[str, int]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    here, heping, there = (areas[code] for code in (VILLAGE, HEPING, OTHER_VILLAGE))
    roll = {"household_no": "H-01", "live_div": VILLAGE, "person_area": here, "live_addr": "光明社区2组8号"}
    yield "public_security", "resident_roll", [
        roll | {"name": "周德", "id_no": HUSBAND, "relation": "02"},
        roll | {"name": "李梅", "id_no": MOTHER, "relation": "10"},
        roll | {"name": NAMESAKE, "id_no": identity_number(50), "live_div": OTHER_VILLAGE, "person_area": there},
    ]  # fmt: skip
    yield "public_security", "hukou_move_in", [
        *(_newcomer(serial, here, VILLAGE, name=name) for serial, name in enumerate(FORMULAS, 1)),
        *(_newcomer(serial, heping, HEPING) for serial in range(11, 14)),
        *(_newcomer(serial, there, OTHER_VILLAGE) for serial in range(21, 24)),
    ]  # fmt: skip
    couple = {
        "male_name": "周德",
        "male_id_no": HUSBAND,
        "male_area": here,
        "female_name": "吴月",
        "female_id_no": WIFE,
    }
    yield "bureau", "marriage", [
        couple | {"female_area": there, "cert_no": "J1", "registered_on": f"{THIS_MONTH}-02", "office": "云岭区民政局"}
    ]  # fmt: skip
    yield "mch_station", "birth_certificate", [
        {"cert_no": "Z990000123", "birth_time": f"{THIS_MONTH}-03T08:00:00", "issued_on": f"{THIS_MONTH}-04",
         "mother_name": "李梅", "mother_id_no": MOTHER, "mother_area": here},
        {"cert_no": "Z990000124", "birth_time": f"{THIS_MONTH}-05T08:00:00", "issued_on": f"{THIS_MONTH}-06",
         "child_area": there, "mother_name": "冯桂", "mother_id_no": identity_number(41)},
    ]  # fmt: skip
    yield "mch_station", "antenatal_booking", [
        {"woman_name": "李梅", "woman_id_no": MOTHER, "woman_area": here, "handbook_no": SECRET_HANDBOOK,
         "booked_on": f"{THIS_MONTH}-01"}
    ]  # fmt: skip


def _newcomer(serial: int, area: int, code: str, name: str = "") -> dict[str, Any]:
    number = identity_number(serial)
    moved = {"move_date": f"{THIS_MONTH}-01", "reason": "1", "live_div": code, "person_area": area}
    return moved | {"name": name or f"郑第{'零一二三四五六七八九'[serial % 10]}", "id_no": number}


_SUBMISSION = (
    "INSERT INTO {d}.submission (submission_id, receipt_number, operation_id, organisation, record_type, door, actor,"
    " file_name, file_size, file_sha256, stored_as, state, received_at) VALUES (:id, :number, :number, :organisation,"
    " :code, 'api', 'a', 'f', 1, '', '', 'merged', :now)"
)


def officer(hub: Hub, town: str = TOWN, **facts: Any) -> Actor:
    areas = area_ids(hub)
    return actor(town, "town_officer", **({"name": "qingxi", "area_id": areas[f"{town}000"]} | facts))


def paper_of(hub: Hub, catalogue: Catalogue, who: Actor) -> Paper:
    with hub.served.begin(reach_of(who)) as connection:
        return list_paper(connection, hub.settings, catalogue, who, THIS_MONTH)


def book_of(content: bytes) -> Any:
    return openpyxl.load_workbook(io.BytesIO(content))


def list_with_care(hub: Hub, catalogue: Catalogue, who: Actor) -> RoundList:
    """The list as the worker reads it, where a record that is clinical by existing got into the round."""
    with hub.worker.begin() as connection:
        run_sql(connection, _CARE_ITEM, id=new_uuid(), town=who.area_id)
        areas = load_area_index(connection)
        listed = read_list(connection, catalogue, scope_for(who, areas), areas, THIS_MONTH, purpose="test")
        run_sql(connection, "DELETE FROM {d}.round_item WHERE record_type = 'antenatal_booking'")
    return listed


_CARE_ITEM = (
    "INSERT INTO {d}.round_item (item_id, round_id, town, number, record_type, record_id, version, seq, role, person_id,"
    " change, source, due_on) SELECT :id, m.round_id, :town, 99, 'antenatal_booking', v.record_id, v.version, 1, 'woman',"
    " v.woman_ref, 'enter', v.source, m.due_on FROM {d}.monthly_round m, {d}.rec_antenatal_booking v"
)


def lines_of(book: Any) -> list[dict[str, Any]]:
    """The lines of the list sheet by header, up to the first empty row."""
    header, *rows = [[cell.value for cell in row] for row in book["变动清单"].iter_rows(min_row=3)]
    filled = rows[: next((at for at, row in enumerate(rows) if not any(row)), len(rows))]
    return [dict(zip(header, row, strict=True)) for row in filled]


BOTH_TOWNS = (TOWN, OTHER_TOWN)
