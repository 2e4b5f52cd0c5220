"""The check stage on whole rows: what goes on to staging, what is refused or held, and what the sender is told."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.exchange.check import CheckContext, CheckedBatch, check
from hub.exchange.checks.findings import DETAIL_NAMES
from hub.exchange.row_errors import NOT_SHOWN, explain
from hub.operations.record_tables import staged_columns
from mappings.catalogue import Catalogue, load_catalogue
from tests.factories_areas import AREAS
from tests.factories_identity import identity_number

MAN, WOMAN = identity_number(date(1990, 3, 7), 123), identity_number(date(1992, 5, 1), 122)
KINDS = {"number": 1, "date": 2, "broken": 4}
CATALOGUE = load_catalogue()


@dataclass(frozen=True)
class ColumnPlace:
    field: str
    header: str
    letter: str
    sheet: str | None


def seal(texts: list[bytes]) -> list[bytes]:
    return [text[::-1] for text in texts]


def context(record_type: str, **changes: Any) -> CheckContext:
    told: dict[str, Any] = {
        "record_type": CATALOGUE.record_types[record_type],
        "mapping": None,
        "catalogue": CATALOGUE,
        "areas": AREAS,
        "today": date(2026, 11, 22),
        "fictitious_prefixes": ("999001",),
        "digest_key": b"k" * 32,
        "seal": seal,
        "new_uuids": lambda count: [uuid4().hex for _ in range(count)],
    }
    return CheckContext(**(told | changes))


def frame(rows: Sequence[dict[str, Any]], first: int = 1, sheet: str = "表一") -> pl.DataFrame:
    """A parsed frame of the rows' fields; row_no from ``first``, two header rows above."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {
        name: pl.Series([row.get(name) for row in rows], dtype=pl.String) for name in names if "__kind" not in name
    }
    kinds = {name: pl.Series([row.get(name, 0) for row in rows], dtype=pl.UInt8) for name in names if "__kind" in name}
    numbers = pl.Series(range(first, first + len(rows)), dtype=pl.Int32)
    return pl.DataFrame({"row_no": numbers, "sheet": [sheet] * len(rows), "sheet_row": numbers + 2, **columns, **kinds})


def places(*frames: pl.DataFrame) -> list[ColumnPlace]:
    fields = [name for name in frames[0].columns[3:] if "__kind" not in name]
    return [ColumnPlace(name, f"列{name}", chr(65 + at), "表一") for at, name in enumerate(fields)]


def checked(record_type: str, *frames: pl.DataFrame, **changes: Any) -> CheckedBatch:
    """All frames through the check, as one batch."""
    batches = list(check(iter(frames), places(*frames), context(record_type, **changes)))
    return CheckedBatch(
        staged=pl.concat([batch.staged for batch in batches]),
        errors=pl.concat([batch.errors for batch in batches]),
        received=sum(batch.received for batch in batches),
        held=sum(batch.held for batch in batches),
        refused=sum(batch.refused for batch in batches),
    )


def resident(**changes: Any) -> dict[str, Any]:
    row = {"name": "王强", "id_no": MAN, "sex": "男", "birth_date": "1990-03-07", "live_div": "999001100201"}
    return row | changes


def birth(**changes: Any) -> dict[str, Any]:
    row = {
        "cert_no": "X320101001",
        "child_name": "未取名",
        "child_sex": "男",
        "birth_time": "2026-11-01 08:30:00",
        "mother_name": "李芳",
        "mother_id_no": WOMAN,
        "mother_live_div": "999001100201",
        "issued_on": "2026-11-03",
        "weight_g": "3200",
        "gest_weeks": "39",
    }
    return row | changes


def found(batch: CheckedBatch) -> list[tuple[int, str, str]]:
    return list(batch.errors.select("row_no", "field", "code").iter_rows())


def test_a_clean_row_goes_on_typed_and_numbered() -> None:
    batch = checked("resident_roll", frame([resident()]))
    row = batch.staged.row(0, named=True)
    assert (batch.received, batch.held, batch.refused, batch.errors.height) == (1, 0, 0, 0)
    assert (row["name"], row["sex"], row["birth_date"]) == ("王强", "1", date(1990, 3, 7))
    assert (row["live_div"], row["person_area"]) == ("999001100201", 5)
    assert (row["row_no"], row["sheet_row"], row["change_kind"], row["held"]) == (1, 3, "new", False)
    assert row["content_digest"].startswith("\\x") and len(row["content_digest"]) == 34
    assert UUID(row["new_record"]) != UUID(row["person_new"])


