"""The data catalogue: every record type has its published entry; providers update, the bureau reviews, nothing closed leaks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from hub.database import Database, run_sql, utc_now
from hub.errors import BadRequest, Conflict, HubError, NotAllowed, NotFound
from hub.registry.permissions import SYSTEM_ACTOR, Actor
from hub.registry.working_days import Calendar
from hub.settings import Settings
from hub.sharing.entries import (
    Entry,
    follow_record_types,
    list_entries,
    list_versions,
    load_entry,
    read_entry,
    versions_of,
)
from hub.sharing.entry_clocks import clock_of
from hub.sharing.entry_content import EntryContent, flaws
from hub.sharing.entry_keeping import (
    Edited,
    EntryIncomplete,
    EntryMoved,
    EntryOfAnother,
    ReasonMissing,
    begin_version,
    drop_version,
    extend_update,
    name_provider,
    publish_version,
    return_version,
    save_draft,
    submit_version,
)
from hub.sharing.entry_notices import make_entry_notices
from hub.sharing.working_day_clocks import ExtensionTooLong
from mappings.catalogue import Catalogue, Field
from mappings.checking import check_mappings
from mappings.loader import ROOT
from tests.district import actor, found

POLICE = actor("public_security", "data_officer", name="officer")
HEALTH = actor("health", "data_officer")
CLERK = actor("public_security", "department_clerk")
BUREAU = actor("bureau", "bureau_operator", name="reviewer")
LAST_DAY_BEFORE = datetime(2026, 9, 30, 2, 0, tzinfo=UTC)  # ten in the morning; National Day until 7 October
THAT_DAY = date(2026, 9, 30)
MOVE_IN = "hukou_move_in"


@pytest.fixture
def district(database: Database) -> Iterator[Connection]:
    """One transaction of the worker's in the founded district."""
    with database.begin() as connection:
        found(connection)
        yield connection


def edited(content: EntryContent, **changes: Any) -> Edited:
    """The entry as it is, signed, with changes."""
    said = {name: getattr(content, name) for name in Edited.__struct_fields__ if name != "shared"}
    signed = {
        "assessed_on": date(2026, 9, 1),
        "assessed_by": "法制科",
        "approved_on": date(2026, 9, 2),
        "approved_by": "分管负责人",
    }
    return Edited(**(said | signed | {"shared": content.shared_fields} | changes))


def hand_in(
    connection: Connection, settings: Settings, catalogue: Catalogue, who: Actor = POLICE, record_type: str = MOVE_IN,
    now: datetime = LAST_DAY_BEFORE, **changes: Any,
) -> None:  # fmt: skip
    entry = load_entry(connection, record_type)
    if entry.open is None:
        begin_version(connection, settings, who, catalogue, record_type, "职责调整", now)
    save_draft(connection, who, catalogue, record_type, edited(entry.content, **changes))
    submit_version(connection, settings, who, catalogue, record_type, now)


# ---- data_catalogue.toml ----


@pytest.mark.parametrize(
    ("before", "after", "key", "reason"),
    [
        ("[hukou_move_in]", "[moved_in]", "hukou_move_in", "a record type without its entry: hukou_move_in"),
        ('"QX-GA-0003"', '"QX-GA-0002"', "hukou_move_out.catalogue_no", "the number of hukou_move_in"),
        ('"QX-GA-0003"', '"3"', "hukou_move_out.catalogue_no", "looks like QX-GA-0001"),
        ('provider = "health"', 'provider = "town"', "death_certificate.provider", "one organisation: town"),
        ('provider = "health"', 'provider = "nobody"', "death_certificate.provider", "one organisation: nobody"),
        ('frequency = "realtime"', 'frequency = "often"', "service_request.frequency", "often"),
        ('withheld = ["operator_id_no"]', "withheld = []", "business_licence.withheld", "operator_id_no"),
        ('withheld = ["operator_id_no"]', 'withheld = ["no"]', "business_licence.withheld", "no such field: no"),
        ("classification = 4", "classification = 3", "birth_certificate.classification", "at least 4"),
        ("classification = 4\n", "", "birth_certificate.classification", "missing key"),
    ],
)
def test_a_broken_entry_of_the_file_is_named_with_line_and_key(
    tmp_path: Path, before: str, after: str, key: str, reason: str
) -> None:
    copy = tmp_path / "mappings"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    file = copy / "data_catalogue.toml"
    text = file.read_text("utf-8")
    place = text.index(before, text.index("[birth_certificate]") if before.startswith("classification") else 0)
    file.write_text(text[:place] + text[place:].replace(before, after, 1), "utf-8")
    problems = [one for one in check_mappings(copy) if one.key == key]
    assert [one for one in problems if reason in one.reason and one.file == "data_catalogue.toml" and one.line > 0]


