"""A template is filled in and accepted: every type, every organisation that may send it, without one finding."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest
from openpyxl.worksheet.worksheet import Worksheet
from typer.testing import CliRunner

from adapters.formats.sandbox import Limits
from hub.__main__ import app
from hub.database import new_uuids
from hub.demo.areas import area_rows
from hub.errors import FileRefused
from hub.exchange.check import CheckContext, check
from hub.exchange.layout import Vocabulary, find_layout, letter
from hub.exchange.marks import HIDDEN_SHEET, read_template_mark
from hub.exchange.parse import parse
from hub.exchange.workbooks.template import make_template
from hub.exchange.workbooks.template_columns import Variant, area_choices, columns_of
from hub.exchange.workbooks.template_rules import RULES_NAME
from hub.registry.areas import AreaIndex, AreaVersion, build_index
from mappings.catalogue import Catalogue, Field, RecordType, load_catalogue
from tests.factories import DISTRICT, row_values

TODAY = date(2026, 11, 22)
TOWN = "999001100"
SENDERS = {"care": ("mch_station", "care"), "town": (TOWN, "town")}


@cache
def district() -> AreaIndex:
    rows, numbers = area_rows(DISTRICT), count(1)
    ids = {row.code: next(numbers) for row in rows}
    return build_index(
        [
            AreaVersion(ids[row.code], row.kind, ids.get(row.parent_code or ""), None, row.code, row.name, None)
            for row in rows
        ]
    )


def sendings() -> list[tuple[str, str, str]]:
    """Every enabled record type with every organisation that may send it: code, kind, type."""
    types = [one for one in load_catalogue().record_types.values() if one.enabled]
    return [(*SENDERS.get(source, (source, "department")), one.code) for one in types for source in one.sources]


def template(catalogue: Catalogue, organisation: str, kind: str, code: str, variant: Variant | None = None) -> Any:
    own = district().codes[f"{TOWN}000"] if kind == "town" else None
    content = make_template(
        catalogue, organisation, "某单位", kind, code, month="2026-10", variant=variant, areas=district(), own_area=own
    )
    return openpyxl.load_workbook(io.BytesIO(content))


def written(catalogue: Catalogue, field: Field, value: str, variant: str) -> object:
    """A value as a clerk enters it."""
    if field.type == "date":
        return date.fromisoformat(value)
    if field.type == "datetime":
        return datetime.fromisoformat(value)
    if variant == "codes" or not value:
        return value
    if field.type == "code":
        return next(code.title for code in catalogue.code_sets[field.code_set].codes if code.value == value)
    if field.type == "area":
        place = next(at for at, village in enumerate(DISTRICT.villages) if village.code == value)
        return DISTRICT.full_name(place)
    return value


def fill(catalogue: Catalogue, book: Any, organisation: str, kind: str, code: str, variant: Variant | None) -> None:
    """Two good rows, by the order of the template's columns."""
    record_type = catalogue.record_types[code]
    mapping = catalogue.mapping_for(organisation, kind, code)
    assert mapping is not None
    manner = variant or mapping.template
    columns = columns_of(catalogue, record_type, mapping, manner, None, None)
    sheet = book.worksheets[0]
    first = 4 if any(column.group for column in columns) else 3
    for number in range(2):
        values = row_values(catalogue, code, sequence=number)
        for place, column in enumerate(columns, 1):
            if values.get(column.field):
                field = record_type.by_name[column.field]
                sheet.cell(first + number, place).value = written(catalogue, field, values[column.field], manner)