@pytest.mark.parametrize("record_type", sorted(CATALOGUE.record_types))
def test_staged_columns_are_those_of_the_staging_table(record_type: str) -> None:
    kind = CATALOGUE.record_types[record_type]
    batch = checked(record_type, frame([{field.name: None for field in kind.fields}]))
    assert batch.staged.columns == staged_columns(kind)


def test_every_received_row_is_staged_or_refused_and_counts_once() -> None:
    rows = [
        resident(),
        resident(name=None, id_no=None),
        resident(id_no=MAN[:-1] + "1", sex="外星"),
        resident(id_no="9.99001E+17", sex="外星"),
    ]
    batch = checked("resident_roll", frame(rows))
    assert (batch.received, batch.held, batch.refused) == (4, 1, 2)
    assert batch.staged["row_no"].to_list() == [1, 3]
    assert batch.staged["held"].to_list() == [False, True]
    assert batch.staged["id_no"].to_list() == [MAN, None]


def test_errors_say_where_and_are_numbered_within_the_row() -> None:
    batch = checked("resident_roll", frame([resident(), resident(name=None, sex="外星")]))
    rows = batch.errors.to_dicts()
    assert [(row["error_no"], row["field"], row["code"], row["level"]) for row in rows] == [
        (1, "name", "E_REQUIRED", "error"),
        (2, "sex", "E_CODE", "hold"),
    ]
    assert (rows[1]["sheet"], rows[1]["sheet_row"], rows[1]["column_letter"], rows[1]["header"]) == (
        "表一",
        4,
        "C",
        "列sex",
    )
    assert rows[1]["value"] == "外星"
    assert json.loads(rows[1]["params"])["expected"].startswith("未知的性别")


def test_the_digest_follows_the_content_and_nothing_else() -> None:
    rows = [
        resident(),
        resident(name="王 强", birth_date="1990年3月7日"),
        resident(phone="13900001111"),
        resident(name="王勇"),
    ]
    digests = checked("resident_roll", frame(rows), new_uuids=lambda n: [uuid4().hex for _ in range(n)]).staged[
        "content_digest"
    ]
    assert digests[0] == digests[1]
    assert digests.n_unique() == 3
    other_key = checked("resident_roll", frame(rows), digest_key=b"other" * 6).staged["content_digest"]
    assert other_key[0] != digests[0]


def test_a_clinical_change_changes_the_digest() -> None:
    digests = checked("birth_certificate", frame([birth(), birth(weight_g="3300")])).staged["content_digest"]
    assert digests.n_unique() == 2


def test_clinical_cells_leave_sealed() -> None:
    staged = checked("birth_certificate", frame([birth(), birth(weight_g=None, gest_weeks=None)])).staged
    assert "weight_g" not in staged.columns
    sealed = bytes.fromhex(staged["sealed"][0].removeprefix("\\x"))
    assert json.loads(seal([sealed])[0])["weight_g"] == 3200
    assert staged["sealed"][1] is None


@settings(deadline=None, max_examples=25)
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=5, max_size=12), min_size=4, max_size=4))
def test_no_error_tells_a_clinical_value(sent: list[str]) -> None:
    clinical = ("weight_g", "gest_weeks", "length_cm", "health")
    secrets = [f"秘{text}密" for text in sent]
    batch = checked("birth_certificate", frame([birth(**dict(zip(clinical, secrets, strict=True)))]))
    told = batch.errors.filter(pl.col("field").is_in(clinical))
    assert told.height >= 4
    assert told["value"].null_count() == told.height
    written = "".join(batch.errors.write_json()) + "".join(batch.staged.drop("sealed").write_json())
    assert not any(secret in written for secret in secrets)
    assert all(set(json.loads(params)) == {"field"} for params in told["params"])


def test_sex_and_birth_must_agree_with_the_number() -> None:
    batch = checked("resident_roll", frame([resident(sex="女", birth_date="1990-03-08"), resident(sex="9")]))
    assert found(batch) == [(1, "sex", "E_LOGIC_SEX"), (1, "birth_date", "E_LOGIC_BIRTH")]
    assert batch.held == 1


def test_a_birth_date_with_a_short_year_is_settled_by_the_number() -> None:
    batch = checked("resident_roll", frame([resident(birth_date="90.3.7"), resident(birth_date="91.3.7")]))
    assert batch.staged["birth_date"].to_list() == [date(1990, 3, 7), None]
    assert found(batch) == [(2, "birth_date", "E_DATE_AMBIGUOUS")]