def test_the_record_type_and_its_entry_say_the_same_of_sharing(tmp_path: Path) -> None:
    copy = tmp_path / "mappings"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    file = copy / "record_types/business_licence.toml"
    file.write_text(file.read_text("utf-8").replace('sharing = "unconditional"\n', ""), "utf-8")
    assert [one.key for one in check_mappings(copy)] == ["business_licence.sharing"]


# ---- published first, due when the record type changes ----


def test_a_new_district_has_a_published_entry_of_every_record_type(district: Connection, catalogue: Catalogue) -> None:
    entries = {one.record_type: one for one in list_entries(district, CLERK)}
    assert set(entries) == {code for code, one in catalogue.record_types.items() if one.enabled}
    for code, entry in entries.items():
        record_type = catalogue.record_types[code]
        assert (entry.version, entry.content.reason != "") == (1, True)
        assert not {field.name for field in record_type.clinical_fields} & set(entry.content.shared_fields)
        assert (entry.sharing == "none") == record_type.restricted == (not entry.content.shared_fields)
    assert entries["birth_certificate"].provider == "mch_station" and entries["town_arrival"].provider == "bureau"
    assert entries["business_licence"].sharing == "unconditional"
    assert "operator_id_no" not in entries["business_licence"].content.shared_fields


def test_a_provider_the_district_has_not_is_said_and_the_bureau_names_another(
    district: Connection, settings: Settings, catalogue: Catalogue
) -> None:
    married = load_entry(district, "marriage")
    assert (married.provider, married.provider_name, married.provider_takes_part) == ("civil_affairs", "", False)
    with pytest.raises(BadRequest, match="不能作为提供单位"):
        name_provider(district, settings, BUREAU, "marriage", "civil_affairs", "民政职责由卫健承担", LAST_DAY_BEFORE)
    with pytest.raises(NotAllowed):
        name_provider(district, settings, HEALTH, "marriage", "health", "民政职责由卫健承担", LAST_DAY_BEFORE)
    name_provider(district, settings, BUREAU, "marriage", "health", "民政职责由卫健承担", LAST_DAY_BEFORE)
    assert load_entry(district, "marriage").provider == "civil_affairs"  # until the new one's version is published
    hand_in(district, settings, catalogue, HEALTH, "marriage")
    publish_version(district, settings, BUREAU, catalogue, "marriage", LAST_DAY_BEFORE)
    now = load_entry(district, "marriage")
    assert (now.provider, now.provider_takes_part, now.catalogue_no) == ("health", True, married.catalogue_no)
    run_sql(district, "UPDATE shared.organisation SET enabled = false WHERE code = 'health'")
    assert not load_entry(district, "marriage").provider_takes_part


def changed(catalogue: Catalogue, **how: Any) -> Catalogue:
    """The same catalogue after somebody edited one record type's file."""
    one = msgspec.structs.replace(catalogue.record_types[MOVE_IN], **how)
    return msgspec.structs.replace(catalogue, record_types=catalogue.record_types | {MOVE_IN: one})


def migrate(connection: Connection, catalogue: Catalogue, day: date = THAT_DAY) -> Entry | None:
    follow_record_types(connection, SYSTEM_ACTOR, catalogue, Calendar(), LAST_DAY_BEFORE, day)
    return next((one for one in list_entries(connection, POLICE) if one.record_type == MOVE_IN), None)