def found_in(
    catalogue: Catalogue, path: Path, organisation: str, kind: str, code: str
) -> tuple[int, pl.DataFrame, Any]:
    """Rows received, findings, facts: the line's own parse and check, without a database."""
    record_type, mapping = catalogue.record_types[code], catalogue.mapping_for(organisation, kind, code)
    parsed = parse(path, record_type, mapping, catalogue, Limits(wall_seconds=60), period="2026-10")
    context = CheckContext(
        record_type=record_type, mapping=mapping, catalogue=catalogue, areas=district(), today=TODAY,
        fictitious_prefixes=("999001",), digest_key=os.urandom(32), seal=lambda contents: contents, new_uuids=new_uuids,
    )  # fmt: skip
    batches = list(check(parsed.frames, parsed.columns, context))
    return sum(one.received for one in batches), pl.concat(one.errors for one in batches), parsed.facts


def test_every_template_filled_in_is_accepted_without_a_finding(catalogue: Catalogue, tmp_path: Path) -> None:
    other = {"words": "codes", "codes": "words"}
    jobs: list[tuple[str, str, str, Variant | None]] = [(*one, None) for one in sendings()]
    for organisation, kind, code in (("health", "department", "death_certificate"), (TOWN, "town", "resident_roll")):
        mapping = catalogue.mapping_for(organisation, kind, code)
        assert mapping is not None
        jobs.append((organisation, kind, code, other[mapping.template]))  # type: ignore[arg-type]
    assert len(jobs) > 30

    def outcome(number: int) -> str:
        organisation, kind, code, variant = jobs[number]
        book, path = template(catalogue, organisation, kind, code, variant), tmp_path / f"{number}.xlsx"
        fill(catalogue, book, organisation, kind, code, variant)
        book.save(path)
        received, errors, facts = found_in(catalogue, path, organisation, kind, code)
        wrong = errors.filter(pl.col("level") != "note").select("code", "field", "value").rows()
        strange = {name: facts[name] for name in ("unknown_columns", "hidden_sheets", "unread_sheets") if facts[name]}
        return "" if (received, wrong, strange) == (2, [], {}) else f"{jobs[number]} {received} {wrong} {strange}"

    with ThreadPoolExecutor(2) as pool:
        assert [said for said in pool.map(outcome, range(len(jobs))) if said] == []


def test_the_sheet_of_rules_never_reads_as_rows_of_anything(catalogue: Catalogue) -> None:
    for organisation, kind, code in sendings():
        page: Worksheet = template(catalogue, organisation, kind, code)[RULES_NAME]
        rows = [[str(cell) if cell is not None else None for cell in row] for row in page.iter_rows(values_only=True)]
        vocabulary = Vocabulary(catalogue.record_types[code], catalogue.mapping_for(organisation, kind, code))
        assert len(find_layout(rows, vocabulary).fields) < 2, code


def headers(sheet: Worksheet, row: int) -> dict[str, str]:
    return {str(cell.value): letter(cell.column - 1) for cell in sheet[row] if cell.value}


def test_a_template_is_an_ordinary_workbook_with_its_rules_and_marks(catalogue: Catalogue) -> None:
    book = template(catalogue, TOWN, "town", "resident_roll")
    sheet = book.worksheets[0]
    assert book.sheetnames == [sheet.title, RULES_NAME, HIDDEN_SHEET]
    assert book[HIDDEN_SHEET].sheet_state == "veryHidden"
    assert sheet["A1"].value == "某单位2026年10月实有人口名册"
    assert sheet.freeze_panes == "A3" and sheet.print_title_rows == "$2:$2"
    at = headers(sheet, 2)
    assert {"身份证号（必填）", "姓名（必填）", "性别", "变动标识"} <= set(at)
    number = at["身份证号（必填）"]
    assert sheet.column_dimensions[number].width > 18
    assert "必填" in sheet[f"{number}2"].comment.text and "999001" in sheet[f"{number}2"].comment.text
    last = list(at)[-1]
    mark = read_template_mark(last)
    assert mark is not None and (mark.record_type, mark.organisation, mark.month) == ("resident_roll", TOWN, "2026-10")
    assert sheet.column_dimensions[at[last]].hidden


