"""Who is who: the matcher knows people by what rows say of them, and leaves to a person what it cannot know."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import Connection

from hub.database import Database, new_uuid, run_sql
from hub.demo.matching_quality import Quality, measure
from hub.embedded import Cluster
from hub.exchange.pipeline import apply_staged
from hub.people.attributes import derive
from hub.people.matching import Answer, Side, answer, explain, match_with, side
from hub.people.mentions import find_unknown, unknown_by_page
from mappings.catalogue import Catalogue, CatalogueError, MatchingRules
from mappings.loader import ROOT, load
from tests.conftest import clone_template
from tests.staged import stage

MOTHER, OTHER_MOTHER = "999001199203040022", "999001199305060025"
CHILD, BROTHER = "999001202601020011", "999001202601020038"
BORN = date(2026, 1, 2)
WANG = {"name": "王小明", "sex": "1", "born": date(1990, 3, 7), "area": 5, "town": 2}


@pytest.fixture(scope="module")
def quality(cluster: Cluster, catalogue: Catalogue) -> Iterator[Quality]:
    """Two thousand people, everything that is sent about them, through the real line, once."""
    clone_template(cluster, "matching")
    database = Database(cluster.urls("matching").worker, "d999001")
    yield measure(database, catalogue, seed=1, people=2000)
    database.close()


# ---- the generated district ----


def test_of_two_thousand_people_nobody_is_taken_for_somebody_else(quality: Quality) -> None:
    assert quality.precision >= 0.999
    assert (quality.mistaken, quality.recognised > 30) == (0, True)


def test_nearly_everybody_known_is_linked_without_help_and_the_rest_waits(quality: Quality) -> None:
    assert quality.recall >= 0.99
    assert quality.found >= 0.999
    assert quality.held > 30  # the mistyped numbers: a person says


def test_no_mention_of_anybody_is_lost(quality: Quality) -> None:
    sums = quality.linked + quality.wrong + quality.new + quality.missed + quality.unnamed + quality.lost
    assert sums + quality.held + quality.held_in_vain + quality.held_strangers == quality.mentions
    assert (quality.lost, quality.mentions > 6000) == (0, True)


def test_every_blocking_rule_finds_somebody(quality: Quality, catalogue: Catalogue) -> None:
    assert quality.inactive(catalogue) == []
    idle = msgspec.structs.replace(quality, fired=quality.fired.__class__())
    assert len(idle.inactive(catalogue)) == len(catalogue.matching.blocks)


def test_a_lower_threshold_takes_strangers_for_residents(database: Database, catalogue: Catalogue) -> None:
    careless = _with_rules(catalogue, auto=20.0, margin=1.0)
    assert measure(database, careless, seed=1, people=600).precision < 0.999


def test_without_candidates_mistyped_numbers_become_new_people(database: Database, catalogue: Catalogue) -> None:
    blind = _with_rules(catalogue, auto=901.0, hold=900.0)
    assert measure(database, blind, seed=1, people=400).found < 0.998


def _with_rules(catalogue: Catalogue, **changes: float) -> Catalogue:
    return msgspec.structs.replace(catalogue, matching=msgspec.structs.replace(catalogue.matching, **changes))


# ---- two descriptions ----


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({}, "same"),
        ({"name": "王曉明"}, "doubt"),  # by ear, in traditional characters
        ({"born": date(1990, 7, 3)}, "doubt"),
        ({"area": 9, "town": 8}, "doubt"),
        ({"born": date(1991, 4, 8)}, "new"),
        ({"name": "李大海"}, "new"),
        ({"number": "999001198003070019"}, "doubt"),  # a number nobody has never decides by itself
        ({"number": "999001199003070556"}, "doubt"),
        ({"number": "999001195112125573", "area": None}, "new"),  # a namesake with a number of his own
    ],
)
def test_what_a_description_settles(changes: dict[str, Any], finding: str, catalogue: Catalogue) -> None:
    known = side(**(WANG | {"number": "999001199003070011"}))
    assert _asked(known, side(**(WANG | changes)), catalogue.matching).finding == finding


def test_namesakes_of_one_day_with_valid_different_numbers_are_two_people(catalogue: Catalogue) -> None:
    first = Side(name="王伟", sex="1", born=date(1990, 3, 7), number="999001199003070011")
    other = Side(name="王伟", sex="1", born=date(1990, 3, 7), number="999001199003079155")
    assert _asked(first, other, catalogue.matching).finding == "new"


def test_twins_with_numbers_and_names_one_character_apart_are_two_people(catalogue: Catalogue) -> None:
    mother = new_uuid()
    first, other = (
        Side(name=name, sex="1", born=BORN, number=number, mother=mother, household="1", area=5, town=2)
        for name, number in (("张子涵", CHILD), ("张子轩", BROTHER))
    )
    assert _asked(first, other, catalogue.matching).finding == "new"


def test_two_who_fit_equally_well_are_for_a_person_to_tell_apart(catalogue: Catalogue) -> None:
    rules, asked = catalogue.matching, side(**WANG)
    both = [match_with(asked, new_uuid(), side(**WANG), rules) for _ in range(2)]
    assert answer(both[:1], rules, number_given=False).finding == "same"
    assert answer(both, rules, number_given=False).finding == "doubt"


def test_a_comparison_explains_itself_in_words(catalogue: Catalogue) -> None:
    found = match_with(side(**WANG), new_uuid(), side(**(WANG | {"name": "王 小明"})), catalogue.matching)
    told = [(one.feature, one.level, one.weight) for one in explain(found.features, catalogue.matching)]
    assert told[:2] == [("出生日期", "相同", 13.0), ("姓名", "相同（繁简体、间隔点或空格不同）", 11.5)]


def _asked(known: Side, asked: Side, rules: MatchingRules) -> Answer:
    return answer([match_with(asked, new_uuid(), known, rules)], rules, number_given=bool(asked.number))


# ---- the rules as a file ----


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("auto = 29.0", "auto = 2.0", "auto"),
        ("hold = 18.0", "hold = -1.0", "hold"),
        ('code = "one_off"', 'code = "two_off"', "features[1].levels"),
        ('keys = ["birth_date", "phone"]', 'keys = ["phone", "household_no"]', "blocks[3].keys"),
        ('keys = ["birth_date", "mother"]', 'keys = ["birth_date", "shoe_size"]', "blocks[2].keys"),
        ('code = "birth_and_phone"', 'code = "birth_and_name"', "blocks[3].code"),
    ],
)
def test_a_broken_rule_is_named_with_its_line(tmp_path: Path, old: str, new: str, key: str) -> None:
    root = tmp_path / "mappings"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    whole = (root / "matching.toml").read_text("utf-8")
    assert whole.count(old) == 1
    (root / "matching.toml").write_text(whole.replace(old, new), "utf-8")
    with pytest.raises(CatalogueError) as refusal:
        load(root)
    found = refusal.value
    assert (found.file, found.key, found.line > 1) == ("matching.toml", key, True)


# ---- newborns: certificate, registration, vaccination card ----


def test_a_newborn_keeps_its_timeline_when_it_gets_its_number(database: Database, catalogue: Catalogue) -> None:
    with database.begin() as connection:
        child = _certificate(connection, catalogue, "Q999001001", "赵一")
        assert _registered(connection, catalogue, CHILD, "赵一") == child
        assert _who_has(connection, "id_no", CHILD) == child


def test_a_card_without_a_certificate_number_remembers_the_child(database: Database, catalogue: Catalogue) -> None:
    with database.begin() as connection:
        child = _certificate(connection, catalogue, "Q999001001", "赵一")
        assert _card(connection, catalogue, "赵一") == child
        assert _who_has(connection, "row", "health|immunisation_enrol|child|C赵一") == child
        assert _card(connection, catalogue, "赵一", vaccine="乙肝") == child  # sent again, it asks nobody


def test_a_mistyped_certificate_number_finds_the_child_by_its_name(database: Database, catalogue: Catalogue) -> None:
    with database.begin() as connection:
        child = _certificate(connection, catalogue, "Q999001001", "赵一")
        assert _card(connection, catalogue, "赵一", cert_no="Q999001007") == child


def test_twins_are_told_apart_by_name_and_a_nameless_one_waits(database: Database, catalogue: Catalogue) -> None:
    with database.begin() as connection:
        first = _certificate(connection, catalogue, "Q999001001", "赵一")
        other = _certificate(connection, catalogue, "Q999001002", "赵二", birth_time="2026-01-02 08:30")
        assert first != other
        assert (_card(connection, catalogue, "赵二"), _card(connection, catalogue, "赵一")) == (other, first)
        assert _card(connection, catalogue, None) == "E_PERSON_UNCLEAR"
        candidates = run_sql(connection, "SELECT person_id FROM {d}.held_candidate WHERE role = 'child'")
        assert {one for (one,) in candidates} == {first, other}


def test_two_nameless_rows_of_one_file_are_not_one_child(database: Database, catalogue: Catalogue) -> None:
    with database.begin() as connection:
        _certificate(connection, catalogue, "Q999001001", None)
        rows = [_registration(number, None) for number in (CHILD, BROTHER)]
        found = _landed(connection, catalogue, "newborn_hukou", "public_security", rows)
        assert found == ["E_PERSON_UNCLEAR", "E_PERSON_UNCLEAR"]


def test_a_child_of_another_mother_or_day_is_somebody_new(database: Database, catalogue: Catalogue) -> None:
    with database.begin() as connection:
        child = _certificate(connection, catalogue, "Q999001001", "赵一")
        _roll(connection, catalogue, OTHER_MOTHER, "孙兰")
        assert _registered(connection, catalogue, CHILD, "赵一", mother_id_no=OTHER_MOTHER) != child
        assert _registered(connection, catalogue, BROTHER, "赵一", child_birth_date="2026-03-02") != child


def test_a_death_without_a_number_is_linked_to_the_one_it_describes(database: Database, catalogue: Catalogue) -> None:
    with database.begin() as connection:
        known = _roll(connection, catalogue, MOTHER, "钱美玲")
        row = {"cert_no": "D1", "death_date": "2026-05-01", "name": "钱美玲", "sex": "2", "birth_date": "1992-03-04"}
        near, far = row | {"person_area": 5}, row | {"cert_no": "D2"}
        assert _landed(connection, catalogue, "death_certificate", "health", [near]) == [known]
        assert _landed(connection, catalogue, "death_certificate", "health", [far]) == ["E_PERSON_UNCLEAR"]


def test_a_large_file_is_compared_page_by_page_and_nobody_is_left_out(database: Database, catalogue: Catalogue) -> None:
    record_type = catalogue.record_types["newborn_hukou"]
    rows = [_registration(f"Q{number}", f"赵{number}") | {"mother_name": "孙兰"} for number in range(1, 6)]
    with database.begin() as connection:
        _roll(connection, catalogue, OTHER_MOTHER, "孙兰")
        submission_id = stage(connection, record_type, rows)
        pages = list(unknown_by_page(connection, submission_id, "public_security", record_type, at_once=3))
        everybody = find_unknown(connection, submission_id, "public_security", record_type)
    spoken_of = sorted((one.row_no, one.role) for page in pages for one in page)
    assert spoken_of == sorted((one.row_no, one.role) for one in everybody)
    assert len(pages) > 2 and {row_no for row_no, _ in spoken_of} == {1, 2, 3, 4, 5}


def test_nothing_is_compared_while_the_register_is_empty(
    database: Database, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hub.people import doubts

    monkeypatch.setattr(doubts, "recognise_all", lambda *_: pytest.fail("compared"))
    with database.begin() as connection:
        _landed(connection, catalogue, "resident_roll", "999001001", [{"id_no": MOTHER, "name": "钱美玲"}])
        _landed(connection, catalogue, "resident_roll", "public_security", [{"id_no": MOTHER, "name": "钱美玲"}])


def _certificate(connection: Connection, catalogue: Catalogue, number: str, name: str | None, **more: object) -> object:
    if not run_sql(connection, "SELECT 1 FROM {d}.person"):
        _roll(connection, catalogue, MOTHER, "钱美玲")
    row = {
        "cert_no": number, "birth_time": "2026-01-02 08:00", "child_name": name, "child_sex": "1",
        "mother_name": "钱美玲", "mother_id_no": MOTHER,
    }  # fmt: skip
    return _landed(connection, catalogue, "birth_certificate", "mch_station", [row | more])[0]


def _registration(number: str, name: str | None) -> dict[str, object]:
    return {
        "child_id_no": number, "child_name": name, "child_sex": "1", "child_birth_date": BORN, "mother_id_no": MOTHER,
        "registered_on": "2026-02-01",
    }  # fmt: skip


def _registered(connection: Connection, catalogue: Catalogue, number: str, name: str, **more: object) -> object:
    row = _registration(number, name) | more
    return _landed(connection, catalogue, "newborn_hukou", "public_security", [row])[0]


def _card(connection: Connection, catalogue: Catalogue, name: str | None, **more: object) -> object:
    row = {
        "card_no": f"C{name}", "child_name": name, "child_sex": "1", "child_birth_date": BORN, "mother_id_no": MOTHER,
        "roll_status": str(more.pop("vaccine", "在册")),
    }  # fmt: skip
    return _landed(connection, catalogue, "immunisation_enrol", "health", [row | more])[0]


def _roll(connection: Connection, catalogue: Catalogue, number: str, name: str) -> object:
    row = {"id_no": number, "name": name, "person_area": 5}
    return _landed(connection, catalogue, "resident_roll", "999001001", [row])[0]


def _landed(
    connection: Connection, catalogue: Catalogue, code: str, source: str, rows: list[dict[str, Any]]
) -> list[object]:
    """Whom the first role of each row is now, or why it waits."""
    record_type = catalogue.record_types[code]
    submission_id = stage(connection, record_type, rows)
    apply_staged(connection, submission_id, source, record_type, catalogue)
    found = run_sql(
        connection,
        "SELECT CASE outcome WHEN 'hold' THEN finding ELSE people[1]::text END FROM {d}.difference"
        " WHERE submission_id = :submission AND row_no > 0 ORDER BY row_no",
        submission=submission_id,
    )
    people = [UUID(str(one)) if one and len(str(one)) == 36 else one for (one,) in found]
    derive(connection, catalogue, [one for one in people if isinstance(one, UUID)])
    return people


def _who_has(connection: Connection, kind: str, value: str) -> object:
    rows = run_sql(
        connection, "SELECT person_id FROM {d}.person_identifier WHERE kind = :kind AND value = :value",
        kind=kind, value=value,
    )  # fmt: skip
    return rows[0][0] if rows else None