def test_a_residence_permit_sets_the_kind_of_document() -> None:
    permit = "810000199408230021"
    row = {
        "cert_no": "J1",
        "registered_on": "2026-11-01",
        "male_name": "王强",
        "male_id_no": permit,
        "male_id_type": "身份证",
    }
    batch = checked("marriage", frame([row | {"female_name": "李芳", "female_id_no": WOMAN}]))
    assert batch.staged["male_id_type"].to_list() == ["554"]
    assert found(batch) == [(1, "male_id_no", "N_ID_OTHER_DOCUMENT")]


def test_a_passport_named_as_one_is_taken() -> None:
    row = {"cert_no": "J1", "registered_on": "2026-11-01", "male_name": "John Smith", "male_id_no": "g12345678"}
    batch = checked("marriage", frame([row | {"male_id_type": "护照", "female_name": "李芳", "female_id_no": WOMAN}]))
    assert batch.staged["male_id_no"].to_list() == ["G12345678"]
    assert batch.errors.is_empty()


def test_marriage_under_age_is_a_warning() -> None:
    young = identity_number(date(2005, 1, 1), 1)
    row = {"cert_no": "J1", "registered_on": "2026-11-01", "male_name": "王强", "male_id_no": young}
    batch = checked("marriage", frame([row | {"female_name": "李芳", "female_id_no": WOMAN}]))
    assert found(batch) == [(1, "male_id_no", "W_AGE")]
    assert (batch.held, batch.refused) == (0, 0)


def test_the_order_of_dates_and_the_future_are_held() -> None:
    moved = {"name": "王强", "id_no": MAN, "out_date": "2026-05-01", "return_date": "2026-04-01"}
    batch = checked("labour_transfer", frame([moved, moved | {"out_date": "2026-12-01", "return_date": None}]))
    assert found(batch) == [(1, "return_date", "E_DATE_ORDER"), (2, "out_date", "E_DATE_FUTURE")]
    died = {"cert_no": "D1", "death_date": "1989-01-01", "name": "王强", "id_no": MAN, "birth_date": "1990-03-07"}
    assert found(checked("death_certificate", frame([died]))) == [(1, "death_date", "E_DATE_ORDER")]


def test_ditto_marks_are_filled_from_the_row_above_even_across_batches() -> None:
    first = frame([resident(live_div="999001100201"), resident(live_div="同上")])
    second = frame([resident(live_div="〃")], first=3)
    batch = checked("resident_roll", first, second)
    assert batch.staged["live_div"].to_list() == ["999001100201"] * 3
    assert found(batch) == [(2, "live_div", "W_FILLED_DOWN"), (3, "live_div", "W_FILLED_DOWN")]
    assert batch.errors["value"].to_list() == ["同上", "〃"]


def test_ditto_in_a_first_row_or_on_a_new_sheet_refuses_the_row() -> None:
    first = frame([resident(live_div="同上"), resident()])
    second = frame([resident(live_div="同上")], first=3, sheet="表二")
    batch = checked("resident_roll", first, second)
    assert found(batch) == [(1, "live_div", "E_DITTO_FIRST_ROW"), (3, "live_div", "E_DITTO_FIRST_ROW")]
    assert batch.refused == 2


def test_a_village_heading_places_the_rows_below_it() -> None:
    rows = [
        resident(live_div=None, section="红旗村"),
        resident(live_div="东风村", section="乙镇"),
        resident(live_div=None, section="本月迁入"),
        resident(live_div="东风村", live_addr="甲镇东风村3组"),
        resident(live_div="东风村"),
    ]
    batch = checked("resident_roll", frame(rows))
    assert batch.staged["person_area"].to_list() == [5, 4, None, 3, None]
    assert found(batch) == [(5, "live_div", "E_AREA_AMBIGUOUS")]


def test_a_person_living_elsewhere_belongs_to_where_they_are_registered() -> None:
    batch = checked("resident_roll", frame([resident(live_div="430105001001", hukou_div="红旗村")]))
    assert batch.staged["person_area"].to_list() == [5]
    assert found(batch) == [(1, "live_div", "N_OTHER_DISTRICT")]
    assert batch.held == 0


