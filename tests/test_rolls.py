"""A town's own roll beside the register: who is missing, who is told differently, and what becomes of it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import openpyxl
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from typer.testing import CliRunner

from hub.__main__ import app
from hub.casework.roll_items import Chosen, RollItem, list_items
from hub.database import Database, run_sql, utc_now
from hub.decisions.roll_deciding import DepartureMissing, Judgement, MuchShorter, decide, receipts_of, send_decided
from hub.decisions.roll_export import export_differences
from hub.decisions.rolls import (
    EmptyRoll,
    NoNumbers,
    NotYourVillage,
    RollCheck,
    RollClosed,
    compare_roll,
    list_rolls,
    upload_roll,
)
from hub.errors import FileRefused, NotFound
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.exchange.retention import expire_raw_files
from hub.people.attributes import derive
from hub.registry.api_keys import issue_key
from hub.registry.areas import load_area_index
from hub.registry.machine_identity import rights_a_key_may_have
from hub.registry.organisations import load_organisation
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor
from hub.registry.scope import reach_of
from hub.settings import RetentionPolicy, Settings
from mappings.catalogue import Catalogue
from tests.desk_visits import visitor
from tests.doors import OTHER_TOWN, OTHER_VILLAGE, TOWN, VILLAGE, Hub, founded_hub, identity_number
from tests.staged import stage

SECOND = "999001001002"
HEADERS = ("姓名", "身份证号", "性别", "出生日期", "现住村居", "现住地址", "联系电话", "文化程度")
NAMES = dict(enumerate("安邦兴业国泰民安风调雨顺", 1))


def person(serial: int, **changes: str) -> dict[str, str]:
    """One line of a roll; everybody is called 王 and something."""
    row = {
        "姓名": f"王{NAMES[serial]}", "身份证号": identity_number(serial), "性别": "男" if serial % 2 else "女",
        "出生日期": "1990-03-07", "现住村居": VILLAGE, "现住地址": "光明路1号", "联系电话": "", "文化程度": "",
    }  # fmt: skip
    return row | changes


def file_of(*rows: dict[str, str]) -> bytes:
    lines = [",".join(HEADERS), *(",".join(row[header] for header in HEADERS) for row in rows)]
    return "\r\n".join(lines).encode()


class Town:
    """One town at its desk."""

    def __init__(self, hub: Hub, catalogue: Catalogue, code: str = TOWN) -> None:
        self.hub, self.catalogue = hub, catalogue
        with hub.served.begin() as connection:
            self.area = load_area_index(connection).codes[f"{code}000"]
        self.actor = Actor(
            name="qingxi", organisation=code, kind="town", door="panel", rights=ROLES["town_officer"], area_id=self.area
        )

    @property
    def tools(self) -> tuple[Database, Settings, Catalogue, Actor]:
        return self.hub.served, self.hub.settings, self.catalogue, self.actor

    def upload(self, *rows: dict[str, str], **said: Any) -> RollCheck:
        return upload_roll(*self.tools, io.BytesIO(file_of(*rows)), "名册.csv", **said)

    def again(self, check: RollCheck) -> RollCheck:
        self.settle()
        return compare_roll(*self.tools, check.roll_id)

    def items(self, check: RollCheck, **chosen: Any) -> list[RollItem]:
        with self.hub.served.begin(reach_of(self.actor)) as connection:
            return list_items(connection, self.actor, check.roll_id, Chosen(**chosen))

    def open(self, check: RollCheck) -> list[tuple[str, str]]:
        return [(one.kind, one.told["name"][0] or one.told["name"][1]) for one in self.items(check, state="open")]

    def decide(self, check: RollCheck, decision: str, left_as: str = "", sure: bool = False, **chosen: Any) -> Any:
        judgement = Judgement(decision=decision, left_as=left_as, sure=sure, reason="入户核实")  # type: ignore[arg-type]
        return decide(*self.tools, check.roll_id, Chosen(**chosen), judgement)

    def known(self, *rows: dict[str, str]) -> None:
        """The roll of last month, in the register already."""
        record_type = self.catalogue.record_types["resident_roll"]
        with self.hub.worker.begin() as connection:
            codes = load_area_index(connection).codes
            staged = [_typed(row) | {"person_area": codes[row["现住村居"]]} for row in rows]
            submission_id = stage(connection, record_type, staged)
            apply_staged(connection, submission_id, self.actor.organisation, record_type, self.catalogue)
            number_changes(connection, submission_id)
        self.derive()

    def settle(self) -> None:
        self.hub.work()
        self.derive()

    def derive(self) -> None:
        with self.hub.worker.begin() as connection:
            everybody = run_sql(connection, "SELECT person_id FROM {d}.person")
            derive(connection, self.catalogue, [row[0] for row in everybody])  # type: ignore[misc]


def _typed(row: dict[str, str]) -> dict[str, str]:
    fields = ("name", "id_no", "sex", "birth_date", "live_div", "live_addr")
    return dict(zip(fields, row.values(), strict=False)) | {"sex": "1" if row["性别"] == "男" else "2"}


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


@pytest.fixture
def town(hub: Hub, catalogue: Catalogue) -> Town:
    """Six people live here by the roll of last month; a seventh in the other town."""
    town = Town(hub, catalogue)
    Town(hub, catalogue, OTHER_TOWN).known(person(7, 现住村居=OTHER_VILLAGE))
    town.known(*(person(serial) for serial in range(1, 7)))
    return town


def month(*but: int) -> list[dict[str, str]]:
    """Everybody of the town, but for some."""
    return [person(serial) for serial in range(1, 7) if serial not in but]


def test_a_roll_is_compared_with_the_register_and_with_the_last_roll(town: Town) -> None:
    """One moved within the town, one has another name, one is gone, one lives elsewhere, one nobody knows."""
    check = town.upload(
        person(1), person(2, 现住村居=SECOND), person(3, 姓名="王新"), person(5), person(6), person(7), person(8),
        person(6), person(9, 身份证号="123"), person(10, 现住村居=OTHER_VILLAGE),
    )  # fmt: skip
    items = {(one.kind, one.told["name"][0] or one.told["name"][1]): one for one in town.items(check)}
    assert sorted(items) == sorted([
        ("missing_here", "王民"), ("missing_here", "王安"), ("missing_there", "王业"), ("different", "王邦"),
        ("different", "王新"), ("duplicated", "王泰"), ("unreadable", "王风"), ("unreadable", "王调"),
    ])  # fmt: skip
    assert items["different", "王新"].told["name"] == ["王新", "王兴", "王兴"]
    assert items["different", "王邦"].told["live_div"] == [SECOND, VILLAGE, VILLAGE]
    assert check.counts["rows"] == 10 and check.counts["same"] == 3 and check.counts["registered"] == 6


def test_of_people_of_another_town_it_says_only_that_they_are_registered(town: Town) -> None:
    check = town.upload(*month(), person(7), person(8))
    known, nobody = town.items(check, kind="missing_here")
    assert (known.told["*registered"], nobody.told["*registered"]) == (["elsewhere"], ["nobody"])
    assert known.person_id is None and all(
        three[1:] == ["", ""] for name, three in known.told.items() if name[0] != "*"
    )
    assert OTHER_VILLAGE not in str(known) and "白鹭" not in str(known)


def test_what_the_roll_is_right_about_goes_down_the_line_and_the_next_comparison_shows_what_is_left(town: Town) -> None:
    check = town.upload(person(1), person(2, 现住村居=SECOND), person(3, 文化程度="70"), *month(1, 2, 3, 4), person(7))
    assert len(town.open(check)) == 3
    decided = town.decide(check, "roll", left_as="4")
    assert decided.items == 3 and len(decided.sent) == 3
    left = town.again(check)
    assert town.open(left) == []
    with town.hub.served.begin(reach_of(town.actor)) as connection:
        receipts = {one.record_type: one for one in receipts_of(connection, town.actor, check.roll_id)}
    told = {code: (one.state, one.accepted, one.held + one.refused) for code, one in receipts.items()}
    assert told == {
        "resident_roll": ("merged", 2, 0),
        "town_arrival": ("merged", 1, 0),
        "town_departure": ("merged", 1, 0),
    }
    with town.hub.worker.begin() as connection:
        codes = load_area_index(connection).code_of
        homes = {str(number): codes[int(str(home))] for number, home in run_sql(connection, _HOMES)}
        found = run_sql(connection, _FOUND)
    assert (homes[identity_number(2)], homes[identity_number(7)]) == (SECOND, VILLAGE)
    assert found == [("arrival", "4", identity_number(7)), ("departure", "4", identity_number(4))]


_HOMES = "SELECT i.value, p.home_area FROM {d}.person p JOIN {d}.person_identifier i USING (person_id)"
_FOUND = """
SELECT 'arrival', kind, id_no FROM {d}.rec_town_arrival
UNION ALL SELECT 'departure', kind, id_no FROM {d}.rec_town_departure ORDER BY 1
"""


def test_where_the_register_is_right_nothing_is_sent_and_it_is_not_asked_again(town: Town) -> None:
    check = town.upload(*month(4), person(8), person(9, 身份证号="123"))
    assert town.decide(check, "register", kind="missing_there").sent == []
    assert town.decide(check, "ask", kind="missing_here").items == 1
    other = town.upload(*month(4), person(8))
    assert town.open(other) == [("missing_here", "王安")] and other.counts["settled"] == 1
    assert [one.decision for one in town.items(check, kind="missing_here")] == ["ask"]


def test_what_was_decided_and_not_sent_is_sent_once(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off behind the gate, before the lines are noted: the same operation is the same submission."""
    check = town.upload(*month(4))
    with monkeypatch.context() as broken, pytest.raises(OSError):
        broken.setattr("hub.decisions.roll_deciding.note_sent", _cut_off)
        town.decide(check, "roll", left_as="2")
    again = send_decided(*town.tools, check.roll_id)
    assert [one.repeated for one in again] == [True] and send_decided(*town.tools, check.roll_id) == []
    town.settle()
    with town.hub.worker.begin() as connection:
        assert run_sql(connection, "SELECT count(*) FROM {d}.submission WHERE door = 'round'") == [(1,)]


