"""The timeline of one person: every source in order, cut to what its reader may see, behind two walls."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from hub.database import Database, new_uuid, run_sql, utc_now
from hub.embedded import Cluster
from hub.errors import NotAllowed, NotFound
from hub.people import seeing
from hub.people.purposes import NoPurpose, checked_purpose
from hub.people.timeline import Timeline, read_timeline
from hub.registry.permissions import SYSTEM_ACTOR, Actor
from hub.registry.scope import reach_of
from hub.registry.subscriptions import set_state
from mappings.catalogue import Catalogue, CatalogueError
from mappings.loader import ROOT, load
from tests.settled_people import (
    BUREAU,
    CARE,
    CERTIFICATE,
    CLERK,
    COMMERCE,
    HEALTH,
    LABOUR,
    MEI,
    NAMES,
    NOBODY,
    QIANG,
    REASONED,
    TOWN,
    VERIFY,
    YU,
    YUAN,
    Settled,
    settled_people,
)
from tests.test_rights_matrix import switch_scopes_off


@pytest.fixture(scope="module")
def ground(cluster: Cluster, catalogue: Catalogue) -> Iterator[tuple[Settled, Database, Database]]:
    with settled_people(cluster, catalogue, "timeline") as settled:
        yield settled


@pytest.fixture
def settled(ground: tuple[Settled, Database, Database]) -> Settled:
    return ground[0]


@pytest.fixture
def served(ground: tuple[Settled, Database, Database]) -> Database:
    return ground[1]


def read(settled: Settled, served: Database, who: Actor, number: str, catalogue: Catalogue) -> Timeline:
    return read_id(settled, served, who, settled[number], catalogue)


def read_id(settled: Settled, served: Database, who: Actor, person_id: UUID, catalogue: Catalogue) -> Timeline:
    with served.begin(reach_of(who)) as connection:
        return read_timeline(connection, who, catalogue, settled.areas, person_id, VERIFY)


def types_in(timeline: Timeline) -> list[str]:
    return [entry.record_type for entry in timeline.entries]


# ---- what is told ----


def test_a_town_reads_every_source_in_order_and_nothing_that_stays_in_care(
    settled: Settled, served: Database, catalogue: Catalogue
) -> None:
    told = read(settled, served, TOWN, MEI, catalogue)
    insured = ["social_insurance"] * 3
    assert types_in(told) == ["marriage", "employment", *insured, "birth_certificate", "resident_roll"]
    days = [entry.happened for entry in told.entries]
    assert days == ["2020-02-02", "2021-03-01", "2021-03", "2021-04", "2023-01", "2024-06-01", ""]
    assert [told.entries[at].section for at in (0, 1, 2, 5, 6)] == [
        "marriage",
        "work",
        "insurance",
        "birth",
        "household",
    ]
    assert told.entries[5].says == "子女出生：王小雨，接生机构：云岭区妇幼服务站"
    assert told.entries[5].says_en == "A child was born: 王小雨 at 云岭区妇幼服务站"
    assert "现住光明社区" in told.entries[6].says
    assert told.entries[6].areas == ("清溪街道光明社区",)


def test_only_ones_own_submissions_show_their_receipt(settled: Settled, served: Database, catalogue: Catalogue) -> None:
    told = read(settled, served, TOWN, MEI, catalogue)
    receipts = {entry.source: entry.receipt_number for entry in told.entries}
    assert receipts.pop(TOWN.organisation).startswith(f"R-{TOWN.organisation}")
    assert set(receipts.values()) == {""}


def test_relatives_are_told_by_the_records_they_share(settled: Settled, served: Database, catalogue: Catalogue) -> None:
    told = read(settled, served, TOWN, MEI, catalogue)
    assert {(each.kind, each.person_id, each.name) for each in told.relations} == {
        ("child", settled[CERTIFICATE], NAMES[YU]),
        ("spouse", settled[QIANG], NAMES[QIANG]),
    }  # Yuan's household has the same number at another source; Qiang, who shares the household, is named once
    child = read_id(settled, served, TOWN, settled[CERTIFICATE], catalogue)
    assert {(each.kind, each.person_id) for each in child.relations} == {
        ("mother", settled[MEI]), ("father", settled[QIANG]),
    }  # fmt: skip


def test_what_still_holds_follows_from_the_newest_event(
    settled: Settled, served: Database, catalogue: Catalogue
) -> None:
    told = read(settled, served, LABOUR, MEI, catalogue)
    assert [claim.says for claim in told.claims] == [
        "依法享有职工社会保险（云岭制衣厂）",
        "参加社会保险：职工基本医疗保险",
    ]


def test_a_department_reads_its_own_records(settled: Settled, served: Database, catalogue: Catalogue) -> None:
    told = read(settled, served, LABOUR, MEI, catalogue)
    assert types_in(told) == ["employment", "social_insurance", "social_insurance", "social_insurance"]
    assert told.entries[1].happened == "2021-03"
    with pytest.raises(NotFound):
        read(settled, served, LABOUR, YUAN, catalogue)  # its slice of moves is of another town


def test_a_department_reads_of_a_slice_its_fields_and_conditions_only(
    settled: Settled, served: Database, catalogue: Catalogue
) -> None:
    told = read(settled, served, COMMERCE, MEI, catalogue)
    assert [(entry.says, entry.happened) for entry in told.entries] == [("就业登记：云岭制衣厂", "")]
    assert told.relations == ()
    assert {one.name for one in told.attributes} <= {"id_no", "workplace"}


def test_a_slice_says_who_the_child_is_and_not_who_the_parents_are(
    settled: Settled, served: Database, catalogue: Catalogue
) -> None:
    told = read_id(settled, served, HEALTH, settled[CERTIFICATE], catalogue)
    assert (types_in(told), told.relations) == (["birth_certificate"], ())
    with pytest.raises(NotFound):
        read(settled, served, HEALTH, MEI, catalogue)


def test_a_slice_that_is_suspended_opens_nobody(
    ground: tuple[Settled, Database, Database], catalogue: Catalogue
) -> None:
    settled, served, owner = ground
    with owner.begin() as connection:
        set_state(connection, SYSTEM_ACTOR, "of-commerce", "suspended")
    with pytest.raises(NotFound):
        read(settled, served, COMMERCE, MEI, catalogue)
    with owner.begin() as connection:
        set_state(connection, SYSTEM_ACTOR, "of-commerce", "active")


def test_care_sees_its_births_here_and_never_its_bookings(
    settled: Settled, served: Database, catalogue: Catalogue
) -> None:
    assert types_in(read(settled, served, CARE, MEI, catalogue)) == ["birth_certificate"]


def test_the_bureau_reads_everything_masked(settled: Settled, served: Database, catalogue: Catalogue) -> None:
    told = read(settled, served, BUREAU, MEI, catalogue)
    assert len(told.entries) == 7
    assert "antenatal_booking" not in types_in(told)
    said = repr((told.entries, told.relations, told.claims, told.attributes))
    assert not [value for value in (*NAMES, *NAMES.values(), "13812345678", "1990-03-07") if value in said]
    assert told.entries[0].happened == "2020-**-**"
    assert {each.name for each in told.relations} == {"王***"}


def test_attributes_come_from_records_the_reader_sees(settled: Settled, served: Database, catalogue: Catalogue) -> None:
    known = {one.name: one for one in read(settled, served, TOWN, MEI, catalogue).attributes}
    assert known["name"].value == NAMES[MEI]
    assert known["id_no"].value == f"{MEI[:6]}********{MEI[-4:]}"
    of_labour = {one.record_type for one in read(settled, served, LABOUR, MEI, catalogue).attributes}
    assert of_labour <= {"employment", "social_insurance"}


# ---- who is not told ----


def test_a_stranger_and_somebody_who_does_not_exist_are_answered_alike(
    settled: Settled, served: Database, catalogue: Catalogue
) -> None:
    answers = []
    for person_id in (settled[YUAN], new_uuid()):
        with pytest.raises(NotFound) as refused:
            read_id(settled, served, TOWN, person_id, catalogue)
        answers.append((str(refused.value), refused.value.facts))
    assert answers[0] == answers[1]


def test_without_the_right_nothing_is_read(settled: Settled, served: Database, catalogue: Catalogue) -> None:
    with pytest.raises(NotAllowed):
        read(settled, served, NOBODY, MEI, catalogue)


def test_a_merged_person_leads_to_whoever_they_turned_out_to_be(
    ground: tuple[Settled, Database, Database], catalogue: Catalogue
) -> None:
    settled, served, owner = ground
    gone = new_uuid()
    with owner.begin() as connection:
        run_sql(connection, _MERGED, id=gone, kept=settled[MEI], now=utc_now())
    told = read_id(settled, served, TOWN, gone, catalogue)
    assert (told.person_id, told.asked_for) == (settled[MEI], gone)


_MERGED = "INSERT INTO {d}.person (person_id, merged_into, created_at) VALUES (:id, :kept, :now)"


def test_reading_is_noted_with_purpose_and_counts_and_no_values(
    ground: tuple[Settled, Database, Database], catalogue: Catalogue
) -> None:
    settled, served, owner = ground
    with served.begin(reach_of(BUREAU)) as connection:
        read_timeline(connection, BUREAU, catalogue, settled.areas, settled[MEI], REASONED)
    with owner.begin() as connection:
        object_, facts = run_sql(connection, _LAST_LINE)[0]
    assert object_ == f"person/{settled[MEI]}"
    assert (facts["purpose"], facts["reason"], facts["records"]) == ("other", REASONED.text, 7)  # type: ignore[index]
    assert not [value for value in (*NAMES, *NAMES.values()) if value in repr(facts)]


_LAST_LINE = "SELECT object, facts FROM {d}.audit WHERE act = 'read-person' ORDER BY audit_id DESC LIMIT 1"


def test_a_purpose_is_one_of_the_list_and_the_bureau_says_why(settled: Settled) -> None:
    assert checked_purpose(CLERK, "service").code == "service"
    for who, code, text in (
        (CLERK, "", ""), (CLERK, "curiosity", ""), (CLERK, "other", ""), (BUREAU, "verify", ""),
        (BUREAU, "verify", f"查 {MEI}"),
    ):  # fmt: skip
        with pytest.raises(NoPurpose):
            checked_purpose(who, code, text)


# ---- each wall alone ----


def test_with_the_scopes_saying_yes_row_security_holds(
    settled: Settled, served: Database, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch_scopes_off(monkeypatch)
    for who, number in ((TOWN, YUAN), (LABOUR, YUAN), (CLERK, MEI), (HEALTH, MEI)):
        with pytest.raises(NotFound):
            read(settled, served, who, number, catalogue)
    assert types_in(read(settled, served, LABOUR, MEI, catalogue))[0] == "employment"


def test_without_row_security_the_scopes_hold(ground: tuple[Settled, Database, Database], catalogue: Catalogue) -> None:
    settled, _, owner = ground
    for who, number in ((TOWN, YUAN), (LABOUR, YUAN), (CLERK, MEI), (HEALTH, MEI)):
        with pytest.raises(NotFound):
            read(settled, owner, who, number, catalogue)
    assert types_in(read(settled, owner, LABOUR, MEI, catalogue))[0] == "employment"


def test_with_both_walls_down_the_stranger_is_read(
    ground: tuple[Settled, Database, Database], catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the two tests above would miss if they could not fail."""
    settled, _, owner = ground
    switch_scopes_off(monkeypatch)
    assert read(settled, owner, TOWN, YUAN, catalogue).entries