def test_change_words_are_understood_and_others_held() -> None:
    words = ["新增", None, "更正", "变更", "修改", "作废", "注销", "删除", "撤销", "也许"]
    batch = checked("resident_roll", frame([resident(change_kind=word) for word in words]))
    assert batch.staged["change_kind"].to_list() == ["new"] * 2 + ["correct"] * 3 + ["void"] * 4 + ["new"]
    assert found(batch) == [(10, "change_kind", "E_CHANGE_KIND")]
    assert batch.staged["held"].to_list() == [False] * 9 + [True]


def test_a_void_needs_only_its_key() -> None:
    rows = [{"id_no": MAN, "name": None, "change_kind": "作废"}, {"id_no": None, "name": "王强", "change_kind": "作废"}]
    batch = checked("resident_roll", frame(rows))
    assert found(batch) == [(2, "id_no", "E_REQUIRED")]


def test_a_newborn_needs_no_name_and_a_mother_does() -> None:
    rows = [birth(child_name=None), birth(child_name="李芳之子", father_name="无"), birth(mother_name=None)]
    batch = checked("birth_certificate", frame(rows))
    assert found(batch) == [(3, "mother_name", "E_REQUIRED")]
    assert batch.staged["child_name"].to_list() == [None, None]


def test_workbook_cells_are_judged_by_their_kind() -> None:
    rows = [
        resident(id_no=WOMAN, sex="女", birth_date=None, id_no__kind=KINDS["number"]),
        resident(live_addr="2026-03-02", live_addr__kind=KINDS["date"]),
        resident(phone="#N/A", phone__kind=KINDS["broken"]),
        resident(birth_date="32939", birth_date__kind=KINDS["number"]),
    ]
    batch = checked("resident_roll", frame(rows))
    assert found(batch) == [
        (1, "id_no", "E_ID_TRUNCATED"),
        (2, "live_addr", "E_TEXT_TURNED_DATE"),
        (3, "phone", "E_FORMULA_NO_VALUE"),
    ]
    assert batch.staged["birth_date"][3] == date(1990, 3, 7)


def test_constants_of_the_mapping_fill_columns_the_file_lacks() -> None:
    mapping = next(iter(CATALOGUE.mappings.values()))
    told = type(mapping)(
        organisation="town", record_type="resident_roll", title="", columns=(), constants={"residence_status": "常住"}
    )
    batch = checked("resident_roll", frame([resident()]), mapping=told)
    values = {code.value for code in CATALOGUE.code_sets["residence_status"].codes}
    assert batch.staged["residence_status"][0] in values


def test_what_postgresql_cannot_keep_is_never_written() -> None:
    batch = checked("resident_roll", frame([resident(name="王\x00强", sex="外\x00星")]))
    written = "".join(str(value) for row in (*batch.staged.rows(), *batch.errors.rows()) for value in row)
    assert "\x00" not in written


def test_every_kind_of_finding_has_a_sentence_in_both_languages(catalogue: Catalogue) -> None:
    for code in catalogue.row_errors:
        for language in ("zh", "en"):
            told = explain(catalogue, code, {}, language)
            assert told.title and told.message and told.fix
            assert "{" not in told.message + told.fix


def test_a_sentence_shows_its_facts_and_hides_what_may_not_be_shown(catalogue: Catalogue) -> None:
    shown = explain(catalogue, "E_CODE", {"field": "性别", "value": "外星", "expected": "男、女"})
    assert "性别" in shown.message and "外星" in shown.message and "男、女" in shown.message
    hidden = explain(catalogue, "E_CODE", {"field": "健康状况", "value": None})
    assert NOT_SHOWN["zh"] in hidden.message
    assert NOT_SHOWN["en"] in explain(catalogue, "E_CODE", {"field": "x"}, "en").message


def test_details_are_named_for_codes_of_the_catalogue(catalogue: Catalogue) -> None:
    assert set(DETAIL_NAMES) <= set(catalogue.row_errors)


def test_every_code_the_check_gives_is_in_the_catalogue(catalogue: Catalogue) -> None:
    root = Path(__file__).parents[1]
    sources = [
        *root.glob("mappings/fields/*.py"),
        *root.glob("hub/exchange/checks/*.py"),
        root / "hub/exchange/check.py",
    ]
    given_codes = {
        code for source in sources for code in re.findall(r'"([EWN]_[A-Z_]{3,})"', source.read_text("utf-8"))
    }
    assert len(given_codes) > 40
    assert given_codes <= set(catalogue.row_errors)
