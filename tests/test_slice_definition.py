"""What a slice may be made of: conditions in a small vocabulary, fields under a mask, and that both hold on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from hub.database import Database, run_sql
from hub.errors import BadRequest, ClinicalBoundary
from hub.exchange import blanking
from hub.exchange.erasure import erase_person
from hub.exchange.slice_sql import filter_digest
from hub.exchange.slices import FeedContext, PageChanged, query_slice, snapshot
from hub.keyring import Keyring
from hub.operations.record_tables import COLUMN_TYPES
from hub.registry.masking import kind_of
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.scope import reach_of
from hub.registry.slice_conditions import (
    LONGEST_VALUE,
    MOST_CONDITIONS,
    MOST_VALUES,
    Op,
    Values,
    condition_problems,
    condition_sql,
    ops_of,
)
from hub.registry.slice_definition import Condition, SliceDefinition, SliceType, check_definition, definition_digest
from hub.registry.slice_masks import masked_sql, masked_value
from hub.registry.subscriptions import Terms, create_subscription
from hub.settings import Settings
from mappings.catalogue import Catalogue, Field
from tests.oracle import _meets
from tests.staged import stage
from tests.test_oracle import prepare
from tests.test_slices import NUMBERS, changes, number_changes, people, pull, send
from tests.test_slices import apply_staged as apply_rows

KEEPER = reach_of(SYSTEM_ACTOR)
TERMS = Terms(purpose="核对", legal_basis="条例")
WRITTEN = (
    "",
    "张",
    "王芳",
    "9",
    "10",
    "1380000",
    "13800001234",
    "清溪街道光明路七号",
    "99900119900307001X",
    "X12345678",
    "2026",
)


def of(record_type: str, *fields: str, masked: tuple[str, ...] = (), on: tuple[Condition, ...] = ()) -> SliceDefinition:
    return SliceDefinition((SliceType(record_type, fields, on, masked),))


def field_of(catalogue: Catalogue, place: str) -> Field:
    record_type, _, name = place.partition(".")
    return catalogue.record_types[record_type].by_name[name]


# ---- masks ----


def test_every_mask_says_the_same_in_postgresql_and_in_python(database: Database, catalogue: Catalogue) -> None:
    fields = {
        (kind_of(field), field.type): field for one in catalogue.record_types.values() for field in one.plain_fields
    }
    assert {kind for kind, _ in fields} >= {"identifier", "phone", "address", "name", "date", "place", "open", "other"}
    columns = ", ".join(masked_sql(field, "w") for field in fields.values())
    with database.begin() as connection:
        rows = run_sql(
            connection, f"SELECT w, {columns} FROM unnest(CAST(:written AS text[])) w", written=[*WRITTEN, None]
        )
    for written, *masked in rows:
        assert masked == [masked_value(field, written) for field in fields.values()]
        for field, shown in zip(fields.values(), masked, strict=True):
            assert written in (None, "") or kind_of(field) == "open" or shown != written, (written, field.name)


def test_a_mask_shows_so_much_and_no_more(catalogue: Catalogue) -> None:
    shown = {
        ("resident_roll.id_no", "99900119900307001X"): "999001********001X",
        ("resident_roll.phone", "13800001234"): "138****1234",
        ("resident_roll.live_addr", "清溪街道光明路七号"): "清溪街道***",
        ("resident_roll.name", "欧阳明"): "欧***",
        ("resident_roll.birth_date", "1990-03-07"): "1990-**-**",
        ("resident_roll.marital", "20"): "***",
        ("resident_roll.live_div", "999001001001"): "9***",
        ("birth_certificate.facility", "区妇幼保健院"): "区妇幼保健院",
        ("resident_roll.household_no", ""): "***",
    }
    assert {key: masked_value(field_of(catalogue, key[0]), key[1]) for key in shown} == shown
    assert masked_value(field_of(catalogue, "resident_roll.name"), None) is None


@pytest.mark.parametrize(
    ("definition", "why"),
    [
        (of("resident_roll", "name", masked=("id_no",)), "只能遮蔽所选字段"),
        (of("resident_roll", "name", masked=("no_such",)), "只能遮蔽所选字段"),
        (of("resident_roll", "name", masked=("name", "name")), "遮蔽重复"),
        (of("resident_roll", "sex", masked=("sex",), on=(Condition("sex", "in", ("2",)),)), "遮蔽的字段不能作条件"),
    ],
)
def test_a_mask_lies_over_a_chosen_field_once_and_no_condition_looks_behind_it(
    catalogue: Catalogue, definition: SliceDefinition, why: str
) -> None:
    with pytest.raises(BadRequest, match=why):
        check_definition(definition, catalogue, "department", None)


def test_a_mask_opens_no_way_out_of_care(catalogue: Catalogue) -> None:
    for kind in ("department", "town", "care"):
        definition = of("birth_certificate", "cert_no", "weight_g", masked=("weight_g",))
        with pytest.raises(ClinicalBoundary):
            check_definition(definition, catalogue, kind, None)


def test_a_definition_without_masks_keeps_the_digest_it_always_had() -> None:
    marriages = SliceType("marriage", ("male_name", "cert_no"), (Condition("kind", "in", ("2", "1")),))
    known = SliceDefinition(
        (marriages, SliceType("cremation", ("name",), (Condition("cert_no", "not_empty"),))), (3, 2)
    )
    assert definition_digest(known) == "e605346e630763403f9f0cb42b989f1b1fe2e9dace5561efc66b73cc5c159314"
    digests = {
        definition_digest(of("cremation", "name", "home", masked=masked)) for masked in ((), ("name",), ("home",))
    }
    assert len(digests) == 3
    both = (
        of("cremation", "name", "home", masked=("name", "home")),
        of("cremation", "home", "name", masked=("home", "name")),
    )
    assert definition_digest(both[0]) == definition_digest(both[1])
    assert filter_digest(marriages) == filter_digest(
        SliceType("marriage", ("cert_no",), marriages.conditions, ("cert_no",))
    )


# ---- conditions ----

DAYS = ("2026-01-31", "2026-02-01", "2026-02-28")
CASES: dict[str, tuple[str, ...]] = {
    "resident_roll.birth_date": DAYS,
    "birth_certificate.birth_time": ("2026-01-31 23:59:59", "2026-02-01 00:00:00", "2026-02-28 12:00:00"),
    "social_insurance.month": ("2025-12", "2026-01", "2026-10"),
    "business_licence.employees": ("2", "10", "100"),
    "business_licence.capital": ("9.5", "10.00", "200"),
    "resident_roll.marital": ("10", "20", "22"),
    "labour_transfer.organised": ("true", "false"),
    "employment.post": ("甲", "乙"),
}  # fmt: skip


def expected(field: Field, value: str | None, op: Op, chosen: tuple[str, ...]) -> bool:
    """The plain reading: numbers as numbers, moments by their day, the rest as it is written."""
    if op in ("from", "to") and value is not None:
        if field.type in ("integer", "decimal"):
            number, bound = Decimal(value), Decimal(chosen[0])
            return number >= bound if op == "from" else number <= bound
        value = value[:10] if field.type == "datetime" else value
    return _meets(value, Condition(field.name, op, chosen))


@pytest.mark.parametrize("place", CASES)
def test_every_condition_selects_what_it_says(database: Database, catalogue: Catalogue, place: str) -> None:
    field, written = field_of(catalogue, place), CASES[place]
    bounds = [(one[:10],) for one in written]
    asked = [("empty", ()), ("not_empty", ()), *((op, one) for op in ("from", "to") for one in bounds)]
    asked += [(op, chosen) for op in ("in", "not_in") for chosen in ((written[0],), written[:2], ("none of these",))]
    kind = COLUMN_TYPES[field.type]
    checked = 0
    for op, chosen in [(op, chosen) for op, chosen in asked if op in ops_of(field)]:
        values: Values = {}
        test = condition_sql(field, op, chosen, "v", "chosen", values)  # type: ignore[arg-type]
        row = f"(SELECT w, CAST(w AS {kind}) AS {field.name} FROM unnest(CAST(:written AS text[])) w) v"
        with database.begin() as connection:
            rows = run_sql(connection, f"SELECT w, {test} FROM {row}", written=[*written, None], **values)
        for value, met in rows:
            assert bool(met) == expected(field, value, op, chosen), (place, op, chosen, value)  # type: ignore[arg-type]
            checked += 1
    assert checked >= 15


@pytest.mark.parametrize(
    ("place", "op", "values", "why"),
    [
        ("resident_roll.name", "not_in", ("王芳",), "不能用于"),
        ("resident_roll.name", "from", ("王",), "不能用于"),
        ("resident_roll.id_no", "to", ("9",), "不能用于"),
        ("resident_roll.marital", "from", ("10",), "不能用于"),
        ("resident_roll.marital", "in", ("999",), "不是"),
        ("resident_roll.marital", "in", (), "需要"),
        ("resident_roll.marital", "empty", ("10",), "不带取值"),
        ("resident_roll.marital", "in", tuple(map(str, range(MOST_VALUES + 1))), "需要"),
        ("resident_roll.birth_date", "from", ("2026-02-30",), "日期 YYYY-MM-DD"),
        ("resident_roll.birth_date", "from", ("20260201",), "日期 YYYY-MM-DD"),
        ("resident_roll.birth_date", "to", DAYS[:2], "一个取值"),
        ("resident_roll.birth_date", "in", ("昨天",), "日期 YYYY-MM-DD"),
        ("social_insurance.month", "from", ("2026-13",), "月份 YYYY-MM"),
        ("business_licence.employees", "from", ("NaN",), "数字"),
        ("business_licence.employees", "from", ("1.5",), "数字"),
        ("business_licence.capital", "to", ("1 OR 1=1",), "数字"),
        ("labour_transfer.organised", "in", ("是",), "true 或 false"),
        ("employment.post", "in", ("x" * (LONGEST_VALUE + 1),), "不超过"),
        ("employment.post", "in", (" ",), "不得为空"),
    ],
)
def test_a_condition_that_cannot_be_is_refused_with_what_to_do(
    catalogue: Catalogue, place: str, op: Op, values: tuple[str, ...], why: str
) -> None:
    (problem,) = condition_problems(field_of(catalogue, place), op, values, catalogue)
    assert why in problem
    record_type, _, name = place.partition(".")
    definition = of(record_type, name, on=(Condition(name, op, values),))
    with pytest.raises(BadRequest, match=place):
        check_definition(definition, catalogue, "department", None)


def test_conditions_are_few_none_is_given_twice_and_a_range_ends_after_it_begins(catalogue: Catalogue) -> None:
    wrong = {
        "最多": tuple(Condition(f.name, "not_empty") for f in catalogue.record_types["employment"].fields[: MOST_CONDITIONS + 1]),
        "重复": (Condition("post", "in", ("甲",)), Condition("post", "in", ("乙",))),
        "晚于": (Condition("start_date", "from", ("2026-02-02",)), Condition("start_date", "to", ("2026-02-01",))),
    }  # fmt: skip
    for why, on in wrong.items():
        with pytest.raises(BadRequest, match=why):
            check_definition(of("employment", "id_no", on=on), catalogue, "department", None)
    whole_year = (Condition("start_date", "from", ("2026-01-01",)), Condition("start_date", "to", ("2026-12-31",)))
    check_definition(of("employment", "id_no", on=whole_year), catalogue, "department", None)


# ---- on the wire ----


@pytest.fixture
def context(owner_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[FeedContext]:
    with owner_database.begin(KEEPER) as connection:
        prepare(connection, catalogue)
        veiled = of("resident_roll", "id_no", "name", "live_div", masked=("id_no", "name"))
        nowhere = of("resident_roll", "id_no", on=(Condition("live_addr", "empty"),))
        elsewhere = of("marriage", "cert_no", on=(Condition("male_hukou_addr", "empty"),))
        for code, definition in (("veiled", veiled), ("nowhere", nowhere), ("elsewhere", elsewhere)):
            create_subscription(
                connection, SYSTEM_ACTOR, catalogue, code=code, organisation="health", title=code, definition=definition,
                terms=TERMS,
            )  # fmt: skip
    yield FeedContext(catalogue, Keyring.load(settings.home))


def test_what_a_mask_hides_is_in_no_byte_of_the_feed(database: Database, context: FeedContext) -> None:
    send(database, context.catalogue, people(0, 2, 5, "欧阳明"))
    first = pull(database, context, code="veiled")
    send(database, context.catalogue, people(0, 2, 5, "欧阳亮"))  # looks the same behind the mask
    second = pull(database, context, first.next, code="veiled")
    with database.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        lines = list(snapshot(connection, SYSTEM_ACTOR, context, "veiled"))
        connection.rollback()
    everything = first.changes + second.changes + "".join(lines)
    assert not any(value in everything for value in ("欧阳明", "欧阳亮", *NUMBERS))
    (change, _) = changes(second)
    assert (change["op"], change["version"]) == ("update", 2)  # that it changed is told, by the version alone
    assert change["before"] == change["after"] == {"id_no": "999001********0000", "name": "欧***", "live_div": "5"}
    held = {each["record_id"]: each["after"] for each in changes(second)}
    with database.begin() as connection:
        definition = of("resident_roll", "id_no", "name", "live_div", masked=("id_no", "name"))
        queried = {one["record_id"]: one["after"] for one in query_slice(connection, context, definition)}
    assert held == queried


def marry(database: Database, context: FeedContext, *addresses: str | None) -> None:
    record_type = context.catalogue.record_types["marriage"]
    rows = [
        {"cert_no": f"J{at}", "male_id_no": NUMBERS[2 * at], "female_id_no": NUMBERS[2 * at + 1], "male_hukou_addr": address,
         "registered_on": "2026-01-05", "male_area": 5, "female_area": 6}
        for at, address in enumerate(addresses)
    ]  # fmt: skip
    with database.begin() as connection:
        submission_id = stage(connection, record_type, rows)
        apply_rows(connection, submission_id, "civil_affairs", record_type, context.catalogue)
        number_changes(connection, submission_id)


def erase(database: Database, settings: Settings, context: FeedContext, number: str) -> None:
    with database.begin() as connection:
        ((person,),) = run_sql(connection, "SELECT person_id FROM {d}.person_identifier WHERE value = :n", n=number)
    erase_person(
        database, settings, context.catalogue, SYSTEM_ACTOR, person, "个人信息保护法第四十七条", "本人申请删除"
    )  # type: ignore[arg-type]


def follow_erasures(database: Database, settings: Settings, context: FeedContext) -> dict[str, list[Any]]:
    """Two people of the roll and two couples; then one of the roll is erased, a husband, and at last his wife."""
    here = [{**one, "live_addr": "光明路七号"} for one in people(8, 9, 5)]
    send(database, context.catalogue, [*here, *people(9, 10, 5)])
    marry(database, context, "光明路七号", None)
    before = {code: pull(database, context, code=code, limit=100) for code in ("nowhere", "elsewhere")}
    for number in (NUMBERS[8], NUMBERS[0], NUMBERS[1]):
        erase(database, settings, context, number)
    told = {}
    for code, page in before.items():
        again = pull(database, context, code=code, limit=100)
        assert (again.count, again.digest, again.next) == (page.count, page.digest, page.next)
        told[code] = [*changes(page), *changes(pull(database, context, page.next, code=code, limit=100))]
    return told


def test_an_erased_value_is_no_empty_one(database: Database, settings: Settings, context: FeedContext) -> None:
    """A version whose values are gone met the condition then or it did not; now it only looks empty."""
    told = follow_erasures(database, settings, context)
    assert [change["op"] for change in told["nowhere"]] == [
        "enter"
    ]  # the other one; whoever was erased was never in it
    held: dict[str, Any] = {}
    for change in told["elsewhere"]:
        assert (change["op"] == "enter") == (change["record_id"] not in held)
        held[change["record_id"]] = change["after"]
        if change["op"] == "leave":
            del held[change["record_id"]]
    definition = of("marriage", "cert_no", on=(Condition("male_hukou_addr", "empty"),))
    with database.begin() as connection:
        queried = {one["record_id"]: one["after"] for one in query_slice(connection, context, definition)}
    assert held == queried


def test_without_that_an_erasure_would_change_pages_of_before(
    database: Database, settings: Settings, context: FeedContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.exchange.slice_sql.blank_would_meet", lambda ops: False)
    monkeypatch.setattr(blanking, "blank_would_meet", lambda ops: False)
    with pytest.raises((PageChanged, AssertionError)):
        follow_erasures(database, settings, context)


def test_the_words_of_the_vocabulary_are_all_of_them(catalogue: Catalogue) -> None:
    known = {op for one in catalogue.record_types.values() for field in one.plain_fields for op in ops_of(field)}
    assert known == {"in", "not_in", "empty", "not_empty", "from", "to"}
    with pytest.raises(ValueError, match="Invalid enum value"):
        msgspec.convert({"field": "name", "op": "like", "values": ["%"]}, Condition)