def _cut_off(*_: object) -> None:
    raise OSError("no power")


def test_the_same_file_twice_is_the_same_roll(town: Town) -> None:
    first, second = town.upload(*month(4)), town.upload(*month(4))
    assert second.roll_id == first.roll_id and second.counts == first.counts and len(town.items(second)) == 1


def test_an_old_number_finds_the_person_it_was_corrected_for(town: Town) -> None:
    with town.hub.worker.begin() as connection:
        run_sql(
            connection, "UPDATE {d}.person_identifier SET replaced_by = :now WHERE value = :old",
            now=identity_number(40), old=identity_number(1),
        )  # fmt: skip
        run_sql(
            connection, "INSERT INTO {d}.person_identifier (kind, value, person_id) SELECT kind, :now, person_id"
            " FROM {d}.person_identifier WHERE value = :old", now=identity_number(40), old=identity_number(1),
        )  # fmt: skip
    assert town.open(town.upload(*month())) == []
    assert town.open(town.upload(person(1), *month(1), person(1, 身份证号=identity_number(40)))) == [
        ("duplicated", "王安")
    ]


def test_a_roll_of_one_village_misses_nobody_of_another(town: Town) -> None:
    town.known(person(11, 现住村居=SECOND))
    check = town.upload(*month(4), village=VILLAGE)
    assert town.open(check) == [("missing_there", "王业")] and check.village is not None
    with pytest.raises(NotYourVillage):
        town.upload(*month(), village=OTHER_VILLAGE)


