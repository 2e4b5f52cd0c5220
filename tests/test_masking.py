"""How values are masked: by what they are and who looks, and however somebody mangled them."""

from __future__ import annotations

import pytest

from hub.registry.masking import RULES, View, kind_of, mask_address, mask_field, mask_phone, mask_within
from mappings.catalogue import Catalogue, Field

NUMBER = "999001199003070011"
PHONE = "13900001234"
VIEWS: tuple[View, ...] = ("own", "town", "oversight", "auditor")


def field_of(catalogue: Catalogue, record_type: str, name: str) -> Field:
    return catalogue.record_types[record_type].by_name[name]


def digits_of(text: str) -> str:
    return "".join(one for one in text if one.isdigit())


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("号码 999001199003070011 有误", "号码 999001********0011 有误"),
        ("９９９００１１９９００３０７００１１", "９９９００１********００１１"),
        ("999001 1990-0307 0011", "999001 ****-**** 0011"),
        ("999001.1990.0307.001X", "999001.****.****.001X"),
        ("ID999001199003070011abc", "ID999001********0011abc"),
        ("99900119900307001 x", "999001********001 x"),
        ("99900119900307001×", "999001********001×"),
        ("999001900307001", "999001*****7001"),
        ("99900I1990O3070011", "99900I********0011"),
        ("999001\u200b19900307\u200b0011", "999001\u200b********\u200b0011"),
        ("电话13900001234", "电话139****1234"),
        ("139-0000-1234", "139-****-1234"),
        ("１３９　００００　１２３４", "１３９　****　１２３４"),
        ("+86 13900001234", "+86 1******1234"),
        ("一三九零零零零一二三四", "一三九****一二三四"),
        ("0871-12345678", "087*-****5678"),
        ("护照 E12345678", "护照 E1*****78"),
        ("白鹭镇松坪村1组12号", "白鹭镇松坪村*组**号"),
    ],
)
def test_a_number_is_masked_however_it_is_written(written: str, shown: str) -> None:
    assert mask_within(written) == shown
    assert mask_within(shown) == shown


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-01 第 12 行",
        "2026-11-01 09:30:15",
        "20261101093000",
        "20261101 20261102",
        "999001100200",
        "3917 克",
        "",
    ],
)
def test_dates_counts_and_area_codes_stay_as_they_are(written: str) -> None:
    assert mask_within(written) == written


def test_short_phones_and_addresses_show_less_than_half() -> None:
    assert mask_phone("8123456") == "*****56"
    assert mask_phone("1") == "*"
    assert mask_address("白鹭镇松坪村1组1号") == "白鹭镇松***"
    assert mask_address("村") == "***"


@pytest.mark.parametrize("view", VIEWS)
def test_nobody_is_shown_a_number_a_phone_or_an_address_in_full(catalogue: Catalogue, view: View) -> None:
    values = {"identifier": NUMBER, "phone": PHONE, "address": "白鹭镇松坪村1组1号"}
    seen = set()
    for record_type in catalogue.record_types.values():
        for field in record_type.fields:
            if kind_of(field) in values:
                value = values[kind_of(field)]
                seen.add(kind_of(field))
                assert mask_field(value, field, view) != value
                assert len(digits_of(mask_field(value, field, view))) <= 10
    assert seen == set(values)


@pytest.mark.parametrize("view", VIEWS)
def test_a_number_in_the_wrong_column_is_masked_there_too(catalogue: Catalogue, view: View) -> None:
    for record_type in catalogue.record_types.values():
        for field in record_type.fields:
            for value in (NUMBER, PHONE, " ".join(NUMBER)):
                assert digits_of(value) not in digits_of(mask_field(value, field, view)), (record_type.code, field.name)


@pytest.mark.parametrize(
    ("view", "name", "born", "number"),
    [
        ("own", "王小明", "1990-03-07", "999001********0011"),
        ("town", "王小明", "1990-03-07", "999001********0011"),
        ("oversight", "王***", "1990-**-**", "999001********0011"),
        ("auditor", "***", "***", "***"),
    ],
)
def test_names_and_dates_are_for_the_sender_and_the_town(
    catalogue: Catalogue, view: View, name: str, born: str, number: str
) -> None:
    fields = {one: field_of(catalogue, "resident_roll", one) for one in ("name", "birth_date", "id_no")}
    assert mask_field("王小明", fields["name"], view) == name
    assert mask_field("1990-03-07", fields["birth_date"], view) == born
    assert mask_field(NUMBER, fields["id_no"], view) == number


def test_of_one_character_oversight_sees_nothing(catalogue: Catalogue) -> None:
    assert mask_field("王", field_of(catalogue, "resident_roll", "name"), "oversight") == "***"
    assert mask_field(None, None, "own") == ""


def test_every_kind_has_a_rule_for_every_view() -> None:
    assert {tuple(rules) for rules in RULES.values()} == {VIEWS}


def test_a_receipt_number_is_nobodys() -> None:
    said = "后来的报送 HR20261123-4567GANB6V、HR20261130-123456789K 又改动"
    assert mask_within(said) == said
    assert mask_within("HR20261123-4567GANB6V 13812345678") == "HR20261123-4567GANB6V 138****5678"
    assert mask_within("HR20010101-9999001123") != "HR20010101-9999001123"  # a number of a person may lie in it
