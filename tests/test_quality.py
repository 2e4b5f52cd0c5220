"""How good a month was: each figure is what a count by hand says, and as long as the list it opens; nobody else's opens."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from litestar.testing import TestClient
from sqlalchemy import Connection, insert

from hub.database import Database, new_uuid, run_sql, utc_now
from hub.errors import BadRequest, ClinicalBoundary, NotAllowed, NotFound
from hub.exchange import small_cells
from hub.oversight import quality, quality_lists, quality_sql
from hub.oversight.quality import MEASURES, FigureKey, FigureRow, Quality, open_figure, read_quality, written
from hub.registry.permissions import Actor
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.tables import comparison_item
from mappings.catalogue import Catalogue, CatalogueError, load_catalogue
from mappings.loader import ROOT, load
from tests.district import actor, found
from tests.doors import TOWN, Hub, founded_hub, identity_number
from tests.quality_months import MONTHS, ZONE, Key, Months, count_by_hand, plant, records_of
from tests.test_unmasking import enter

POLICE, BUREAU = actor(role="department_clerk"), actor("bureau", "bureau_operator")
LEADER, CARE = actor("bureau", "bureau_leader"), actor("mch_station", "care_worker")
CREMATED = {
    "name": "李伟",
    "id_no": identity_number(1),
    "home": "殡仪馆",
    "cremation_no": "1",
    "cremated_on": "2026-09-03",
}
WOMAN = {"woman_name": "王芳", "booked_on": "2026-09-01", "facility": "妇幼服务站"}


@pytest.fixture
def months(database: Database, catalogue: Catalogue) -> Months:
    with database.begin() as connection:
        found(connection)
    return Months(catalogue)


def read(connection: Connection, catalogue: Catalogue, who: Actor, month: str, **only: str) -> dict[Key, Quality]:
    lines = read_quality(connection, who, catalogue, ZONE, month, **only)
    return {(one.organisation, one.record_type, one.month): one for one in lines}


def opened(connection: Connection, catalogue: Catalogue, who: Actor, key: FigureKey, page: int = 3) -> list[FigureRow]:
    """The whole list, page by page."""
    rows: list[FigureRow] = []
    after: str | None = ""
    while after is not None:
        found_page = open_figure(connection, who, catalogue, ZONE, key, after, page)
        rows += found_page.rows
        after = found_page.next
    assert len(rows) == found_page.total
    return rows


def pairs_of(line: Quality) -> dict[str, tuple[int, int]]:
    return {measure: (one.numerator, one.denominator) for measure, one in line.figures.items()}


@pytest.mark.parametrize("seed", range(3))
def test_every_figure_is_what_a_count_by_hand_says_and_as_long_as_its_list(
    database: Database, app_database: Database, months: Months, catalogue: Catalogue, seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(quality_lists, "_PORTIONS", (1, 3))  # as a big month is gone through
    with database.begin() as connection:
        planted = plant(connection, catalogue, seed)
        expected = count_by_hand(connection, planted)
    with app_database.begin(reach_of(BUREAU)) as connection:
        lines = {key: one for month in MONTHS for key, one in read(connection, catalogue, BUREAU, month).items()}
        assert {key: pairs_of(one) for key, one in lines.items()} == {
            k: v for k, v in expected.items() if k[2] in MONTHS
        }
        for (organisation, record_type, month), line in lines.items():
            for measure in MEASURES:
                key = FigureKey(organisation=organisation, record_type=record_type, month=month, measure=measure)
                rows = opened(connection, catalogue, BUREAU, key)
                assert sum(row.weight for row in rows) == line.figures[measure].against
                assert len({(row.receipt, row.row_no) for row in rows}) == len(rows)


def test_one_sees_of_oneself_what_the_bureau_sees_of_one(
    database: Database, app_database: Database, months: Months, catalogue: Catalogue
) -> None:
    with database.begin() as connection:
        plant(connection, catalogue, 1)
    seen = set[Key]()
    for month in MONTHS:
        with app_database.begin(reach_of(BUREAU)) as connection:
            of_all = read(connection, catalogue, BUREAU, month)
        for who in (POLICE, actor(TOWN, "town_officer")):
            with app_database.begin(reach_of(who)) as connection:
                own = read(connection, catalogue, who, month, organisation="labour")
            assert own == {key: one for key, one in of_all.items() if key[0] == who.organisation}
            seen |= {key for key, one in own.items() if one.figures["accuracy"].denominator}
    assert {TOWN, "public_security"} == {organisation for organisation, _, _ in seen}


def test_a_later_completion_does_not_mend_the_first_submission(
    database: Database, months: Months, catalogue: Catalogue
) -> None:
    poor = {"name": "李伟", "id_no": identity_number(1), "move_date": "2026-08-01"}
    full = dict.fromkeys(catalogue.quality.of("hukou_move_in").items, "1") | poor | {"birth_date": "1990-03-07"}
    with database.begin() as connection:
        months.send(connection, "public_security", "hukou_move_in", "2026-08", poor)
        months.send(connection, "public_security", "hukou_move_in", "2026-09", full)
        lines = read(connection, catalogue, BUREAU, "2026-08")
        (line,) = lines.values()
        assert pairs_of(line)["completeness"] == (3, 10) and pairs_of(line)["completed"] == (10, 10)
        assert (line.figures["completeness"].met, line.figures["completed"].met) == (False, True)
        (later,) = read(connection, catalogue, BUREAU, "2026-09").values()
        assert pairs_of(later)["completeness"] == (0, 0)  # the record was counted when it first came


def test_what_nobody_counted_is_neither_nothing_nor_everything(
    database: Database, months: Months, catalogue: Catalogue
) -> None:
    with database.begin() as connection:
        months.send(connection, TOWN, "resident_roll", "2026-09", {"name": "李伟", "id_no": identity_number(1)})
        (line,) = read(connection, catalogue, BUREAU, "2026-09").values()
    for measure in ("accuracy", "timeliness"):  # nobody verified; a roll has no event
        one = line.figures[measure]
        assert (one.denominator, one.ratio, one.met, written(one)) == (0, None, None, "—")


@pytest.mark.parametrize(
    ("numerator", "denominator", "shown", "met"),
    [(9, 10, "90.0%", True), (8999, 10_000, "89.9%", False), (9999, 10_000, "99.9%", True), (0, 3, "0.0%", False)],
)
def test_a_figure_short_of_its_target_never_looks_as_if_it_were_not(
    numerator: int, denominator: int, shown: str, met: bool
) -> None:
    one = quality.figure(numerator, denominator, 0.9)
    assert (written(one), one.met) == (shown, met)


def test_what_the_hub_did_to_a_record_is_no_version_of_its_sender(
    database: Database, months: Months, catalogue: Catalogue
) -> None:
    with database.begin() as connection:
        months.send(connection, TOWN, "resident_roll", "2026-09", {"name": "李伟", "id_no": identity_number(1)})
        before = read(connection, catalogue, BUREAU, "2026-09")
        run_sql(connection, "INSERT INTO {d}.rec_resident_roll_history SELECT * FROM {d}.rec_resident_roll")
        run_sql(connection, "UPDATE {d}.rec_resident_roll SET version = 2, row_no = -1")  # as when somebody moves
        assert read(connection, catalogue, BUREAU, "2026-09") == before


def test_nobody_opens_the_rows_of_another_organisation(
    database: Database, app_database: Database, months: Months, catalogue: Catalogue
) -> None:
    with database.begin() as connection:
        months.send(connection, TOWN, "resident_roll", "2026-09", {"name": "李伟", "id_no": identity_number(1)})
    key = FigureKey(organisation=TOWN, record_type="resident_roll", month="2026-09", measure="completeness")
    for who, refusal in ((POLICE, NotFound), (LEADER, NotAllowed), (actor("bureau", "auditor"), NotAllowed)):
        with app_database.begin(reach_of(who)) as connection, pytest.raises(refusal):
            open_figure(connection, who, catalogue, ZONE, key)
    with app_database.begin(reach_of(LEADER)) as connection:
        assert read(connection, catalogue, LEADER, "2026-09").keys() == {(TOWN, "resident_roll", "2026-09")}


def test_row_security_alone_keeps_other_organisations_out(
    database: Database, app_database: Database, months: Months, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.begin() as connection:
        months.send(connection, TOWN, "resident_roll", "2026-09", {"name": "李伟", "id_no": identity_number(1)})
    monkeypatch.setattr(quality, "_may_open", lambda *_: True)
    monkeypatch.setattr(quality, "_whose", lambda *_: None)
    key = FigureKey(organisation=TOWN, record_type="resident_roll", month="2026-09", measure="completeness")
    with app_database.begin(reach_of(POLICE)) as connection:
        assert read(connection, catalogue, POLICE, "2026-09") == {}
        assert open_figure(connection, POLICE, catalogue, ZONE, key).rows == ()


def test_what_was_opened_for_counting_is_shut_again(
    database: Database, app_database: Database, months: Months, catalogue: Catalogue
) -> None:
    with database.begin() as connection:
        months.send(connection, TOWN, "resident_roll", "2026-09", {"name": "李伟", "id_no": identity_number(1)})
    with app_database.begin(reach_of(BUREAU)) as connection:
        assert read(connection, catalogue, BUREAU, "2026-09")
        assert run_sql(connection, "SELECT 1 FROM {d}.rec_resident_roll") == []


def test_opening_a_list_is_noted_without_a_value(
    database: Database, app_database: Database, owner_database: Database, months: Months, catalogue: Catalogue
) -> None:
    with database.begin() as connection:
        months.send(
            connection, "public_security", "resident_roll", "2026-09", {"name": "李伟", "id_no": identity_number(1)}
        )
    key = FigureKey(
        organisation="public_security", record_type="resident_roll", month="2026-09", measure="completeness"
    )
    with app_database.begin(reach_of(POLICE)) as connection:
        (row,) = open_figure(connection, POLICE, catalogue, ZONE, key).rows
    assert row.row_no == 1 and len(row.empty) == 15 and "李伟" not in str(row)
    with owner_database.begin() as connection:
        noted = run_sql(connection, "SELECT object, facts FROM {d}.audit WHERE act = 'read-quality'")
    assert [(about, facts["rows"], facts["measure"]) for about, facts in noted] == [  # type: ignore[index]
        ("quality/public_security/resident_roll/2026-09", 1, "completeness")
    ]


@pytest.mark.parametrize(("rows", "shown"), [(4, None), (5, 5)])
def test_of_what_is_clinical_by_existing_the_bureau_gets_one_count_and_no_small_one(
    database: Database, app_database: Database, months: Months, catalogue: Catalogue, rows: int, shown: int | None
) -> None:
    booked = [WOMAN | {"woman_id_no": identity_number(n), "handbook_no": f"H{n}"} for n in range(rows)]
    with database.begin() as connection:
        months.send(connection, "mch_station", "antenatal_booking", "2026-09", *booked)
    key = FigureKey(
        organisation="mch_station", record_type="antenatal_booking", month="2026-09", measure="completeness"
    )
    for who in (BUREAU, LEADER):
        with app_database.begin(reach_of(who)) as connection:
            (line,) = read(connection, catalogue, who, "2026-09").values()
            assert (line.received, line.figures) == (shown, {})
    with app_database.begin(reach_of(BUREAU)) as connection, pytest.raises(ClinicalBoundary):
        open_figure(connection, BUREAU, catalogue, ZONE, key)
    with app_database.begin(reach_of(CARE)) as connection:
        (own,) = read(connection, catalogue, CARE, "2026-09").values()
        assert own.received == rows and pairs_of(own)["completeness"] == (5 * rows, 6 * rows)
        assert open_figure(connection, CARE, catalogue, ZONE, key).total == rows
    assert quality.SMALLEST_SHOWN == small_cells.SMALLEST_SHOWN


def test_a_month_is_written_as_a_month(database: Database, catalogue: Catalogue) -> None:
    with database.begin() as connection, pytest.raises(BadRequest):
        read_quality(connection, BUREAU, catalogue, ZONE, "2026-13")


@pytest.mark.parametrize("guard", ["_nothing_before", "counted"])
def test_without_the_guard_the_figures_are_others(
    database: Database, months: Months, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, guard: str
) -> None:
    """Negative control: the count by hand would notice."""
    loose = {"_nothing_before": lambda *_: "true", "counted": lambda alias: f"{alias}.state = 'merged'"}
    with database.begin() as connection:
        expected = count_by_hand(connection, plant(connection, catalogue, 1))
        monkeypatch.setattr(quality_sql, guard, loose[guard])
        lines = {key: one for month in MONTHS for key, one in read(connection, catalogue, BUREAU, month).items()}
    assert {key: pairs_of(one) for key, one in lines.items()} != {k: v for k, v in expected.items() if k[2] in MONTHS}


@pytest.mark.parametrize(
    ("evidence", "state", "check", "pair"),
    [
        ("corrected: 已按原始证明更正", "gone", "death_date_differs", (0, 1)),
        ("explained: 原始证明无误", "closed", "death_date_differs", (1, 1)),
        ("not_ours: 请另一方核对", "closed", "death_date_differs", (0, 0)),
        ("corrected: 已补报", "closed", "death_not_cremated", (0, 0)),  # a record was missing, none was wrong
        ("corrected: 又打开了", "open", "death_date_differs", (0, 0)),
    ],
)
def test_a_unit_that_closes_a_difference_says_whether_its_own_record_was_right(
    database: Database,
    months: Months,
    catalogue: Catalogue,
    evidence: str,
    state: str,
    check: str,
    pair: tuple[int, int],
) -> None:
    dead = {"name": "李伟", "id_no": identity_number(1), "cert_no": "D1", "death_date": "2026-09-01"}
    with database.begin() as connection:
        months.send(connection, "health", "death_certificate", "2026-09", dead)
        months.send(connection, "civil_affairs", "cremation", "2026-09", CREMATED)
        sides = [
            {"record_type": code, "record_id": str(record), "role": "person", "source": source}
            for code in ("death_certificate", "cremation") for record, source in records_of(connection, code)
        ]  # fmt: skip
        item = {"item_id": new_uuid(), "check_code": check, "subject": "x", "organisation": "health", "areas": []}
        now = {name: utc_now() for name in ("opened_at", "last_seen_at", "closed_at")}
        connection.execute(
            insert(comparison_item).values(item | now | {"sides": sides, "state": state, "evidence": evidence})
        )
        lines = read(connection, catalogue, BUREAU, "2026-09")
        assert pairs_of(lines["health", "death_certificate", "2026-09"])["accuracy"] == pair
        assert pairs_of(lines["civil_affairs", "cremation", "2026-09"])["accuracy"] == (0, 0)
        key = FigureKey(organisation="health", record_type="death_certificate", month="2026-09", measure="accuracy")
        assert [row.check for row in opened(connection, catalogue, BUREAU, key)] == [check] * (pair == (0, 1))


# ---- the doors ----


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        sent = Months(catalogue)
        with database.begin() as connection:
            sent.send(
                connection, "public_security", "hukou_move_in", "2026-09",
                {"name": "李伟", "id_no": identity_number(1), "move_date": "2026-01-01"}, wrong={1: ["E_LOGIC_SEX"]},
            )  # fmt: skip
            sent.send(connection, TOWN, "resident_roll", "2026-09", {"name": "王芳", "id_no": identity_number(2)})
            ((record, _),) = records_of(connection, "hukou_move_in")
            sent.verify(connection, TOWN, {record: "3"}, "2026-10-05")
        yield hub


def test_every_number_of_the_page_leads_to_its_rows(hub: Hub) -> None:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        client.headers["Sec-Fetch-Site"] = "same-origin"
        enter(client, "quju")
        page = client.get("/quality?month=2026-09").text
        assert "云岭区公安分局" in page and "清溪街道" in page
        links = [unescape(link) for link in re.findall(r'href="(/quality/rows[^"]+)"', page)]
        assert len(links) == 7  # all five of the police; of the town only its roll's completeness, twice
        pages = {parse_qs(urlparse(link).query)["measure"][0]: client.get(link).text for link in links[-5:]}
        assert all("共 1 行" in one and "李伟" not in one for one in pages.values())
        assert "性别" in pages["completeness"] and "查无此人" in pages["accuracy"]


def test_a_department_sees_its_own_figures_and_no_other_units_rows(hub: Hub) -> None:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        client.headers["Sec-Fetch-Site"] = "same-origin"
        enter(client, "gongan")
        page = client.get(f"/quality?month=2026-09&organisation={TOWN}").text
        assert "户口迁入" in page and "实有人口名册" not in page
        other = f"/quality/rows?organisation={TOWN}&record_type=resident_roll&month=2026-09&measure=completeness"
        assert client.get(other).status_code == 404
        client.cookies.clear()
        key = hub.key_of("public_security")
        (line,) = client.get("/v1/quality?month=2026-09", headers=key).json()["data"]
        assert line["figures"]["accuracy"] == {
            "numerator": 0,
            "denominator": 1,
            "ratio": 0.0,
            "target": 0.9,
            "met": False,
        }
        rows = client.get("/v1/quality/rows?month=2026-09&type=hukou_move_in&measure=logic", headers=key).json()
        assert [(row["row_no"], row["sheet_row"], row["codes"]) for row in rows["data"]] == [(1, 2, ["E_LOGIC_SEX"])]
        assert (
            client.get(
                f"/v1{other[:13]}?month=2026-09&type=resident_roll&measure=logic&organisation={TOWN}", headers=key
            ).status_code
            == 404
        )
        assert client.get("/v1/quality?month=September", headers=key).status_code == 400


def test_the_command_prints_the_same_figures(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    from hub.commands.quality import _tell

    with hub.worker.begin() as connection:
        _tell(read_quality(connection, BUREAU, load_catalogue(), ZONE, "2026-09", "public_security"))
    header, line = capsys.readouterr().out.splitlines()
    assert header.split("\t")[2:] == ["received", *MEASURES]
    assert line.split("\t") == ["public_security", "hukou_move_in", "1", "30.0%", "30.0%", "0.0%", "0.0%", "0.0%"]


# ---- the rules ----


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('"E_LOGIC_SEX"', '"E_NO_SUCH"', "logic"),
        ("completeness = 0.9", "completeness = 9.0", "targets.completeness"),
        ('confirmed = ["1"]', 'confirmed = ["7"]', "verdicts.confirmed"),
        ('"handbook_no", "booked_on"', '"lmp", "booked_on"', "record_types.antenatal_booking.items"),
        ("marriage = {", "marriages = {", "record_types.marriages"),
        ('"scheme", "kind", "month"], days = 70', '"scheme", "kind", "month"], days = 0', "record_types.social_insurance.days"),
        ('"moved_on", "relation",\n]', '"moved_on", "relation",\n], days = 9', "record_types.resident_roll.days"),
        ('"reg_no", "reg_on"], days = 40', '"reg_no", "reg_no"], days = 40', "record_types.fertility_registration.items"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named_with_its_file_line_and_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    root = tmp_path / "mappings"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    text = (root / "quality.toml").read_text("utf-8")
    assert old in text
    changed = text.replace(old, new, 1)
    (root / "quality.toml").write_text(changed, "utf-8")
    with pytest.raises(CatalogueError) as refusal:
        load(root)
    named = key.split(".")[-2] if key.startswith("record_types.") and key.count(".") == 2 else key.split(".")[-1]
    line = next(n for n, each in enumerate(changed.splitlines(), 1) if each.startswith(f"{named} ="))
    assert (refusal.value.file, refusal.value.line, refusal.value.key) == ("quality.toml", line, key)
