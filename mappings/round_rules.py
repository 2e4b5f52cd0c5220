"""What must hold in rounds.toml: record types, roles, fields, codes and organisations that exist."""

from __future__ import annotations

from collections.abc import Iterator

from mappings.catalogue import RecordType
from mappings.documents import Document, Problem, Step
from mappings.round_shapes import Reported, RoundRules, Standing


def round_problems(
    document: Document, rules: RoundRules, record_types: dict[str, RecordType], kinds: dict[str, str]
) -> Iterator[Problem]:
    """Every problem of the file, in its order. ``kinds``: the organisations that may be named."""
    for code in rules.never_asked:
        if code not in record_types:
            yield document.problem(f"没有这一信息类别 unknown record type: {code}", "never_asked")
    for place, one in enumerate(rules.standing):
        yield from _standing_problems(document, one, record_types, "standing", place)
    for place, told in enumerate(rules.reported):
        yield from _reported_problems(document, told, record_types, kinds, "reported", place)


def _standing_problems(
    document: Document, one: Standing, record_types: dict[str, RecordType], *place: Step
) -> Iterator[Problem]:
    known = record_types.get(one.record_type)
    if known is None:
        yield document.problem(f"没有这一信息类别 unknown record type: {one.record_type}", *place, "record_type")
        return
    role = next((each for each in known.people if each.role == one.role), None)
    if role is None:
        yield document.problem(f"没有这一角色 unknown role: {one.role}", *place, "role")
    elif one.does == "arrives" and not role.area_fields:
        yield document.problem(f"没有区划，不能表示居住 the role has no area: {one.role}", *place, "does")
    plain = {field.name: field for field in known.plain_fields}
    if one.date and (one.date not in plain or plain[one.date].type not in ("date", "datetime", "month")):
        yield document.problem(f"不是日期字段 not a field with a date: {one.date}", *place, "date")
    for name in one.only:
        if name not in plain or plain[name].type != "code":
            yield document.problem(f"不是代码字段 not a coded field: {name}", *place, "only")


def _reported_problems(
    document: Document, told: Reported, record_types: dict[str, RecordType], kinds: dict[str, str], *place: Step
) -> Iterator[Problem]:
    for code in (told.record_type, *told.expected):
        if code not in record_types:
            yield document.problem(f"没有这一信息类别 unknown record type: {code}", *place, "record_type")
    for organisation in told.organisations:
        if organisation not in kinds:
            yield document.problem(f"没有这一单位 unknown organisation: {organisation}", *place, "organisations")