def test_a_changed_record_type_makes_an_update_due_in_ten_working_days(
    district: Connection, settings: Settings, catalogue: Catalogue
) -> None:
    assert migrate(district, catalogue).open is None  # type: ignore[union-attr]
    extra = Field(name="visa_no", title="签注号", type="text", sensitivity="personal")
    wider = changed(catalogue, fields=(*catalogue.record_types[MOVE_IN].fields, extra))
    entry = migrate(district, wider)
    assert entry and entry.open and entry.version == 1
    assert (entry.open.state, entry.open.due_on) == ("due", date(2026, 10, 20))
    assert "visa_no" in entry.open.cause and "visa_no" not in entry.open.content.shared_fields
    migrate(district, wider, date(2026, 10, 15))
    assert [one.version for one in versions_of(district, MOVE_IN)] == [2, 1]  # told once
    with pytest.raises(EntryMoved, match="须更新目录"):
        drop_version(district, POLICE, wider, MOVE_IN, "不想更新", LAST_DAY_BEFORE)
    hand_in(district, settings, wider)
    narrower = changed(catalogue, fields=catalogue.record_types[MOVE_IN].fields[:-1])
    back = migrate(district, narrower, date(2026, 10, 9))
    assert back and back.open and (back.open.state, back.open.due_on) == ("returned", date(2026, 10, 20))


def test_a_record_type_switched_off_has_no_entry_and_gets_it_back_when_it_is_on_again(
    district: Connection, catalogue: Catalogue
) -> None:
    assert migrate(district, changed(catalogue, enabled=False)) is None
    with pytest.raises(NotFound, match="没有信息类别 hukou_move_in"):
        load_entry(district, MOVE_IN)
    again = migrate(district, catalogue)
    assert again and (again.version, again.provider) == (2, "public_security")
    assert [one.state for one in list_versions(district, CLERK, MOVE_IN)] == ["published", "withdrawn"]


# ---- kept by the provider, reviewed by the bureau ----


def test_an_entry_goes_from_draft_to_published_and_the_version_before_stays_as_it_was(
    district: Connection, settings: Settings, catalogue: Catalogue
) -> None:
    first = load_entry(district, MOVE_IN)
    hand_in(district, settings, catalogue, conditions="仅限核对人口底数", frequency="realtime")
    waiting = load_entry(district, MOVE_IN)
    assert waiting.content == first.content and waiting.open
    assert (waiting.open.due_on, waiting.open.review_due_on) == (date(2026, 10, 20), date(2026, 10, 9))
    publish_version(district, settings, BUREAU, catalogue, MOVE_IN, LAST_DAY_BEFORE)
    now = load_entry(district, MOVE_IN)
    assert (now.version, now.frequency, now.content.conditions) == (2, "realtime", "仅限核对人口底数")
    second, before = versions_of(district, MOVE_IN)
    assert (second.state, second.decided_by, second.submitted_by) == ("published", "reviewer", "officer")
    assert (before.state, before.content) == ("replaced", first.content)
    told = run_sql(
        district, "SELECT facts ->> 'how' FROM {d}.audit WHERE object = 'catalogue/hukou_move_in' ORDER BY at"
    )
    assert [how for (how,) in told] == ["begun", "saved", "submitted", "published"]


def test_everything_that_is_missing_is_told_in_one_list(
    district: Connection, settings: Settings, catalogue: Catalogue
) -> None:
    content = load_entry(district, MOVE_IN).content
    begin_version(district, settings, POLICE, catalogue, MOVE_IN, "职责调整", LAST_DAY_BEFORE)
    blank: dict[str, Any] = {"reason": " ", "modes": (), "assessed_on": date(2026, 12, 1), "approved_by": ""}
    save_draft(district, POLICE, catalogue, MOVE_IN, edited(content, classification=1, **blank))
    with pytest.raises(EntryIncomplete) as refused:
        submit_version(district, settings, POLICE, catalogue, MOVE_IN, LAST_DAY_BEFORE)
    wrong: Any = refused.value.facts["wrong"]
    for part in (
        "依据或条件未填写",
        "共享方式未选择",
        "批准的负责人未填写",
        "不得低于 3 级",
        "在今天之后",
        "批准应在评估之后",
    ):
        assert any(part in one for one in wrong), part
    assert len(wrong) == 6


