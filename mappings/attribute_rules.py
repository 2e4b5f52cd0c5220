"""What must hold in attributes.toml: every source is a field that exists, of that person, of that kind, and not clinical."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mappings.catalogue import Attribute, Field, RecordType
from mappings.documents import Document, Problem
from mappings.findings import Findings
from mappings.sources import AttributeSourceLine, AttributesSource, AttributeTable

NAME = re.compile(r"^[a-z][a-z0-9_]{0,40}$")
PLAIN_CODE = re.compile(r"^[0-9A-Za-z_-]+$")
EVENT_TYPES = ("date", "datetime", "month")
ALIKE = {"date": ("date", "datetime"), "text": ("text", "name"), "name": ("name", "text")}  # types of field


class Place(NamedTuple):
    """One source of one attribute, and where it stands."""

    document: Document
    attribute: Attribute
    number: int
    source: AttributeSourceLine
    line: int

    def problem(self, reason: str, key: str) -> Problem:
        return self.document.problem(reason, "attributes", self.number, "sources", self.line, key)


def attribute_problems(document: Document, source: AttributesSource, findings: Findings) -> Iterator[Problem]:
    names = [attribute.name for attribute in source.attributes]
    for number, attribute in enumerate(source.attributes):
        if not NAME.match(attribute.name):
            yield document.problem(f"名称不能用 unsafe name: {attribute.name}", "attributes", number, "name")
        if attribute.name in names[:number]:
            yield document.problem(f"属性重名 duplicate attribute: {attribute.name}", "attributes", number, "name")
        if not attribute.sources:
            yield document.problem("不能为空 must not be empty", "attributes", number, "sources")
        yield from _kind_problems(document, number, attribute, findings)
        for line, one in enumerate(attribute.sources):
            yield from _source_problems(Place(document, attribute, number, one, line), findings)


def _kind_problems(document: Document, number: int, attribute: AttributeTable, findings: Findings) -> Iterator[Problem]:
    if attribute.sensitivity == "clinical":
        yield document.problem("临床内容不作人员属性 a clinical attribute", "attributes", number, "sensitivity")
    if (attribute.type == "code") != bool(attribute.code_set):
        reason = "code 类型与 code_set 须同时出现 type code and code_set go together"
        yield document.problem(reason, "attributes", number, "code_set")
    elif attribute.code_set and attribute.code_set not in findings.known_code_sets:
        yield document.problem(
            f"没有这一代码集 unknown code set: {attribute.code_set}", "attributes", number, "code_set"
        )


def _source_problems(place: Place, findings: Findings) -> Iterator[Problem]:
    """The first thing that makes the rest meaningless stops here: no such type, one of care alone, no such role."""
    record_type = findings.expanded.get(place.source.record_type)
    if record_type is None:
        yield place.problem(f"没有这一信息类别 unknown record type: {place.source.record_type}", "record_type")
    elif record_type.restricted:
        yield place.problem(f"仅限医疗照护 a record type of care alone: {record_type.code}", "record_type")
    elif place.source.role not in {role.role for role in record_type.people}:
        yield place.problem(f"没有这一人员角色 unknown role: {place.source.role}", "role")
    else:
        yield from _said_problems(place, record_type, findings)
        yield from _condition_problems(place, record_type, findings)
        if place.source.organisation and place.source.organisation not in findings.kinds:
            yield place.problem(f"没有这一单位 unknown organisation: {place.source.organisation}", "organisation")


def _said_problems(place: Place, record_type: RecordType, findings: Findings) -> Iterator[Problem]:
    """What the source says: a field of this person, a constant code, or another person of the record."""
    source, attribute = place.source, place.attribute
    if sum(map(bool, (source.field, source.value, source.person))) != 1:
        yield place.problem("field、value、person 须恰有一项 exactly one of field, value, person", "record_type")
    elif source.field:
        yield from _field_problems(place, record_type)
    elif source.value:
        yield from _code_problems(place, (source.value,), attribute.code_set, "value", findings)
    elif attribute.type != "person" or source.person not in {role.role for role in record_type.people} - {source.role}:
        yield place.problem(f"不是另一人员角色 not another person of the record: {source.person}", "person")


def _field_problems(place: Place, record_type: RecordType) -> Iterator[Problem]:
    attribute = place.attribute
    problem = _reference_problem(place, record_type, place.source.field, "field")
    if problem is not None:
        yield problem
        return
    field = record_type.by_name[place.source.field]
    if field.type not in ALIKE.get(attribute.type, (attribute.type,)):
        yield place.problem(f"类型不同 another type: {field.type}", "field")
    elif field.code_set != attribute.code_set:
        yield place.problem(f"代码集不同 another code set: {field.code_set}", "field")


def _condition_problems(place: Place, record_type: RecordType, findings: Findings) -> Iterator[Problem]:
    """Since when, and when not: by fields that exist."""
    source = place.source
    for key, name in (("date", source.date), ("unless", source.unless)):
        problem = _reference_problem(place, record_type, name, key) if name else None
        if problem is not None:
            yield problem
        elif key == "date" and name and record_type.by_name[name].type not in EVENT_TYPES:
            yield place.problem(f"不是日期字段 not a date: {name}", key)
    for name, codes in source.only.items():
        problem = _reference_problem(place, record_type, name, "only")
        if problem is not None:
            yield problem
        else:
            yield from _code_problems(place, codes, record_type.by_name[name].code_set, "only", findings)


def _reference_problem(place: Place, record_type: RecordType, name: str, key: str) -> Problem | None:
    """A field is named that is there, that is not clinical, and that does not speak of somebody else."""
    field: Field | None = record_type.by_name.get(name)
    if field is None:
        return place.problem(f"没有这一字段 no such field: {name}", key)
    if field.clinical:
        return place.problem(f"临床字段不作人员属性 a clinical field: {name}", key)
    if field.role and field.role != place.source.role:
        return place.problem(f"是另一人员的字段 a field of another person: {name}", key)
    return None


def _code_problems(
    place: Place, codes: tuple[str, ...], code_set: str, key: str, findings: Findings
) -> Iterator[Problem]:
    known = findings.known_code_sets.get(code_set)
    values = {code.value for code in known.codes} if known else set()
    for code in codes:
        if code not in values or not PLAIN_CODE.match(code):
            yield place.problem(f"代码集中没有 not in the code set {code_set}: {code}", key)