def test_headers_are_locked_and_the_rows_below_are_free(catalogue: Catalogue) -> None:
    sheet = template(catalogue, "civil_affairs", "department", "marriage").worksheets[0]
    assert sheet.protection.sheet and not sheet.protection.password
    assert sheet["A2"].protection.locked
    styles = [sheet.column_dimensions[name] for name in ("A", "E")]
    assert [each.protection.locked for each in styles] == [False, False]
    assert [each.number_format for each in styles] == ["yyyy-mm-dd", "@"]


def test_code_columns_have_drop_downs_of_words_or_of_codes(catalogue: Catalogue) -> None:
    def lists(variant: Variant) -> dict[str, str]:
        sheet = template(catalogue, TOWN, "town", "resident_roll", variant).worksheets[0]
        at = {found: name.removesuffix("（必填）") for name, found in headers(sheet, 2).items()}
        rules = sheet.data_validations.dataValidation
        return {at[str(rule.sqref)[0]]: rule.formula1 for rule in rules if rule.type == "list"}

    words, codes = lists("words"), lists("codes")
    assert words["性别"] == '"未知的性别,男性,女性,未说明的性别"'
    assert codes["性别"] == '"0,1,2,9"'
    assert words["变动标识"] == '"新增,更正,作废"'
    assert words["与户主关系"].startswith("'_hub'!$")  # too long for a literal list


def test_a_town_chooses_among_its_own_villages_and_a_department_among_all(catalogue: Catalogue) -> None:
    index = district()
    own = area_choices(index, index.codes[f"{TOWN}000"], "words")
    everywhere = area_choices(index, None, "words")
    assert (len(own), len(everywhere)) == (20, 240)
    assert "白鹭镇东风村" in own and len(set(everywhere)) == 240  # 东风村 is in two towns
    assert area_choices(index, index.codes[f"{TOWN}000"], "codes")[0] == "999001100001"
    assert area_choices(None, None, "words") == ()


def test_a_template_is_not_made_for_who_may_not_send_the_type(catalogue: Catalogue) -> None:
    def refused(organisation: str, kind: str, code: str) -> object:
        with pytest.raises(FileRefused) as refusal:
            make_template(catalogue, organisation, "某单位", kind, code)
        return refusal.value.facts["code"]

    assert refused("commerce", "department", "death_certificate") == "F_NOT_YOUR_TYPE"
    assert refused("mch_station", "care", "delivery_outcome") == "F_TYPE_DISABLED"
    assert refused("health", "department", "nothing") == "F_UNKNOWN_TYPE"


def test_what_is_required_is_what_the_check_refuses_when_empty(catalogue: Catalogue) -> None:
    def required(record_type: RecordType) -> set[str]:
        mapping = next(one for (_, code), one in catalogue.mappings.items() if code == record_type.code)
        columns = columns_of(catalogue, record_type, mapping, "words", None, None)
        return {column.field for column in columns if column.required}

    assert required(catalogue.record_types["hukou_move_in"]) == {"name", "id_no", "move_date"}
    assert "child_id_no" not in required(catalogue.record_types["newborn_hukou"])


def test_the_command_makes_a_template_without_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUB_DATABASE_URL", raising=False)

    def made(*arguments: str) -> tuple[int, Any]:
        target = tmp_path / "template.xlsx"
        target.unlink(missing_ok=True)
        order = ["template", *arguments, "-o", str(target), "--home", str(tmp_path / "nothing")]
        status = CliRunner().invoke(app, order).exit_code
        return status, openpyxl.load_workbook(target).worksheets[0] if target.exists() else None

    status, sheet = made("death_certificate", "--as", "health", "--month", "2026-11")
    assert (status, sheet["A1"].value) == (0, "卫健局2026年11月死亡医学证明登记名册")
    assert made("resident_roll", "--as", TOWN, "--codes")[0] == 0
    assert made("death_certificate", "--as", "commerce") == (2, None)
    assert made("death_certificate", "--as", "health", "--month", "11") == (2, None)
