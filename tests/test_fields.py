"""The cell rules, table by table (tests/spec), and what must hold for any number."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.catalogue import Catalogue
from mappings.fields.areas import AreaTable, read_area
from mappings.fields.certificates import read_birth_certificate, read_certificate, read_division, read_uscc
from mappings.fields.codes import CodeTable, code_table_of, read_code
from mappings.fields.dates import read_date, read_datetime, read_month
from mappings.fields.identity_number import IdentityRules, read_identity_number
from mappings.fields.names import read_name
from mappings.fields.numbers import read_boolean, read_decimal, read_integer
from mappings.fields.phones import read_phone
from mappings.fields.reading import Cells, Reading
from mappings.fields.text import read_text
from tests.factories_areas import AREAS
from tests.factories_identity import identity_number

TODAY = date(2026, 11, 22)
KINDS = {"text": 0, "number": 1, "date": 2, "boolean": 3, "broken": 4}
Case = dict[str, Any]
PLAIN: dict[str, Callable[[Cells], Reading]] = {
    "phone": read_phone,
    "text": read_text,
    "birth_certificate": read_birth_certificate,
    "certificate": read_certificate,
    "uscc": read_uscc,
    "division": read_division,
    "integer": read_integer,
    "decimal": read_decimal,
    "boolean": read_boolean,
}


def cases(table: str) -> list[Any]:
    file = Path(__file__).parent / "spec" / f"{table}.toml"
    table_cases = tomllib.loads(file.read_text("utf-8"))["cases"]
    return [pytest.param(case, id=f"{case.get('dirty', '')}:{case['sent']!a}") for case in table_cases]


def cell(case: Case) -> Cells:
    kinds = pl.Series([KINDS[case["kind"]]], dtype=pl.UInt8) if "kind" in case else None
    return Cells(pl.Series([case["sent"]], dtype=pl.String), kinds)


def assert_read(case: Case, reading: Reading, catalogue: Catalogue) -> None:
    value = reading.values[0]
    assert (str(value) if isinstance(value, date) else value) == case.get("gives")
    assert reading.found["code"].to_list() == ([case["code"]] if "code" in case else [])
    if "code" in case:
        assert catalogue.row_errors[case["code"]].level == case["level"]
    if "detail" in case:
        assert reading.found["detail"].to_list() == [case["detail"]]


@pytest.mark.parametrize("case", cases("identity_numbers"))
def test_identity_numbers_are_read_as_the_table_says(case: Case, catalogue: Catalogue) -> None:
    prefixes = ("999001",) if case.get("fictitious", True) else ()
    rules = IdentityRules(TODAY, prefixes, may_be_missing=case.get("missing_allowed", False))
    assert_read(case, read_identity_number(cell(case), rules), catalogue)


@pytest.mark.parametrize("case", cases("names"))
def test_names_are_read_as_the_table_says(case: Case, catalogue: Catalogue) -> None:
    reading = read_name(cell(case), newborn=case.get("newborn", False), optional=case.get("optional", False))
    assert_read(case, reading, catalogue)


@pytest.mark.parametrize("case", cases("dates"))
def test_dates_are_read_as_the_table_says(case: Case, catalogue: Catalogue) -> None:
    match case.get("as", "date"):
        case "month":
            reading = read_month(cell(case), TODAY)
        case "datetime":
            reading = read_datetime(cell(case), TODAY)
        case _:
            reading = read_date(cell(case), TODAY, month_will_do=case.get("month_will_do", False))
    assert_read(case, reading, catalogue)


@pytest.mark.parametrize("case", cases("codes"))
def test_codes_are_read_as_the_table_says(case: Case, catalogue: Catalogue) -> None:
    assert_read(case, read_code(cell(case), CodeTable(catalogue.code_sets[case["set"]])), catalogue)


@pytest.mark.parametrize("case", cases("areas"))
def test_areas_are_read_as_the_table_says(case: Case, catalogue: Catalogue) -> None:
    beside = pl.Series([case.get("beside", "")])
    assert_read(case, read_area(cell(case), AreaTable(AREAS), lambda: beside), catalogue)


@pytest.mark.parametrize("case", cases("other_fields"))
def test_other_fields_are_read_as_the_table_says(case: Case, catalogue: Catalogue) -> None:
    assert_read(case, PLAIN[case["as"]](cell(case)), catalogue)


def test_a_table_is_made_once_of_a_thing_and_anew_of_one_that_is_only_equal(catalogue: Catalogue) -> None:
    one = next(iter(catalogue.code_sets.values()))
    equal = msgspec.structs.replace(one)
    assert equal == one
    assert code_table_of(one) is code_table_of(one)
    assert code_table_of(equal) is not code_table_of(one)


def test_every_value_title_and_alias_of_every_code_set_is_read(catalogue: Catalogue) -> None:
    for code_set in catalogue.code_sets.values():
        table = CodeTable(code_set)
        for code in code_set.codes:
            sent = pl.Series([code.value, code.title])
            assert read_code(Cells(sent), table).values.to_list() == [code.value, code.value], code_set.name
            aliases = read_code(Cells(pl.Series(list(code.aliases), dtype=pl.String)), table)
            assert aliases.found.is_empty() and aliases.values.null_count() == 0, (code_set.name, code.value)


RULES = IdentityRules(TODAY, ("999001",))
numbers = st.builds(identity_number, st.dates(date(1900, 1, 1), TODAY), st.integers(0, 999))
written = st.characters(exclude_categories=("Cc", "Cf", "Cs", "Co"))  # control characters go before anything is judged
unhurried = settings(deadline=None, max_examples=40)


def read_numbers(sent: list[str]) -> list[str | None]:
    return read_identity_number(Cells(pl.Series(sent, dtype=pl.String)), RULES).values.to_list()


@unhurried
@given(st.lists(numbers, min_size=1, max_size=30))
def test_any_invented_number_with_its_check_digit_passes(sent: list[str]) -> None:
    reading = read_identity_number(Cells(pl.Series(sent)), RULES)
    assert reading.values.to_list() == sent
    assert reading.found.is_empty()


@unhurried
@given(numbers)
def test_any_single_wrong_digit_is_caught(number: str) -> None:
    mistyped = [
        number[:place] + wrong + number[place + 1 :]
        for place in range(18)
        for wrong in ("0123456789X" if place == 17 else "0123456789")
        if wrong != number[place]
    ]
    assert set(read_numbers(mistyped)) == {None}


@unhurried
@given(numbers)
def test_any_two_neighbours_exchanged_are_caught(number: str) -> None:
    pairs = range(17)
    swapped = {number[:at] + number[at + 1] + number[at] + number[at + 2 :] for at in pairs} - {number}
    assert set(read_numbers(sorted(swapped))) == {None}


@unhurried
@given(st.lists(numbers, min_size=1, max_size=20), st.sampled_from(["'{}", "{}\u00a0", " {} ", "\u200b{}"]))
def test_a_cleaned_number_is_the_number(sent: list[str], dirt: str) -> None:
    assert read_numbers([dirt.format(number) for number in sent]) == sent


def test_the_factory_follows_the_standard() -> None:
    assert identity_number(date(1949, 12, 31), 2, prefix="110105") == "11010519491231002X"
    assert identity_number(date(1880, 1, 1), 1, prefix="440524") == "440524188001010014"


@unhurried
@given(st.lists(st.text(written, max_size=30), min_size=1, max_size=20))
def test_what_a_reader_gives_is_read_again_unchanged(sent: list[str]) -> None:
    readers: list[Callable[[Cells], Reading]] = [read_name, read_text, read_phone, read_certificate, read_division]
    for reader in readers:
        once = reader(Cells(pl.Series(sent, dtype=pl.String))).values
        again = reader(Cells(once)).values
        assert again.to_list() == once.to_list(), reader
