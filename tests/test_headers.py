"""Headers nobody knows are asked about, never guessed; the answer is remembered for the organisation."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from hub import jobs
from hub.__main__ import app
from hub.commands.checking import check_file
from hub.database import Database
from hub.decisions.columns import confirm_columns
from hub.embedded import Cluster
from hub.errors import BadRequest, ColumnsUnconfirmed, Conflict, FileRefused, NotAllowed, NotFound
from hub.exchange import header_matching, pipeline, receipts
from hub.exchange.file_notes import file_notes
from hub.exchange.header_choices import forget_choice, load_choices
from hub.exchange.header_matching import Names
from hub.exchange.marks import TemplateMark, row_mark
from hub.exchange.parse import Limits, ParsedFile, parse
from hub.settings import Settings, load_settings
from hub.tables import header_choice, submission
from mappings.catalogue import Catalogue
from tests.conftest import clone_template, execute
from tests.district import actor, found
from tests.hostile_files import workbook
from tests.sheets import identity_number

TYPE, SENDER = "death_certificate", "health"
HEADER = ["卡片编号", "死者姓名", "性别", "证件号码", "出生日期", "死亡日期"]
ROW = ["SW000001", "王建国", "1", identity_number(order=3), "1950-01-01", "2026-11-03"]
RENAMED = [
    "卡片号",
    "死者姓名",
    "性别",
    "证件号码",
    "出生日期",
    "死亡日期时刻",
]  # two required columns under other names
ANSWER = {"卡片号": "cert_no", "死亡日期时刻": "death_date"}


def csv_file(folder: Path, *rows: list[str]) -> Path:
    path = folder / "sent.csv"
    path.write_text("".join(",".join(row) + "\n" for row in rows), "utf-8")
    return path


def read(catalogue: Catalogue, path: Path, **told: Any) -> tuple[pl.DataFrame, ParsedFile]:
    mapping = catalogue.mappings[SENDER, TYPE]
    parsed = parse(path, catalogue.record_types[TYPE], mapping, catalogue, Limits(wall_seconds=60), **told)
    return pl.concat(parsed.frames), parsed


def refusal(catalogue: Catalogue, path: Path, **told: Any) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        read(catalogue, path, **told)
    return caught.value


# ---- suggestions ----


def test_the_head_of_the_household_is_suggested_for_the_name_and_never_taken(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    """户主姓名 is nine tenths like 姓名: whoever takes the best match takes the wrong person."""
    header = ["卡片编号", "户主姓名", "性别", "证件号码", "出生日期", "死亡日期"]
    asked = refusal(catalogue, csv_file(tmp_path, header, ROW))
    assert isinstance(asked, ColumnsUnconfirmed)
    question: Any = asked.facts["question"]
    near = {each["field"]: each["score"] for each in question["suggestions"] if each["header"] == "户主姓名"}
    assert near["name"] >= 90
    assert [each["field"] for each in question["missing"]] == ["name"]
    assert question["headers"] == [{"header": "户主姓名", "letter": "B"}]


def test_the_question_holds_no_cell_below_the_header(tmp_path: Path, catalogue: Catalogue) -> None:
    asked = refusal(catalogue, csv_file(tmp_path, RENAMED, ROW))
    written = json.dumps(asked.facts, ensure_ascii=False)
    assert not [cell for cell in ROW if len(cell) > 2 and cell in written]


def test_a_header_renamed_throughout_is_found_and_asked_about(tmp_path: Path, catalogue: Catalogue) -> None:
    header = ["卡片编号码", "死者的姓名", "死亡的日期", "死者证件号码"]
    asked = refusal(catalogue, csv_file(tmp_path, ["某院十一月"], header, ["SW1", "王芳", "2026-11-03", "x"]))
    assert asked.facts["code"] == "F_COLUMNS_UNCONFIRMED"
    question: Any = asked.facts["question"]
    assert question["header_row"] == 2
    assert {each["field"] for each in question["missing"]} == {"cert_no", "name", "death_date"}


def test_a_row_of_somebodys_data_is_never_shown_as_a_header(tmp_path: Path, catalogue: Catalogue) -> None:
    rows = [
        ["卡片编号码", identity_number(order=3), "死者的姓名", "死亡的日期"],
        ["SW1", "王芳", "死亡的日期", "2026-11-03"],
    ]
    assert refusal(catalogue, csv_file(tmp_path, *rows)).facts["code"] == "F_NO_HEADER"


def test_where_nothing_is_similar_the_missing_columns_are_named(tmp_path: Path, catalogue: Catalogue) -> None:
    refused = refusal(catalogue, csv_file(tmp_path, ["死者姓名", "性别", "甲", "乙"], ["王芳", "2", "", ""]))
    assert refused.facts["code"] == "F_MISSING_COLUMN"


def test_another_types_sheet_is_named_before_any_column_is_asked_about(tmp_path: Path, catalogue: Catalogue) -> None:
    mapping = catalogue.mappings[SENDER, "birth_certificate"]
    rows = [[rule.header for rule in mapping.columns if not rule.group], ["x"] * len(mapping.columns)]
    refused = refusal(catalogue, csv_file(tmp_path, *rows))
    assert refused.facts["code"] == "F_WRONG_TEMPLATE"


def test_an_optional_column_under_another_name_is_noted_with_what_it_may_be(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    _, parsed = read(catalogue, csv_file(tmp_path, [*HEADER, "户籍地址栏", "甲"], [*ROW, "东风村", "x"]))
    notes = {code: params for code, _, params in file_notes(parsed.facts)}
    assert notes["N_COLUMN_SIMILAR"] == {"columns": "G 户籍地址栏", "expected": "户籍地址"}
    assert notes["N_COLUMN_IGNORED"] == {"columns": "H 甲"}


def test_a_field_that_has_its_column_is_not_suggested_again(catalogue: Catalogue) -> None:
    names = Names(catalogue.record_types[TYPE], catalogue.mappings[SENDER, TYPE])
    assert "name" in {each.field for each in names.suggest("户主姓名")}
    assert "name" not in {each.field for each in names.suggest("户主姓名", {"name"})}


# ---- choices ----


def test_a_choice_is_an_exact_header_of_the_organisation(tmp_path: Path, catalogue: Catalogue) -> None:
    frame, parsed = read(
        catalogue, csv_file(tmp_path, RENAMED, ROW), choices={"卡片号": "cert_no", "死亡日期时刻": "death_date"}
    )
    assert frame.select("cert_no", "death_date").row(0) == ("SW000001", "2026-11-03")
    assert parsed.facts["unknown_columns"] == []


def test_a_column_that_nobody_wants_is_ignored_in_silence(tmp_path: Path, catalogue: Catalogue) -> None:
    _, parsed = read(catalogue, csv_file(tmp_path, [*HEADER, "户籍地址栏"], [*ROW, "x"]), choices={"户籍地址栏": ""})
    assert list(file_notes(parsed.facts)) == []


def test_the_mappings_own_header_comes_before_a_choice(tmp_path: Path, catalogue: Catalogue) -> None:
    rows = [["死者的姓名", *HEADER], ["李某", *ROW]]
    frame, _ = read(catalogue, csv_file(tmp_path, *rows), choices={"死者的姓名": "name", "性别": "name"})
    assert frame.select("name", "sex").row(0) == ("王建国", "1")


# ---- the hub's own marks ----


def template_mark(record_type: str = TYPE, month: str | None = "2026-11") -> str:
    return str(TemplateMark(record_type=record_type, version="abc123", organisation=SENDER, month=month))


def test_a_template_says_what_it_was_made_for_and_its_marks_are_no_columns(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    path = csv_file(tmp_path, [*HEADER, template_mark()], [*ROW, ""])
    _, parsed = read(catalogue, path, period="2026-11")
    assert parsed.facts["template"] == {
        "record_type": TYPE, "version": "abc123", "organisation": SENDER, "month": "2026-11",
    }  # fmt: skip
    assert list(file_notes(parsed.facts)) == []


def test_a_template_of_another_month_is_a_warning(tmp_path: Path, catalogue: Catalogue) -> None:
    path = csv_file(tmp_path, [*HEADER, template_mark(month="2026-10")], [*ROW, ""])
    _, parsed = read(catalogue, path, period="2026-11")
    assert list(file_notes(parsed.facts)) == [("W_TEMPLATE_MONTH", 0, {"found": "2026-10", "expected": "2026-11"})]


def test_a_template_of_another_type_is_refused_at_once_with_its_name(tmp_path: Path, catalogue: Catalogue) -> None:
    refused = refusal(catalogue, csv_file(tmp_path, [*HEADER, template_mark("cremation")], [*ROW, ""]))
    assert refused.facts["code"] == "F_WRONG_TEMPLATE"
    assert refused.facts["params"]["found"] == catalogue.record_types["cremation"].title  # type: ignore[index]


def test_a_returned_workbook_says_which_rows_it_brings_back(tmp_path: Path, catalogue: Catalogue) -> None:
    header = ["校验结果", *HEADER, "错误原因", row_mark("HR20261101-7K3M9QX2T4")]
    numbered = [["退回", *ROW, "号码不对", number] for number in ("3", "4", "5", "9", "", "12")]
    blank = ["退回", *[""] * len(HEADER), "号码不对", "20"]  # a row the sender emptied comes back no more

    def write(book: Any) -> None:
        sheet = book.add_worksheet("数据")
        for at, row in enumerate([header, *numbered, blank]):
            sheet.write_row(at, 0, row)
        sheet.set_column(len(header) - 1, len(header) - 1, None, None, {"hidden": True})
        book.add_worksheet("填表说明").write_row(0, 0, HEADER)
        book.add_worksheet("错误汇总").write_row(0, 0, ["x"])
        hidden = book.add_worksheet("_hub")
        hidden.hide()

    _, parsed = read(catalogue, workbook(tmp_path / "a.xlsx", write))
    assert parsed.facts["returned_from"] == "HR20261101-7K3M9QX2T4"
    assert parsed.facts["returned_rows"] == [[3, 5], [9, 9], [12, 12]]
    assert parsed.facts["rows"] == 6
    assert {code for code, _, _ in file_notes(parsed.facts)} == {"N_ROWS_SKIPPED"}


# ---- asked, answered, remembered ----


@pytest.fixture(scope="module")
def settings(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    clone_template(cluster, "headers")
    urls = cluster.urls("headers")
    yield load_settings(
        tmp_path_factory.mktemp("home"), database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker,
        audit_url=urls.audit, fictitious_prefixes=("999001",), demo=True,
    )  # fmt: skip
    execute(cluster, "DROP DATABASE headers WITH (FORCE)")


@pytest.fixture(scope="module")
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.worker_url or "", settings.district)
    with database.begin() as connection:
        found(connection)
    yield database
    database.close()


@pytest.fixture(scope="module")
def served(settings: Settings) -> Iterator[Database]:
    """The same hub behind row security, as the pages see it."""
    served = Database(settings.database_url or "", settings.district)
    yield served
    served.close()


class Asked:
    """A file that waits, and a fresh question each time."""

    def __init__(self, database: Database, settings: Settings, number: int) -> None:
        self.database, self.settings = database, settings
        rows = [",".join(RENAMED), f"SW9{number:05d},王建国,1,{identity_number(order=3)},1950-01-01,2026-11-03"]
        accepted = jobs.accept(
            database, settings, actor(SENDER), stream=io.BytesIO("\n".join(rows).encode()), file_name="a.csv",
            record_type=TYPE, organisation=SENDER, period="2026-11", door="api",
        )  # fmt: skip
        self.id, self.number = accepted.submission_id, accepted.receipt_number
        self.state = pipeline.run(database, settings, self.id)

    def answer(self, choices: dict[str, str], who: str = SENDER, served: Database | None = None) -> None:
        confirm_columns(served or self.database, self.settings, actor(who), self.id, choices)

    def row(self) -> Any:
        with self.database.begin() as connection:
            return connection.execute(select(submission).where(submission.c.submission_id == self.id)).one()


@pytest.fixture
def waiting(database: Database, settings: Settings, request: pytest.FixtureRequest) -> Asked:
    with database.begin() as connection:
        connection.execute(header_choice.delete())
    return Asked(database, settings, abs(hash(request.node.name)) % 100_000)


def test_a_file_with_unknown_columns_waits_and_its_receipt_says_what_to_do(waiting: Asked) -> None:
    with waiting.database.begin() as connection:
        receipt = receipts.read_receipt(connection, waiting.number)
    assert (waiting.state, receipt["state"], receipt["final"], receipt["signed"]) == ("asking", "asking", False, None)
    issue = receipt["issues"][0]
    assert (issue["code"], issue["level"]) == ("F_COLUMNS_UNCONFIRMED", "hold")
    assert "卡片号" in issue["message"] and "卡片编号" in issue["message"]
    assert receipt["issues_total"] == 1


def test_the_answer_lets_the_file_land_and_the_next_one_is_not_asked_about(
    waiting: Asked, database: Database, served: Database, settings: Settings
) -> None:
    waiting.answer(ANSWER, served=served)
    jobs.work(database, settings, wait=False)
    assert (waiting.row().state, waiting.row().accepted, waiting.row().waiting) == ("merged", 1, None)
    assert Asked(database, settings, 7).state == "merged"
    with database.begin() as connection:
        assert load_choices(connection, SENDER, TYPE) == ANSWER
        assert load_choices(connection, "mch_station", TYPE) == {}


@pytest.mark.parametrize(("choices", "complaint"), [
    ({"卡片号": "cert_no"}, "death_date"),
    ({**ANSWER, "性别": "sex"}, "性别"),
    ({**ANSWER, "卡片号": "card"}, "card"),
    ({"卡片号": "death_date", "死亡日期时刻": "death_date"}, "death_date"),
    ({**ANSWER, "卡片号": "name"}, "name"),
], ids=["a required one is left out", "never asked", "no such field", "twice", "has its column"])  # fmt: skip
def test_an_answer_that_does_not_fit_is_refused_and_nothing_is_kept(
    waiting: Asked, choices: dict[str, str], complaint: str
) -> None:
    with pytest.raises(BadRequest, match=complaint):
        waiting.answer(choices)
    assert waiting.row().state == "asking"
    with waiting.database.begin() as connection:
        assert load_choices(connection, SENDER, TYPE) == {}


def test_only_the_sender_answers_and_only_once(waiting: Asked, served: Database) -> None:
    with pytest.raises(NotAllowed):
        waiting.answer(ANSWER, who="labour")
    with pytest.raises(NotFound):  # behind row security another's file is not even there
        waiting.answer(ANSWER, who="labour", served=served)
    waiting.answer(ANSWER)
    with pytest.raises(Conflict):
        waiting.answer(ANSWER)


def test_a_forgotten_choice_is_asked_about_again(waiting: Asked, database: Database, settings: Settings) -> None:
    waiting.answer(ANSWER)
    with database.begin() as connection:
        assert forget_choice(connection, actor(SENDER), SENDER, TYPE, " 卡片号*") == "cert_no"
    assert Asked(database, settings, 8).state == "asking"


def test_the_command_shows_the_question_and_takes_the_answer(
    waiting: Asked, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_DATABASE_URL", settings.database_url or "")
    monkeypatch.setenv("HUB_WORKER_URL", settings.worker_url or "")
    command = ["columns", waiting.number, "--as", SENDER, "--json", "--home", str(settings.home)]
    shown = CliRunner().invoke(app, command)
    assert [each["header"] for each in json.loads(shown.stdout)["question"]["headers"]] == list(ANSWER)
    answers = [part for header, field in ANSWER.items() for part in ("--set", f"{header}={field}")]
    answered = CliRunner().invoke(app, [*command, *answers]).stdout.splitlines()[-1]
    assert json.loads(answered)["state"] == "merged"
    forgotten = ["forget-column", "卡片号", "--as", SENDER, "--type", TYPE, "--home", str(settings.home)]
    assert CliRunner().invoke(app, forgotten).exit_code == 0
    with waiting.database.begin() as connection:
        assert load_choices(connection, SENDER, TYPE) == {"死亡日期时刻": "death_date"}


def test_check_tells_the_suggestions_without_a_database(tmp_path: Path) -> None:
    checked = check_file(load_settings(tmp_path), csv_file(tmp_path, RENAMED, ROW), TYPE, SENDER, "zh")
    assert checked["state"] == "asking" and checked["question"]["headers"][0]["header"] == "卡片号"
    told = CliRunner().invoke(app, ["check", str(tmp_path / "sent.csv"), "--type", TYPE, "--as", SENDER])
    assert told.exit_code == 2
    assert "卡片编号 cert_no" in told.stdout


def test_a_guess_that_were_taken_would_name_the_wrong_person(
    tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason for asking: with the best suggestion taken as an answer, the householder is reported dead."""
    header = ["户主姓名", *HEADER[:1], *HEADER[2:]]
    asked = refusal(catalogue, csv_file(tmp_path, header, ["李户主", *ROW[:1], *ROW[2:]]))
    best: Any = asked.facts["question"]["suggestions"][0]  # type: ignore[index]
    frame, _ = read(catalogue, tmp_path / "sent.csv", choices={best["header"]: best["field"]})
    assert frame["name"].to_list() == ["李户主"]
    monkeypatch.setattr(header_matching, "LEAST_SCORE", 101.0)
    assert refusal(catalogue, tmp_path / "sent.csv").facts["code"] == "F_MISSING_COLUMN"
