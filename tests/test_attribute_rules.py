"""How attributes.toml and the keys of names are written: what a district may not write is told with its line."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import pytest

from hub.database import Database, run_sql
from hub.people.name_keys import NAME_KEY_VALUES, name_key, name_key_sql
from mappings.catalogue import Catalogue, CatalogueError
from mappings.loader import ROOT, load

# ---- names ----

NAMES = {
    "陳麗娜": "陈丽娜",
    "阿依古丽·買買提": "阿依古丽买买提",
    "阿依古丽•买买提": "阿依古丽买买提",
    "王　小 明": "王小明",
    "Ａｎｎ Lee": "annlee",
    "張後龍": "张后龙",
}


def test_a_name_is_found_however_it_is_written(database: Database) -> None:
    """The same key in Python and in PostgreSQL."""
    for written, key in NAMES.items():
        assert name_key(written) == key
        with database.begin() as connection:
            assert run_sql(connection, f"SELECT {name_key_sql(':name')}", name=written, **NAME_KEY_VALUES) == [(key,)]


# ---- what a district may not write ----

EMPLOYER = 'record_type = "employment", field = "employer"'
REFUSED = {
    "unknown record type": (EMPLOYER, 'record_type = "work", field = "employer"', "record_type"),
    "care alone": (
        EMPLOYER, 'record_type = "postnatal_visit", role = "woman", field = "kind"', "record_type",
    ),
    "unknown role": (EMPLOYER, 'record_type = "employment", role = "boss", field = "employer"', "role"),
    "no such field": (EMPLOYER, 'record_type = "employment", field = "boss"', "field"),
    "a clinical field": (
        EMPLOYER, 'record_type = "death_certificate", field = "underlying_icd10"', "field",
    ),
    "a field of another person": (
        EMPLOYER, 'record_type = "divorce", role = "male", field = "female_name"', "field",
    ),
    "another type": (EMPLOYER, 'record_type = "employment", field = "contract_to"', "field"),
    "another code set": (
        'field = "marital", organisation = "town"', 'field = "education", organisation = "town"', "field",
    ),
    "exactly one of": (EMPLOYER, 'record_type = "employment"', "record_type"),
    "not in the code set": ('value = "40"', 'value = "44"', "value"),
    "not a date": ('unless = "ended_on"', 'date = "post"', "date"),
    "unknown code set": ('code_set = "hukou_kind"', 'code_set = "hukou_sort"', "code_set"),
    "unknown organisation": ('"workplace", organisation = "town"', '"workplace", organisation = "city"', "organisation"),
    "not another person": ('role = "child", person = "mother"', 'role = "child", person = "aunt"', "person"),
    "duplicate attribute": ('name = "door_no"', 'name = "sex"', "name"),
    "unknown field": ('unless = "ended_on"', 'until = "ended_on"', "until"),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_a_broken_attribute_is_told_with_its_line(tmp_path: Path, reason: str) -> None:
    right, wrong, key = REFUSED[reason]
    root = copytree(
        ROOT, tmp_path / "mappings", ignore=lambda _, names: [one for one in names if one.endswith((".py", "__"))]
    )
    file = root / "attributes.toml"
    lines = file.read_text("utf-8").splitlines()
    number = next(number for number, line in enumerate(lines) if right in line)
    lines[number] = lines[number].replace(right, wrong, 1)
    file.write_text("\n".join(lines), "utf-8")
    with pytest.raises(CatalogueError) as refused:
        load(root)
    assert (refused.value.file, refused.value.line) == ("attributes.toml", number + 1)
    assert refused.value.key.endswith(key)


def test_what_is_shipped_says_nothing_clinical(catalogue: Catalogue) -> None:
    """What is shipped speaks of no clinical field and of no record type of care alone."""
    base_items = [one.name for one in catalogue.attributes.values() if one.base_item]
    assert len(base_items) == 17 + 2  # where one lives and where one is registered are an area and an address each
    for attribute in catalogue.attributes.values():
        assert attribute.sensitivity != "clinical"
        for source in attribute.sources:
            record_type = catalogue.record_types[source.record_type]
            assert not record_type.restricted
            assert not source.field or not record_type.by_name[source.field].clinical
