"""The fictitious district: valid people, files as departments write them, a truth that the hub meets."""

from __future__ import annotations

import filecmp
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from adapters.formats.sandbox import Limits
from hub.demo.areas import TWICE, make_district
from hub.demo.life import live
from hub.demo.names import PREFIX, check_digit, make_uscc
from hub.demo.plan import Parcel, Plan, make_plan
from hub.demo.reckoning import outcome_of
from hub.demo.truth import read_truth, write_truth
from hub.demo.year import MONTHS, Year
from hub.errors import FileRefused
from hub.exchange.parse import parse
from mappings.catalogue import Catalogue

PEOPLE = 1_500


@pytest.fixture(scope="module")
def year() -> Year:
    return live(PEOPLE, seed=7)


@pytest.fixture(scope="module")
def plan(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return make_plan(catalogue, PEOPLE, tmp_path_factory.mktemp("plan"))


def test_every_identity_number_is_fictitious_valid_and_given_once(year: Year) -> None:
    numbers = [resident.id_no for resident in year.population.residents]
    assert len(set(numbers)) == len(numbers)
    for resident in year.population.residents:
        assert resident.id_no.startswith(PREFIX)
        assert resident.id_no[6:14] == f"{resident.born:%Y%m%d}"
        assert int(resident.id_no[16]) % 2 == int(resident.sex) % 2
        assert resident.id_no[17] == check_digit(resident.id_no[:17])


def test_the_check_digit_is_that_of_the_standards_own_example() -> None:
    assert check_digit("11010519491231002") == "X"


def test_a_credit_code_ends_with_its_check_character() -> None:
    assert make_uscc(1) == make_uscc(1)
    assert len({make_uscc(number)[-1] for number in range(60)}) > 10


def test_one_village_name_stands_in_two_towns() -> None:
    district = make_district()
    assert len(district.towns) == 12
    assert len(district.villages) == 240
    names = Counter(village.name for village in district.villages)
    villages = [name for name, count in names.items() if count > 1 and name.endswith("村")]
    assert villages == [TWICE]


def test_every_row_fills_fields_that_its_record_type_has(catalogue: Catalogue, year: Year) -> None:
    parts = ("name", "id_type", "id_no", "sex", "birth_date", "ethnicity", "_div", "_addr", "phone")
    for row in year.rows:
        known = catalogue.record_types[row.record_type].by_name
        assert not [name for name in row.values if name not in known and not name.endswith(parts)], row.record_type


def test_everything_required_is_filled(catalogue: Catalogue, year: Year) -> None:
    for row in year.rows:
        kind = catalogue.record_types[row.record_type]
        needed = {field.name for field in kind.fields if field.required} | set(kind.natural_key)
        assert not [name for name in needed if not row.values.get(name)], row


def test_nobody_dies_twice_or_moves_after_death(year: Year) -> None:
    dead: dict[str, str] = {}
    for row in year.rows:
        if row.record_type == "death_certificate":
            assert row.values["id_no"] not in dead
            dead[row.values["id_no"]] = row.month
    moved = [row for row in year.rows if row.record_type == "hukou_move_in" and row.values["id_no"] in dead]
    assert all(row.month <= dead[row.values["id_no"]] for row in moved)


def test_the_same_seed_gives_the_same_files(catalogue: Catalogue, plan: Plan, tmp_path: Path) -> None:
    again = make_plan(catalogue, PEOPLE, tmp_path)
    names = [parcel.path.name for parcel in plan.parcels]
    assert [parcel.path.name for parcel in again.parcels] == names
    same, different, missing = filecmp.cmpfiles(plan.parcels[0].path.parent, tmp_path, set(names), shallow=False)
    assert (len(same), different, missing) == (len(set(names)), [], [])
    assert again.truth == plan.truth


def test_the_account_of_every_file_balances(plan: Plan) -> None:
    for file in plan.truth.files:
        assert file.received == file.accepted + file.unchanged + file.held + file.refused, file


def test_dirt_is_of_many_kinds_and_every_expected_code_is_documented(catalogue: Catalogue, plan: Plan) -> None:
    assert len({row.case for row in plan.truth.rows}) >= 20
    assert {code for row in plan.truth.rows for code in row.codes} <= catalogue.row_errors.keys()


def test_the_truth_is_kept_beside_the_files(plan: Plan, tmp_path: Path) -> None:
    write_truth(plan.truth, tmp_path)
    assert read_truth(tmp_path) == plan.truth


def test_files_come_in_the_order_of_the_months(plan: Plan) -> None:
    assert plan.parcels[0].record_type == "resident_roll"
    assert plan.parcels[-1].period == MONTHS[-1]
    assert len(plan.parcels) <= 250


def read(catalogue: Catalogue, parcel: Parcel) -> pl.DataFrame:
    kind = "town" if parcel.sender.isdigit() else "department"
    mapping = catalogue.mapping_for(parcel.sender, kind, parcel.record_type)
    return pl.concat(
        parse(parcel.path, catalogue.record_types[parcel.record_type], mapping, catalogue, Limits()).frames
    )


def test_every_data_row_is_read_and_found_where_the_truth_says(catalogue: Catalogue, plan: Plan) -> None:
    for parcel in plan.parcels[::7]:
        if parcel.expected.refusal:
            continue
        frame = read(catalogue, parcel)
        assert frame.height == parcel.expected.received, parcel.path.name
        places = {row.sheet_row for row in plan.truth.rows if row.file == parcel.path.name}
        assert places <= set(frame["sheet_row"].to_list()), parcel.path.name


def test_a_file_in_the_wrong_slot_is_refused_as_the_truth_says(catalogue: Catalogue, plan: Plan) -> None:
    (parcel,) = (one for one in plan.parcels if one.expected.refusal)
    with pytest.raises(FileRefused) as refused:
        read(catalogue, parcel)
    assert refused.value.facts["code"] == parcel.expected.refusal


def test_a_row_is_as_good_as_its_worst_finding() -> None:
    assert outcome_of({"note", "hold", "error"}) == "refused"
    assert outcome_of({"note", "hold"}) == "held"
    assert outcome_of({"warning"}) == "passed"
