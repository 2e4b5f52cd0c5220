"""What the shipped catalogue promises: every type, its people, its code words, and what it refuses to ask."""

from __future__ import annotations

import re

import pytest

from mappings.catalogue import PERSON_PARTS, Catalogue, RecordType
from mappings.expansion import PARTS
from mappings.loader import load


@pytest.fixture(scope="module")
def whole() -> Catalogue:
    return load()


AS_LISTED = """
    resident_roll service_request birth_certificate birth_certificate_void newborn_hukou hukou_move_in hukou_move_out
    hukou_cancel identity_correction residence_registration death_certificate cremation marriage divorce adoption
    employment unemployment social_insurance labour_transfer business_licence antenatal_booking delivery_outcome
    postnatal_visit immunisation_enrol preconception_check family_planning_service fertility_registration
    town_verification town_arrival town_departure assistance_request assistance_reply
"""


def test_every_record_type_of_the_list_is_there(whole: Catalogue) -> None:
    assert set(whole.record_types) == set(AS_LISTED.split())


def test_a_persons_parts_become_fields_before_the_types_own(whole: Catalogue) -> None:
    birth = whole.record_types["birth_certificate"]
    names = [field.name for field in birth.fields]
    assert names[:2] == ["child_name", "child_sex"]
    assert names.index("father_phone") < names.index("cert_no")
    mother_id = birth.by_name["mother_id_no"]
    assert (mother_id.type, mother_id.sensitivity, mother_id.role, mother_id.part) == (
        "id_no", "sensitive", "mother", "id_no",
    )  # fmt: skip
    assert whole.record_types["hukou_move_in"].by_name["name"].role == "person"


def test_the_parts_are_those_of_the_catalogue() -> None:
    assert tuple(PARTS) == PERSON_PARTS


@pytest.mark.parametrize("code", ["birth_certificate", "newborn_hukou", "immunisation_enrol", "adoption"])
def test_everything_about_a_young_child_is_sensitive(whole: Catalogue, code: str) -> None:
    child = [field for field in whole.record_types[code].fields if field.role == "child"]
    assert child and {field.sensitivity for field in child} == {"sensitive"}


def test_a_child_without_a_number_is_known_by_its_birth_certificate(whole: Catalogue) -> None:
    def kinds(code: str) -> list[str]:
        (child,) = [role for role in whole.record_types[code].people if role.role == "child"]
        return [one.kind for one in child.identifiers]

    assert kinds("birth_certificate") == ["birth_cert"]
    assert kinds("newborn_hukou") == ["id_no", "birth_cert"]
    assert kinds("immunisation_enrol") == ["birth_cert"]


def test_only_birth_and_death_types_and_what_a_town_sees_let_a_person_have_no_number(whole: Catalogue) -> None:
    free = {code for code, kind in whole.record_types.items() if kind.no_id_allowed and kind.enabled}
    births = {"birth_certificate", "birth_certificate_void", "newborn_hukou", "immunisation_enrol", "adoption"}
    assert free == births | {"death_certificate", "cremation", "town_verification", "town_arrival"}


def test_moving_out_does_not_set_a_home(whole: Catalogue) -> None:
    settling = {code for code, kind in whole.record_types.items() if any(role.sets_home for role in kind.people)}
    assert settling == {"resident_roll", "hukou_move_in", "newborn_hukou", "residence_registration", "town_arrival"}


def test_types_about_pregnancy_stay_in_care_and_its_outcomes_ship_switched_off(whole: Catalogue) -> None:
    restricted = {code for code, kind in whole.record_types.items() if kind.restricted}
    assert restricted == {
        "antenatal_booking", "delivery_outcome", "postnatal_visit", "preconception_check", "family_planning_service",
    }  # fmt: skip
    for code in restricted:
        kind = whole.record_types[code]
        assert kind.sources == ("care",)
        assert kind.enabled == (code in {"antenatal_booking", "postnatal_visit"})


def test_clinical_fields_come_from_care_and_health_alone(whole: Catalogue) -> None:
    senders = {source for kind in whole.record_types.values() if kind.clinical_fields for source in kind.sources}
    assert senders == {"care", "health"}


def test_no_field_asks_for_permission_or_contraception(whole: Catalogue) -> None:
    words = ("计划内", "指标", "准生", "避孕", "孕检", "社会抚养", "超生")
    for kind in whole.record_types.values():
        assert {"计划内外", "避孕措施", "planned_order", "contraception"} <= set(kind.dropped_headers)
        assert not [field.title for field in kind.fields if any(word in field.title for word in words)]


def enabled_mappings() -> list[tuple[str, str]]:
    catalogue = load()
    return [key for key in catalogue.mappings if catalogue.record_types[key[1]].enabled]


