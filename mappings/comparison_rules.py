"""What must hold in comparisons.toml: every type, role, field and code is known, none is clinical, nobody is hunted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mappings.catalogue import Field, RecordType
from mappings.comparisons import LEFT, RIGHT, TOWN, UNLESS, ComparedField, Comparison, ComparisonsSource, Side
from mappings.documents import Document, Problem, Step

if TYPE_CHECKING:
    from mappings.findings import Findings

_CODE = re.compile(r"^[a-z][a-z0-9_]{0,40}$")
_PLAIN = re.compile(r"^[\w-]{1,40}$")
_DAYS = ("date", "datetime", "month")
# What two records may say together is no list of pregnancies, of contraception, of births somebody did not allow.
NEVER_COMPARED = frozenset(
    {
        "fertility_registration",
        "family_planning_service",
        "preconception_check",
        "antenatal_booking",
        "delivery_outcome",
        "postnatal_visit",
    }
)
_ABOUT_MARRIAGE = frozenset({"marriage", "divorce", "marital", "married"})
# Nobody is picked by sex, by children or by contraception, whatever stands beside it.
_NEVER_PICKED_BY = frozenset(
    {"sex", "parity", "para", "gravida", "plurality", "children", "pregnancy", "pregnant", "lmp", "edd", "planned"}
    | {"contraception", "contraceptive", "sterilisation", "iud"}
)
_TWO_SIDED = frozenset({"missing", "both", "differs", "order"})


def comparison_problems(document: Document, source: ComparisonsSource, findings: Findings) -> Iterator[Problem]:
    codes = [check.code for check in source.checks]
    for index, check in enumerate(source.checks):
        if not _CODE.match(check.code) or check.code in codes[:index]:
            yield document.problem(f"代码不合规或重复 bad or repeated code: {check.code}", "checks", index, "code")
        yield from _shape_problems(document, index, check)
        yield from _worker_problems(document, index, check, findings)
        yield from _side_problems(document, index, check, findings)
        yield from _hunting_problems(document, index, check, findings)
        if all(side.type in findings.expanded for side in check.sides):
            yield from _compared_problems(document, index, check, findings)


def _shape_problems(document: Document, index: int, check: Comparison) -> Iterator[Problem]:
    """Each kind has the keys it works with, and no others."""
    for key, wanted in (
        (LEFT, True),
        (RIGHT, check.kind in _TWO_SIDED),
        ("compared", check.kind == "differs"),
    ):
        if bool(getattr(check, key)) != wanted:
            said = "缺少此键 missing key" if wanted else f"此类比对没有此键 not a key of kind {check.kind}"
            yield document.problem(said, "checks", index, key)
    for key, kinds in (("grace_days", ("missing", "both")), ("slack_days", ("order",)), ("same", ("duplicate",))):
        if getattr(check, key) and check.kind not in kinds:
            yield document.problem(f"此类比对没有此键 not a key of kind {check.kind}", "checks", index, key)
    for key in ("grace_days", "slack_days"):
        if getattr(check, key) < 0:
            yield document.problem("不能为负 must not be negative", "checks", index, key)
    if check.kind == "duplicate" and len(check.left) != 1:
        yield document.problem("重复比对只有一个信息类别 a duplicate is of one record type", "checks", index, LEFT)
    if not check.by_person and (check.kind != "duplicate" or not check.same):
        yield document.problem("须有 same needs same, and kind duplicate", "checks", index, "by_person")


def _worker_problems(document: Document, index: int, check: Comparison, findings: Findings) -> Iterator[Problem]:
    for key, code in (("works", check.works), ("otherwise", check.otherwise)):
        if code and code not in findings.kinds:
            yield document.problem(f"没有这一单位 unknown organisation: {code}", "checks", index, key)
    if (check.works == TOWN) != bool(check.otherwise) or check.otherwise == TOWN:
        yield document.problem(
            "由镇街办理的须另指明一个单位 town, and only town, needs another organisation", "checks", index, "otherwise"
        )


def _side_problems(document: Document, index: int, check: Comparison, findings: Findings) -> Iterator[Problem]:
    for key in (LEFT, RIGHT, UNLESS):
        for number, side in enumerate(getattr(check, key)):
            place: tuple[Step, ...] = ("checks", index, key, number)
            record_type = findings.expanded.get(side.type)
            if record_type is None:
                yield document.problem(f"没有这一信息类别 unknown record type: {side.type}", *place, "type")
            elif record_type.restricted or side.type in NEVER_COMPARED:
                yield document.problem(f"此类信息不参与比对 this type is never compared: {side.type}", *place, "type")
            else:
                yield from _field_problems(document, place, side, record_type, findings)
                yield from _day_problems(document, place, check, key, side, record_type)


def _field_problems(
    document: Document, place: tuple[Step, ...], side: Side, record_type: RecordType, findings: Findings
) -> Iterator[Problem]:
    if side.role not in [role.role for role in record_type.people]:
        yield document.problem(f"没有这一人员角色 no such role: {side.role}", *place, "role")
    if side.source and side.source not in findings.kinds:
        yield document.problem(f"没有这一单位 unknown organisation: {side.source}", *place, "source")
    for name in side.fields:
        yield from known_field(document, record_type, name, *place, name)
        if _NEVER_PICKED_BY & set(name.split("_")):
            yield document.problem(f"不得以此挑选人员 nobody is picked by this: {name}", *place, name)
    for name, values in (*side.where.items(), *side.where_not.items()):
        field = record_type.by_name.get(name)
        codes = findings.known_code_sets.get(field.code_set) if field and field.code_set else None
        for value in values:
            if not _PLAIN.match(value):
                yield document.problem(f"只能是字母、数字 only letters and digits: {value}", *place, name)
            if codes is not None and value not in [code.value for code in codes.codes]:
                yield document.problem(f"没有这一代码 unknown code: {value}", *place, name)


def known_field(document: Document, record_type: RecordType, name: str, *place: Step) -> Iterator[Problem]:
    field = record_type.by_name.get(name)
    if field is None:
        yield document.problem(f"{record_type.code} 没有这一字段 no such field: {name}", *place)
    elif field.clinical:
        yield document.problem(f"临床字段不参与比对 a clinical field is never compared: {name}", *place)


def _day_problems(
    document: Document, place: tuple[Step, ...], check: Comparison, key: str, side: Side, record_type: RecordType
) -> Iterator[Problem]:
    """What is waited for, or put in order, has a day."""
    needed = check.kind == "order" or key == UNLESS or (key == LEFT and (check.grace_days or check.unless))
    field = record_type.by_name.get(side.at or record_type.event_date)
    if needed and (field is None or field.type not in _DAYS):
        yield document.problem(f"没有日期 has no day: {side.type}", *place, "at")


def _compared_problems(document: Document, index: int, check: Comparison, findings: Findings) -> Iterator[Problem]:
    for number, pair in enumerate(check.compared):
        for left in check.left:
            for right in check.right:
                place = ("checks", index, "compared", number)
                yield from _pair_problems(
                    document, place, pair, findings.expanded[left.type], findings.expanded[right.type]
                )
    for side in check.left if check.same else ():
        for name in check.same:
            yield from known_field(document, findings.expanded[side.type], name, "checks", index, "same")


def _pair_problems(
    document: Document, place: tuple[Step, ...], pair: ComparedField, left: RecordType, right: RecordType
) -> Iterator[Problem]:
    yield from known_field(document, left, pair.left, *place, LEFT)
    yield from known_field(document, right, pair.right, *place, RIGHT)
    one, other = left.by_name.get(pair.left), right.by_name.get(pair.right)
    for code in (*pair.equivalent, *(code for codes in pair.equivalent.values() for code in codes)):
        if not _PLAIN.match(code):
            yield document.problem(f"只能是字母、数字 only letters and digits: {code}", *place, "equivalent")
    if one and other and not _comparable(one, other, pair):
        yield document.problem(
            f"两个字段不可比，代码集不同时须写 equivalent not comparable: {pair.left}, {pair.right}", *place, RIGHT
        )


def _comparable(one: Field, other: Field, pair: ComparedField) -> bool:
    if one.type in ("date", "datetime") and other.type in ("date", "datetime"):
        return True
    return one.type == other.type and (one.code_set == other.code_set or bool(pair.equivalent))


def _hunting_problems(document: Document, index: int, check: Comparison, findings: Findings) -> Iterator[Problem]:
    """Of a birth only the child is looked at, and never next to anybody's marriage."""
    known = [(side, findings.expanded[side.type]) for side in check.sides if side.type in findings.expanded]
    births = [side for side, record_type in known if any(role.role == "child" for role in record_type.people)]
    for side in births:
        if side.role != "child":
            yield document.problem(
                "出生信息只比对新生儿本人 of a birth only the child is compared", "checks", index, "code"
            )
    asked = {side.type for side, _ in known} | {name for side, _ in known for name in side.fields}
    asked |= {name for pair in check.compared for name in (pair.left, pair.right)}
    if births and any(_ABOUT_MARRIAGE & set(name.split("_")) for name in asked):
        yield document.problem("出生信息不与婚姻信息比对 births are not held against marriage", "checks", index, "code")