def test_a_file_that_is_no_roll_is_refused_with_the_lines_own_reason(town: Town) -> None:
    with pytest.raises(FileRefused) as refused:
        upload_roll(*town.tools, io.BytesIO("品名,数量\r\n米,3\r\n".encode()), "货单.csv")
    assert str(refused.value.facts["code"]).startswith("F_")
    with town.hub.served.begin(reach_of(town.actor)) as connection:
        assert [one.state for one in list_rolls(connection, town.actor)] == ["refused"]


def test_a_roll_on_which_no_number_is_right_is_refused_with_what_to_do(town: Town) -> None:
    roll = f"姓名,身份证号,现住村居\n张三,999001199001010010,{VILLAGE}\n".encode()
    with pytest.raises(NoNumbers, match="身份证号"):
        upload_roll(*town.tools, io.BytesIO(roll), "名册.csv")


def test_a_roll_of_people_nobody_knows_is_compared(town: Town) -> None:
    check = town.upload(person(8), person(9))
    assert [one.kind for one in town.items(check)].count("missing_here") == 2


def test_an_empty_roll_needs_a_word_more(town: Town) -> None:
    with pytest.raises(EmptyRoll):
        town.upload()
    check = town.upload(sure_nobody=True)
    assert [kind for kind, _ in town.open(check)] == ["missing_there"] * 6