@pytest.mark.parametrize(("organisation", "code"), enabled_mappings())
def test_every_mapping_covers_required_fields_the_key_and_an_area(
    whole: Catalogue, organisation: str, code: str
) -> None:
    mapping, kind = whole.mappings[organisation, code], whole.record_types[code]
    covered = {column.field for column in mapping.columns} | set(mapping.constants)
    assert {field.name for field in kind.fields if field.required} <= covered
    assert set(kind.natural_key) <= covered
    located = [role for role in kind.people if role.area_fields]
    assert all(set(role.area_fields) & covered for role in located if role.required)


def test_each_department_sends_every_type_it_is_a_source_of(whole: Catalogue) -> None:
    def sent(kind: RecordType) -> set[str]:
        return {"mch_station" if source == "care" else source for source in kind.sources}

    expected = {(source, kind.code) for kind in whole.record_types.values() if kind.enabled for source in sent(kind)}
    assert expected <= set(whole.mappings)


def test_marriages_and_birth_certificates_have_two_header_rows(whole: Catalogue) -> None:
    def groups(organisation: str, code: str) -> list[str]:
        columns = whole.mappings[organisation, code].columns
        return list(dict.fromkeys(column.group for column in columns if column.group))

    assert groups("civil_affairs", "marriage") == ["男方", "女方"]
    assert groups("mch_station", "birth_certificate") == ["新生儿", "母亲", "父亲"]
    assert groups("mch_station", "antenatal_booking") == ["孕妇", "丈夫", "常住地址"]


def test_departments_write_in_their_own_format(whole: Catalogue) -> None:
    written = {owner: (m.encoding, m.format) for (owner, _), m in whole.mappings.items()}
    assert written["public_security"] == ("gb18030", "csv")
    assert written["health"] == ("utf-8-sig", "csv")
    assert written["civil_affairs"] == ("utf-8", "xlsx")


WORDS = [
    ("sex", "男", "1"), ("sex", "女性", "2"), ("ethnicity", "汉", "01"), ("ethnicity", "汉族", "01"),
    ("ethnicity", "1", "01"), ("ethnicity", "维族", "05"), ("ethnicity", "毛难族", "36"), ("ethnicity", "崩龙族", "46"),
    ("marital", "已婚", "20"), ("marital", "2", "20"), ("marital", "再婚", "22"), ("marital_death", "已婚", "2"),
    ("education", "大专", "30"), ("relation", "妻子", "12"), ("cert_type", "身份证", "111"), ("verdict", "属实", "1"),
    ("issue_kind", "首签", "1"), ("licence_kind", "开业", "1"), ("employment_status", "80", "80"),
]  # fmt: skip


@pytest.mark.parametrize(("code_set", "word", "value"), WORDS)
def test_the_words_clerks_write_mean_one_code(whole: Catalogue, code_set: str, word: str, value: str) -> None:
    codes = whole.code_sets[code_set].codes
    assert [code.value for code in codes if word in (code.value, code.title, *code.aliases)] == [value]


def test_a_lone_digit_is_never_a_relation(whole: Catalogue) -> None:
    words = {word for code in whole.code_sets["relation"].codes for word in (code.value, *code.aliases)}
    assert not [word for word in words if word.isdigit() and len(word) == 1]


def test_ethnicity_holds_the_56_of_the_standard_and_three_more(whole: Catalogue) -> None:
    values = [code.value for code in whole.code_sets["ethnicity"].codes]
    assert values == [f"{number:02}" for number in range(1, 57)] + ["97", "98", "99"]


def test_every_code_set_is_used_or_kept_for_the_towns(whole: Catalogue) -> None:
    used = {field.code_set for kind in whole.record_types.values() for field in kind.fields if field.code_set}
    assert set(whole.code_sets) == used


def test_every_row_error_speaks_both_languages_and_says_what_to_do(whole: Catalogue) -> None:
    for kind in whole.row_errors.values():
        for text in (kind.title, kind.message, kind.fix):
            assert any("\u4e00" <= letter <= "\u9fff" for letter in text), kind.code
        for text in (kind.title_en, kind.message_en, kind.fix_en):
            assert re.sub("[新增更正作废]", "", text).isascii(), kind.code  # the words of that column are Chinese


def test_an_own_mapping_comes_before_the_kinds_and_any_other(whole: Catalogue) -> None:
    own = whole.mapping_for("public_security", "department", "resident_roll")
    towns = whole.mapping_for("999001100", "town", "resident_roll")
    other = whole.mapping_for("district_hospital", "care", "birth_certificate")
    assert own and towns and other
    assert (own.organisation, towns.organisation) == ("public_security", "town")
    assert other.record_type == "birth_certificate"
