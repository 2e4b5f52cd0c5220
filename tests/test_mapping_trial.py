"""A file tried against a changed mapping: both readings side by side, no value shown, nothing kept, nothing believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import func, select

from hub.database import Database
from hub.tables import audit, row_error, submission
from mappings.catalogue import Catalogue
from mappings.findings import Findings
from mappings.loader import ROOT, read_findings
from mappings.trial import LONGEST_BYTES, read_trial
from tests.desk_visits import Visitor, visitor
from tests.doors import Hub, csv_of, identity_number, move_in

Client = TestClient[Litestar]
pytestmark = pytest.mark.usefixtures("staff")
PLACE = "/mappings/public_security/hukou_move_in/try"
PRESENT = (ROOT / "public_security" / "hukou_move_in.toml").read_text("utf-8")


def try_it(who: Visitor, mapping: str, content: bytes = b"", place: str = PLACE, **form: str) -> Any:
    who.client.cookies.clear()
    files = {"file": ("变动.csv", content, "text/csv")} if content else {"none": ("", b"")}
    data = {"token": who.token, "mapping": mapping} | form
    return who.client.post(place, data=data, files=files, headers=who.headers, follow_redirects=False)


def renamed(rows: int = 3) -> bytes:
    """The police station renamed a column: the present mapping does not know it."""
    return csv_of(*(move_in(n) for n in range(1, rows + 1))).replace("民族".encode(), "族别(新)".encode(), 1)


def mapping_files() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in ROOT.rglob("*.toml")}


def test_both_readings_stand_side_by_side_without_a_value(hub: Hub, bureau: Visitor) -> None:
    content = csv_of(move_in(1), move_in(2), move_in(3, 民族="不是民族")).replace("民族".encode(), "族别".encode(), 1)
    changed = PRESENT.replace('header = "民族"', 'header = "民族", synonyms = ["族别"]')
    page = try_it(bureau, changed, content).text
    result = page.partition('id="result"')[2].partition("<form")[0]
    assert '<th scope="row">收到行数</th><td class="n">3</td><td class="n">3</td>' in result
    assert "E_CODE" in result and "改后新增" in result
    assert all(value not in result for value in ("王小明", "不是民族", identity_number(1), identity_number(3)))


def test_nothing_of_it_is_kept_but_one_line_of_counts_and_digests(
    hub: Hub, bureau: Visitor, owner_database: Database
) -> None:
    before = mapping_files()
    assert try_it(bureau, PRESENT, csv_of(move_in(1))).status_code == 200
    with owner_database.read() as connection:
        for table in (submission, row_error):
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0
        lines = connection.execute(select(audit).where(audit.c.act == "try-mapping")).all()
    assert [(line.object, line.outcome, line.facts["rows"]) for line in lines] == [
        ("mapping/public_security/hukou_move_in", "done", 1)
    ]
    assert len(lines[0].facts["file_sha256"]) == 64 and "王小明" not in str(lines[0].facts)
    assert not [path for path in hub.settings.files.rglob("*") if path.is_file()]
    assert mapping_files() == before


def test_a_wrong_mapping_is_told_by_file_line_and_key_and_the_file_is_not_read(bureau: Visitor) -> None:
    wrong = PRESENT.replace('field = "birth_date"', 'field = "birthday"')
    answer = try_it(bureau, wrong, csv_of(move_in(1)))
    assert answer.status_code == 422 and "没有试跑" in answer.text
    assert (
        "public_security/hukou_move_in.toml:12" in answer.text and "没有这一字段 no such field: birthday" in answer.text
    )
    assert 'id="result"' not in answer.text and "birthday" in answer.text.partition("<textarea")[2]


@pytest.fixture(scope="module")
def findings() -> Findings:
    return read_findings(ROOT)[0]


HOSTILE = {
    "another's place": (PRESENT.replace('"public_security"', '"../../etc"', 1), "此处只能试"),
    "another type": (PRESENT.replace('"hukou_move_in"', '"hukou_move_out"', 1), "此处只能试"),
    "an unknown type": (PRESENT.replace('"hukou_move_in"', '"rec_anything; DROP"', 1), "此处只能试"),
    "a path": (PRESENT + '\nfile = "/etc/passwd"\n', "未知的键"),
    "a pattern": (PRESENT + '\npattern = "(a+)+$"\n', "未知的键"),
    "a type of its own": (PRESENT.replace("columns = [", "columns = 7\nother = ["), "值不对"),
    "too large": (PRESENT + "#" * LONGEST_BYTES, "KB"),
    "one long line": (PRESENT + "\n# " + "x" * 5000, "一行超过"),
    "deep brackets": (PRESENT + "\nx = " + "[" * 900 + "]" * 900, "嵌套过深"),
    "deep lines": (PRESENT + "\nx = " + "[\n" * 20_000 + "]\n" * 10, "嵌套过深"),
    "dotted keys": (PRESENT + "\n" + "a." * 900 + "a = 1", "嵌套过深"),
    "many columns": (
        'organisation = "public_security"\nrecord_type = "hukou_move_in"\ntitle = ""\ncolumns = ['
        + ",\n".join(f'{{field="f{n}",header="h"}}' for n in range(1500))
        + "]",
        "too many columns",
    ),
    "no toml": ("\x00\x01", "TOML"),
    "nothing": ("", "缺少此键"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_mapping_is_refused_with_a_reason(name: str, findings: Findings) -> None:
    text, reason = HOSTILE[name]
    trial = read_trial(text, "public_security", "hukou_move_in", findings)
    assert trial.mapping is None
    assert any(reason in one.reason for one in trial.problems), trial.problems[:3]
    assert all(len(one.reason) < 400 for one in trial.problems)


def test_the_mappings_that_are_here_may_all_be_tried(findings: Findings, catalogue: Catalogue) -> None:
    for (organisation, record_type), known in catalogue.mappings.items():
        text = Path(ROOT / known.file).read_text("utf-8")
        trial = read_trial(text, organisation, record_type, findings)
        assert trial.mapping == known, trial.problems


def test_what_stays_among_care_organisations_and_what_is_too_large_is_not_tried(
    hub: Hub, client: Client, bureau: Visitor
) -> None:
    care = (ROOT / "mch_station" / "postnatal_visit.toml").read_text("utf-8")
    answer = try_it(bureau, care, b"a,b\r\n1,2\r\n", "/mappings/mch_station/postnatal_visit/try")
    assert answer.status_code == 403
    assert try_it(bureau, PRESENT, b"x" * (21 * 1024 * 1024)).status_code == 413
    assert "请选择要试跑的数据文件" in try_it(bureau, PRESENT).text
    assert try_it(bureau, PRESENT, csv_of(move_in(1)), token="").status_code == 403
    assert visitor(hub, client, "gongan").get(PLACE).status_code == 403
    assert visitor(hub, client, "xitong").get(PLACE).status_code == 403