def test_a_much_shorter_roll_strikes_nobody_off_in_bulk_without_a_second_word(town: Town) -> None:
    check = town.upload(*month(1, 2, 3))
    with pytest.raises(MuchShorter):
        town.decide(check, "roll", left_as="4", kind="missing_there")
    with pytest.raises(DepartureMissing):
        town.decide(check, "roll", kind="missing_there")
    one = town.items(check)[0].item_no
    assert town.decide(check, "roll", left_as="4", items=(one,)).items == 1
    assert town.decide(check, "roll", left_as="4", sure=True).items == 2


def test_another_unit_sees_nothing_of_a_roll(town: Town, catalogue: Catalogue) -> None:
    check, other = town.upload(*month(4)), Town(town.hub, catalogue, OTHER_TOWN)
    with pytest.raises(NotFound):
        compare_roll(*other.tools, check.roll_id)
    with town.hub.served.begin(reach_of(other.actor)) as connection:
        assert run_sql(connection, "SELECT count(*) FROM {d}.roll_item") == [(0,)]
    with town.hub.served.begin(reach_of(town.actor)) as connection:
        assert run_sql(connection, "SELECT count(*) FROM {d}.roll_item") == [(1,)]


def test_a_rolls_file_goes_when_its_time_is_over_and_the_same_roll_may_come_again(town: Town) -> None:
    settings = msgspec.structs.replace(town.hub.settings, retention=RetentionPolicy(raw_files_days=30))
    check, later = town.upload(*month(4)), utc_now() + timedelta(days=40)
    assert expire_raw_files(town.hub.worker, settings, utc_now()) == 0
    assert expire_raw_files(town.hub.worker, settings, later) == 1
    assert expire_raw_files(town.hub.worker, settings, later) == 0
    assert [path for path in (settings.home / "rolls").rglob("*") if path.is_file()] == []
    with pytest.raises(RollClosed):
        town.again(check)
    again = town.upload(*month(4))
    assert again.roll_id != check.roll_id and town.open(again) == [("missing_there", "王业")]


# ---- through the doors ----


@pytest.fixture
def client(town: Town) -> Iterator[TestClient[Litestar]]:
    with TestClient(town.hub.app, base_url="https://hub.test") as client:
        yield client