def test_what_was_opened_for_a_look_is_shut_after_it(settled: Settled, served: Database, catalogue: Catalogue) -> None:
    with served.begin(reach_of(BUREAU)) as connection:
        read_timeline(connection, BUREAU, catalogue, settled.areas, settled[MEI], REASONED)
        assert run_sql(connection, "SELECT count(*) FROM {d}.rec_employment")[0][0] == 0
        assert run_sql(connection, "SELECT count(*) FROM {d}.person")[0][0] == 0


# ---- the mapping file ----


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ('section = "marriage"', 'section = "wedding"', "entries[7].section"),
        ('roles = ["male", "female"]', 'roles = ["male", "bride"]', "entries[7].roles"),
        ("[，{office}]", "，{office}", "entries[7].says"),
        ("[，{office}]", "[，{chapel}]", "entries[7].says"),
        ('record_type = "cremation"', 'record_type = "postnatal_visit"', "entries[29].record_type"),
        ("[，接生机构：{facility}]", "[，孕周{gest_weeks}]", "entries[9].says"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_key(before: str, after: str, key: str, tmp_path: Path) -> None:
    copy = tmp_path / "mappings"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    text = (copy / "timeline.toml").read_text("utf-8")
    assert before in text
    (copy / "timeline.toml").write_text(text.replace(before, after, 1), "utf-8")
    with pytest.raises(CatalogueError) as refused:
        load(copy)
    assert (refused.value.file, refused.value.key) == ("timeline.toml", key)
    wrong = (copy / "timeline.toml").read_text("utf-8").splitlines()[refused.value.line - 1]
    assert after in wrong


def test_a_type_that_is_in_no_section_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "mappings"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    text = (copy / "timeline.toml").read_text("utf-8")
    at = text.index('[[entries]]\nrecord_type = "cremation"')
    (copy / "timeline.toml").write_text(text[:at] + text[text.index("# ---- who is whose") :], "utf-8")
    with pytest.raises(CatalogueError, match=r"cremation\.person"):
        load(copy)


def test_every_type_that_is_told_is_one_that_leaves_care(catalogue: Catalogue) -> None:
    told = {entry.record_type for entry in catalogue.timeline.entries}
    assert told == {one.code for one in seeing.told_types(catalogue)}
