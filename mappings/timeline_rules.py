"""What must hold in timeline.toml: everybody's events are told, by fields that exist, and nothing of what stays in care."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from mappings.catalogue import RecordType
from mappings.documents import Document, Problem
from mappings.timeline_shapes import EntryRule, Family, TimelineRules

CLAUSE = re.compile(r"\[([^\[\]]*)\]")
NAMED = re.compile(r"\{(\w+)\}")
SENTENCES = ("says", "says_en", "entitlement", "entitlement_en", "obligation", "obligation_en")
Types = Mapping[str, RecordType]


def timeline_problems(document: Document, source: TimelineRules, types: Types) -> Iterator[Problem]:
    yield from _section_problems(document, source)
    for index, entry in enumerate(source.entries):
        record_type = types.get(entry.record_type)
        if record_type is None or record_type.restricted:
            yield _refused(document, record_type, entry.record_type, "entries", index)
        else:
            yield from _entry_problems(document, index, entry, record_type)
    for index, family in enumerate(source.families):
        yield from _family_problems(document, index, family, types)
    yield from _household_problems(document, source, types)
    yield from _untold(document, source, types)


def _refused(document: Document, known: RecordType | None, code: str, table: str, index: int) -> Problem:
    if known is None:
        return document.problem(f"没有这一信息类别 unknown record type: {code}", table, index, "record_type")
    reason = f"限医疗照护单位的类别不得列入 a type that stays in care is never told here: {code}"
    return document.problem(reason, table, index, "record_type")


def _section_problems(document: Document, source: TimelineRules) -> Iterator[Problem]:
    known = [section.code for section in source.sections]
    for index, code in enumerate(known):
        if code in known[:index]:
            yield document.problem(f"栏目重复 duplicate section: {code}", "sections", index, "code")
    for index, entry in enumerate(source.entries):
        if entry.section not in known:
            yield document.problem(f"没有这一栏目 unknown section: {entry.section}", "entries", index, "section")


def _entry_problems(document: Document, index: int, entry: EntryRule, record_type: RecordType) -> Iterator[Problem]:
    roles = {role.role for role in record_type.people}
    for key, named in (("roles", entry.roles), ("couple", entry.couple)):
        for role in named:
            if role not in roles:
                yield document.problem(f"没有这一人员角色 unknown role: {role}", "entries", index, key)
    for key in ("when", "per", "over_when_set", "over_when"):
        for field in getattr(entry, key):
            yield from _field_problems(document, index, key, field, record_type)
    for key in SENTENCES:
        yield from _sentence_problems(document, index, key, getattr(entry, key), record_type)
    for key in ("entitlement", "obligation"):
        if bool(getattr(entry, key)) != bool(getattr(entry, f"{key}_en")):
            yield document.problem("中英文须同时填写 say it in both languages", "entries", index, key)


def _sentence_problems(
    document: Document, index: int, key: str, sentence: str, record_type: RecordType
) -> Iterator[Problem]:
    outside = CLAUSE.sub("", sentence)
    if any(sign in outside for sign in "{}[]"):
        yield document.problem("字段须写在方括号内 a field stands in [brackets]", "entries", index, key)
    for clause in CLAUSE.findall(sentence):
        if not NAMED.search(clause):
            yield document.problem(f"方括号内没有字段 no field in: [{clause}]", "entries", index, key)
    for field in NAMED.findall(sentence):
        yield from _field_problems(document, index, key, field, record_type)


def _field_problems(document: Document, index: int, key: str, name: str, record_type: RecordType) -> Iterator[Problem]:
    field = record_type.by_name.get(name)
    if field is None:
        yield document.problem(f"没有这个字段 unknown field: {record_type.code}.{name}", "entries", index, key)
    elif field.clinical:
        yield document.problem(f"临床字段不得列入 a clinical field is never told: {name}", "entries", index, key)


def _family_problems(document: Document, index: int, family: Family, types: Types) -> Iterator[Problem]:
    record_type = types.get(family.record_type)
    if record_type is None or record_type.restricted:
        yield _refused(document, record_type, family.record_type, "families", index)
        return
    roles = {role.role for role in record_type.people}
    for key in ("child", "mother", "father"):
        if getattr(family, key) not in roles:
            yield document.problem(f"没有这一人员角色 unknown role: {getattr(family, key)}", "families", index, key)


def _household_problems(document: Document, source: TimelineRules, types: Types) -> Iterator[Problem]:
    if source.household is None:
        return
    record_type = types.get(source.household.record_type)
    if record_type is None or record_type.restricted or not record_type.people:
        yield document.problem("须为有人员的信息类别 must be a record type with people", "household", "record_type")
    elif source.household.field not in {field.name for field in record_type.plain_fields}:
        yield document.problem(f"没有这个字段 unknown field: {source.household.field}", "household", "field")


def _untold(document: Document, source: TimelineRules, types: Types) -> Iterator[Problem]:
    """Every role of every type that is switched on and leaves care has an entry without a condition."""
    always = {(entry.record_type, role) for entry in source.entries if not entry.when for role in entry.roles}
    for record_type in types.values():
        if record_type.enabled and not record_type.restricted:
            for role in record_type.people:
                if (record_type.code, role.role) not in always:
                    reason = f"未列入任何栏目 is in no section: {record_type.code}.{role.role}"
                    yield document.problem(reason, "entries")