def test_no_entry_shares_what_is_closed(district: Connection, settings: Settings, catalogue: Catalogue) -> None:
    care = actor("mch_station", "data_officer")
    certificate, visit = (
        load_entry(district, "birth_certificate").content,
        load_entry(district, "postnatal_visit").content,
    )
    begin_version(district, settings, care, catalogue, "birth_certificate", "职责调整", LAST_DAY_BEFORE)
    with pytest.raises(BadRequest, match="weight_g"):
        wanted = (*certificate.shared_fields, "weight_g")
        save_draft(district, care, catalogue, "birth_certificate", edited(certificate, shared=wanted))
    with pytest.raises(EntryIncomplete) as refused:
        hand_in(district, settings, catalogue, care, "postnatal_visit", sharing="conditional", modes=("download",))
    assert "只在医疗照护单位之间使用" in str(refused.value.facts["wrong"])
    with pytest.raises(EntryIncomplete) as refused:
        hand_in(district, settings, catalogue, sharing="unconditional")
    assert "无条件共享的不得含敏感个人信息" in str(refused.value.facts["wrong"])
    forged = msgspec.structs.replace(visit.items[-1], field="findings", shared=True)
    items = (*(item for item in visit.items if item.field != "findings"), forged)
    told = flaws(
        msgspec.structs.replace(visit, items=items), catalogue.record_types["postnatal_visit"], date(2026, 9, 30)
    )
    assert any("findings" in one for one in told)


def test_a_review_gives_back_with_a_list_and_is_never_ones_own(
    district: Connection, settings: Settings, catalogue: Catalogue
) -> None:
    hand_in(district, settings, catalogue)
    for wrong in ((), ("",), ("短",)):
        with pytest.raises(ReasonMissing):
            return_version(district, BUREAU, MOVE_IN, wrong, LAST_DAY_BEFORE)
    return_version(district, BUREAU, MOVE_IN, ["使用要求过宽", " ", "批准人应为单位负责人"], LAST_DAY_BEFORE)
    returned = load_entry(district, MOVE_IN).open
    assert returned and returned.state == "returned"
    assert returned.answer.splitlines() == ["使用要求过宽", "批准人应为单位负责人"]
    with pytest.raises(EntryMoved, match="已退回"):
        publish_version(district, settings, BUREAU, catalogue, MOVE_IN, LAST_DAY_BEFORE)
    hand_in(district, settings, catalogue)
    publish_version(district, settings, BUREAU, catalogue, MOVE_IN, LAST_DAY_BEFORE)
    hand_in(district, settings, catalogue, BUREAU, "town_arrival")  # the bureau's own: another of its people reviews
    with pytest.raises(NotAllowed, match="提交人不能审核"):
        publish_version(district, settings, BUREAU, catalogue, "town_arrival", LAST_DAY_BEFORE)
    colleague = msgspec.structs.replace(BUREAU, name="colleague")
    publish_version(district, settings, colleague, catalogue, "town_arrival", LAST_DAY_BEFORE)


def test_an_update_is_put_off_once_by_five_working_days_with_a_reason(
    district: Connection, settings: Settings, catalogue: Catalogue
) -> None:
    begin_version(district, settings, POLICE, catalogue, MOVE_IN, "职责调整", LAST_DAY_BEFORE)
    for days, reason, refusal in (
        (5, "  ", ReasonMissing),
        (6, "系统改造", ExtensionTooLong),
        (0, "系统改造", ExtensionTooLong),
    ):
        with pytest.raises(refusal):
            extend_update(district, settings, POLICE, MOVE_IN, days, reason, LAST_DAY_BEFORE)
    with pytest.raises(EntryMoved, match="期限已过"):
        extend_update(district, settings, POLICE, MOVE_IN, 5, "系统改造中", datetime(2026, 10, 20, 17, tzinfo=UTC))
    last_day = extend_update(district, settings, POLICE, MOVE_IN, 5, "系统改造中", LAST_DAY_BEFORE)
    assert last_day == date(2026, 10, 27)
    with pytest.raises(EntryMoved, match="只能延长一次"):
        extend_update(district, settings, POLICE, MOVE_IN, 1, "系统改造中", LAST_DAY_BEFORE)
    version = load_entry(district, MOVE_IN).open
    assert version
    left = [clock_of(Calendar(), version, date(2026, 10, day)).working_days for day in (26, 27, 28, 31)]
    assert left == [1, 0, -1, -3]