def test_a_town_works_off_its_roll_in_the_panel(town: Town, client: TestClient[Litestar]) -> None:
    officer = visitor(town.hub, client, "qingxi")
    client.cookies.clear()
    form = {"token": officer.token, "village": ""}
    files = {"file": ("九月名册.csv", file_of(*month(4), person(7), person(3, 姓名="=1+1")))}
    sent = client.post("/rolls", data=form, files=files, headers=officer.headers, follow_redirects=False)
    assert sent.status_code == 303, sent.text
    place = sent.headers["location"]
    page = officer.get(place)
    assert "王业" in page.text and "区内他处已有登记" in page.text and identity_number(4) not in page.text
    none = officer.post(f"{place}/decide", decision="register")
    assert none.status_code == 422 and "没有选中待处理的差异" in none.text
    done = officer.post(f"{place}/decide", decision="roll", left_as="4", all="on", kind="missing_there")
    assert done.status_code == 303
    assert "镇街采集减少人员" in officer.get(place).text
    town.settle()
    with town.hub.worker.begin() as connection:
        number = run_sql(connection, "SELECT receipt_number FROM {d}.submission WHERE door = 'round'")[0][0]
    assert "月度核对" in officer.get(f"/receipts/{number}").text


def test_the_differences_go_along_as_a_workbook_without_a_number_or_a_formula(town: Town, tmp_path: Path) -> None:
    check = town.upload(*month(4), person(8, 姓名="王安", 现住地址="=HYPERLINK(A1)"), person(6))
    name = export_differences(*town.tools, check.roll_id, tmp_path / "differences.xlsx")
    book = openpyxl.load_workbook(tmp_path / "differences.xlsx")
    assert book.sheetnames == ["漏登", "错登", "重登"] and name.startswith("清溪街道名册比对差异清单")
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    text = "\n".join(str(cell.value) for cell in cells)
    assert {cell.data_type for cell in cells} == {"s"} and "王业" in text and "填表人" in text and "下载" in text
    assert not [number for number in map(identity_number, range(1, 12)) if number in text]


def test_a_towns_system_sends_a_roll_and_decides_by_the_interface(town: Town, client: TestClient[Litestar]) -> None:
    with town.hub.served.begin() as connection:
        scopes = rights_a_key_may_have(load_organisation(connection, TOWN))
        key = issue_key(connection, SYSTEM_ACTOR, organisation=TOWN, title="名册", scopes=scopes)
    headers = {"Authorization": f"Bearer {key.text}"}
    check = client.post("/v1/rolls?file_name=roll.csv", content=file_of(*month(4)), headers=headers).json()
    told = client.get(f"/v1/rolls/{check['roll_id']}?state=open", headers=headers).json()
    assert [one["kind"] for one in told["items"]] == ["missing_there"]
    judged = {"decision": "roll", "left_as": "2", "items": [told["items"][0]["item_no"]]}
    decided = client.post(f"/v1/rolls/{check['roll_id']}/decide", json=judged, headers=headers).json()
    assert decided["items"] == 1 and decided["sent"][0]["receipt_number"].startswith("HR")
    labour = client.get("/v1/rolls", headers=town.hub.key_of("labour"))
    assert labour.status_code == 403


def test_the_command_compares_lists_decides_and_writes_the_differences(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, roll = town.hub.settings, tmp_path / "名册.csv"
    for name in ("database_url", "owner_url", "worker_url"):
        monkeypatch.setenv(f"HUB_{name.upper()}", str(getattr(settings, name)))
    (settings.home / "hub.toml").write_text('fictitious_prefixes = ["999001"]\ndemo = true\n')
    roll.write_bytes(file_of(*month(4), person(7)))

    def hub(*verb: str) -> Any:
        done = CliRunner().invoke(app, ["roll", *verb, "--as", TOWN, "--home", str(settings.home)])
        assert done.exit_code == 0, done.output
        return done.stdout

    roll_id = json.loads(hub("compare", str(roll), "--json"))["roll_id"]
    listed = hub("list", "--roll", roll_id)
    assert "missing_there" in listed and "elsewhere" in listed and identity_number(4) not in listed
    told = json.loads(hub("decide", roll_id, "--decision", "roll", "--left-as", "4", "--json"))
    assert told["items"] == 2 and len(told["receipts"]) == 3
    hub("export", roll_id, "-o", str(tmp_path / "differences.xlsx"))
    assert openpyxl.load_workbook(tmp_path / "differences.xlsx").sheetnames == ["漏登", "错登"]