@pytest.mark.parametrize(
    ("who", "record_type", "cause", "refusal", "said"),
    [
        (POLICE, "no_such_type", "职责调整", NotFound, "没有信息类别 no_such_type"),
        (POLICE, "delivery_outcome", "职责调整", NotFound, "没有信息类别 delivery_outcome"),  # switched off
        (HEALTH, MOVE_IN, "职责调整", EntryOfAnother, "由 public_security 提供"),
        (CLERK, MOVE_IN, "职责调整", NotAllowed, "keep-entry"),
        (BUREAU, MOVE_IN, "职责调整", EntryOfAnother, "由 public_security 提供"),
        (POLICE, MOVE_IN, " ", ReasonMissing, "请写明理由"),
        (POLICE, MOVE_IN, "长" * 501, ReasonMissing, "请写明理由"),
    ],
)
def test_who_may_not_or_says_nothing_is_told_so(
    district: Connection, settings: Settings, catalogue: Catalogue,
    who: Actor, record_type: str, cause: str, refusal: type[HubError], said: str,
) -> None:  # fmt: skip
    with pytest.raises(refusal, match=said):
        begin_version(district, settings, who, catalogue, record_type, cause, LAST_DAY_BEFORE)


def test_what_cannot_be_done_in_this_state_is_refused(
    district: Connection, settings: Settings, catalogue: Catalogue
) -> None:
    content = load_entry(district, MOVE_IN).content
    with pytest.raises(EntryMoved, match="已发布"):
        save_draft(district, POLICE, catalogue, MOVE_IN, edited(content))
    with pytest.raises(EntryMoved, match="已发布"):
        submit_version(district, settings, POLICE, catalogue, MOVE_IN, LAST_DAY_BEFORE)
    with pytest.raises(BadRequest, match="在今天之后"):
        begin_version(district, settings, POLICE, catalogue, MOVE_IN, "职责调整", LAST_DAY_BEFORE, date(2026, 10, 1))
    hand_in(district, settings, catalogue)
    with pytest.raises(EntryMoved, match="待审核"):
        save_draft(district, POLICE, catalogue, MOVE_IN, edited(content))
    with pytest.raises(Conflict, match="待审核"):
        begin_version(district, settings, POLICE, catalogue, MOVE_IN, "职责调整", LAST_DAY_BEFORE)
    drop_version(district, POLICE, catalogue, MOVE_IN, "无需更新", LAST_DAY_BEFORE)
    assert load_entry(district, MOVE_IN).open is None


def test_what_is_not_published_is_the_providers_and_the_bureaus_business(
    district: Connection, settings: Settings, catalogue: Catalogue
) -> None:
    hand_in(district, settings, catalogue)
    seen = {who.organisation: read_entry(district, who, MOVE_IN).open for who in (POLICE, BUREAU, HEALTH)}
    assert seen["public_security"] and seen["bureau"] and seen["health"] is None
    assert [len(list_versions(district, who, MOVE_IN)) for who in (POLICE, BUREAU, HEALTH)] == [2, 2, 1]
    with pytest.raises(NotAllowed):
        list_entries(district, actor("bureau", "auditor"))


def test_providers_and_the_bureau_are_told_once_of_each_stage(
    district: Connection, settings: Settings, catalogue: Catalogue
) -> None:
    def told(day: int) -> list[tuple[str, str]]:
        before = run_sql(district, "SELECT count(*) FROM {d}.notice")[0][0]
        made = make_entry_notices(district, settings, datetime(2026, 10, day, 4, tzinfo=UTC))
        rows = run_sql(district, "SELECT organisation, kind FROM {d}.notice ORDER BY made_at, kind OFFSET :n", n=before)
        assert len(rows) == made
        return [(str(organisation), str(kind)) for organisation, kind in rows]

    begin_version(district, settings, POLICE, catalogue, MOVE_IN, "职责调整", LAST_DAY_BEFORE)
    assert told(9) == [("public_security", "entry_due")]
    assert told(20) == []
    assert told(21) == [("bureau", "entry_late"), ("public_security", "entry_overdue")]
    assert told(22) == []
    hand_in(district, settings, catalogue, now=datetime(2026, 10, 22, 4, tzinfo=UTC))
    assert told(22) == [("bureau", "entry_review")]
    assert told(27) == [("bureau", "entry_review_overdue")]
    return_version(district, BUREAU, MOVE_IN, ["使用要求过宽"], utc_now())
    assert ("public_security", "entry_returned") in told(28)
