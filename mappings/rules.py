"""What must hold inside record types and code sets; each rule yields the problems it finds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mappings.attribute_rules import attribute_problems
from mappings.brake_rules import brake_problems
from mappings.catalogue import RecordType
from mappings.comparison_rules import comparison_problems
from mappings.data_catalogue_rules import data_catalogue_problems
from mappings.documents import Document, Problem
from mappings.due_rules import due_problems
from mappings.error_rules import row_error_problems
from mappings.expansion import PARTS, prefix_of
from mappings.findings import Findings
from mappings.mapping_rules import mapping_problems
from mappings.matching_rules import matching_problems
from mappings.quality_rules import quality_problems
from mappings.round_rules import round_problems
from mappings.sources import CodeSetSource, FieldSource, PersonSource, RecordTypeSource
from mappings.timeline_rules import timeline_problems

SAFE_NAME = re.compile(r"^[a-z][a-z0-9_]{0,40}$")
RESERVED_BY_SQL = """
all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
current_date current_role current_time current_user default deferrable desc distinct do else end except false
fetch for foreign from grant group having in initially intersect into lateral leading limit localtime not null
offset on only or order placing primary references returning select session_user some symmetric table then to
trailing true union unique user using variadic when where window with
"""
RESERVED_BY_THE_HUB = """
record_id version source record_key voided submission_id row_no recorded_at content_digest areas
sheet sheet_row section change_kind held new_record sealed
"""
SQL_WORDS = frozenset(RESERVED_BY_SQL.split())
ENVELOPE = frozenset(RESERVED_BY_THE_HUB.split())
IDENTIFIER_KINDS = ("id_no", "birth_cert")
EVENT_TYPES = ("date", "datetime", "month")


def problems_of(findings: Findings) -> Iterator[Problem]:
    """Every problem in what was read, record types first."""
    for document, source in findings.record_types:
        yield from record_type_problems(document, source, findings)
    for document, code_set in findings.code_sets:
        yield from code_set_problems(document, code_set)
    for document, mapping in findings.mappings:
        yield from mapping_problems(document, mapping, findings)
    for document, kinds in findings.row_errors:
        yield from row_error_problems(document, kinds)
    for document, brake in findings.brakes:
        yield from brake_problems(document, brake, set(findings.expanded))
    for document, comparisons in findings.comparisons:
        yield from comparison_problems(document, comparisons, findings)
    for document, quality in findings.qualities:
        yield from quality_problems(document, quality, findings)
    for document, attributes in findings.attributes:
        yield from attribute_problems(document, attributes, findings)
    for document, timeline in findings.timelines:
        yield from timeline_problems(document, timeline, findings.expanded)
    for document, rounds in findings.rounds:
        yield from round_problems(document, rounds, findings.expanded, findings.kinds)
    for document, dues in findings.dues:
        yield from due_problems(document, dues, findings.expanded, findings.kinds)
    for document, entries in findings.entries:
        yield from data_catalogue_problems(document, entries, findings.expanded, findings.organisation_kinds)
    for document, matching in findings.matching:
        yield from matching_problems(document, matching)
    yield from repeated_types(findings)
    yield from unmapped_sources(findings)


def record_type_problems(document: Document, source: RecordTypeSource, findings: Findings) -> Iterator[Problem]:
    expanded = findings.expanded[source.code]
    if source.code != Path(document.file).stem:
        yield document.problem("与文件名不同 differs from the file name", "code")
    yield from person_problems(document, source)
    yield from name_problems(document, source, expanded)
    yield from code_set_references(document, source, findings)
    yield from key_problems(document, source, expanded)
    yield from key_missing_problems(document, source, findings)
    yield from source_problems(document, source, expanded, findings)


def person_problems(document: Document, source: RecordTypeSource) -> Iterator[Problem]:
    """Parts are known, and what refers to a part refers to one the role has."""
    for index, person in enumerate(source.people):
        for part in person.parts:
            if part not in PARTS:
                yield document.problem(f"没有这一人员要素 no such person part: {part}", "people", index, "parts")
        for key, parts in (("required_parts", person.required_parts), ("part_titles", tuple(person.part_titles))):
            for part in parts:
                if part not in person.parts:
                    yield document.problem(f"不在 parts 之内 not among parts: {part}", "people", index, key)
        if person.required_parts and not person.required:
            yield document.problem(
                "可缺的人员不能有必填要素 an optional person cannot have required parts",
                "people",
                index,
                "required_parts",
            )
        yield from area_problems(document, index, person)


def area_problems(document: Document, index: int, person: PersonSource) -> Iterator[Problem]:
    for part in person.area_parts:
        if part not in person.parts or part not in PARTS or PARTS[part].type != "area":
            yield document.problem(
                f"不是该人员的区划字段 not an area field of this person: {part}", "people", index, "area_parts"
            )


def name_problems(document: Document, source: RecordTypeSource, expanded: RecordType) -> Iterator[Problem]:
    """Names are safe as SQL columns, unlike each other, and unlike the hub's own columns."""
    if unsafe(source.code):
        yield document.problem(f"名称不能用作表名 unsafe name: {source.code}", "code")
    for index, person in enumerate(source.people):
        if unsafe(person.role):
            yield document.problem(f"名称不能用作列名 unsafe name: {person.role}", "people", index, "role")
    reserved = ENVELOPE | {f"{person.role}_{end}" for person in source.people for end in ("ref", "area")}
    taken = Counter(field.name for field in expanded.fields if field.part)
    for index, field in enumerate(source.fields):
        taken[field.name] += 1
        if unsafe(field.name):
            yield document.problem(f"名称不能用作列名 unsafe name: {field.name}", "fields", index, "name")
        if field.name in reserved:
            yield document.problem(f"枢纽自用的列名 a column of the hub itself: {field.name}", "fields", index, "name")
        if taken[field.name] > 1:
            yield document.problem(f"字段重名 duplicate field name: {field.name}", "fields", index, "name")
    yield from repeated_roles(document, source)


def repeated_roles(document: Document, source: RecordTypeSource) -> Iterator[Problem]:
    roles = [person.role for person in source.people]
    for index, role in enumerate(roles):
        if role in roles[:index]:
            yield document.problem(f"人员角色重复 duplicate role: {role}", "people", index, "role")


def unsafe(name: str) -> bool:
    return not SAFE_NAME.match(name) or name in SQL_WORDS


def code_set_references(document: Document, source: RecordTypeSource, findings: Findings) -> Iterator[Problem]:
    for index, field in enumerate(source.fields):
        yield from code_set_reference(document, index, field, findings)
    for index, person in enumerate(source.people):
        for part in person.parts:
            wanted = PARTS[part].code_set if part in PARTS else ""
            if wanted and wanted not in findings.known_code_sets:
                yield document.problem(f"没有这一代码集 unknown code set: {wanted}", "people", index, "parts")


def code_set_reference(document: Document, index: int, field: FieldSource, findings: Findings) -> Iterator[Problem]:
    if (field.type == "code") != bool(field.code_set):
        yield document.problem(
            "code 类型与 code_set 须同时出现 type code and code_set go together", "fields", index, "code_set"
        )
    elif field.code_set and field.code_set not in findings.known_code_sets:
        yield document.problem(f"没有这一代码集 unknown code set: {field.code_set}", "fields", index, "code_set")


def key_missing_problems(document: Document, source: RecordTypeSource, findings: Findings) -> Iterator[Problem]:
    known = {code for _, kinds in findings.row_errors for code in kinds}
    if source.key_missing and source.key_missing not in known:
        yield document.problem(f"没有这一差错代码 unknown row error: {source.key_missing}", "key_missing")


def key_problems(document: Document, source: RecordTypeSource, expanded: RecordType) -> Iterator[Problem]:
    """Keys, event date and identifiers are fields, and none of them clinical."""
    references: list[tuple[str, tuple[str | int, ...]]] = [(name, ("natural_key",)) for name in source.natural_key]
    if source.event_date:
        references.append((source.event_date, ("event_date",)))
    for index, person in enumerate(source.people):
        references += [(one.field, ("people", index, "identifiers")) for one in person.identifiers]
    for name, place in references:
        field = expanded.by_name.get(name)
        if field is None:
            yield document.problem(f"没有这一字段 no such field: {name}", *place)
        elif field.clinical:
            yield document.problem(f"临床字段不能用在此处 a clinical field cannot stand here: {name}", *place)
        elif place == ("event_date",) and field.type not in EVENT_TYPES:
            yield document.problem(f"不是日期字段 not a date: {name}", *place)
    for index, person in enumerate(source.people):
        yield from identifier_kinds(document, index, person)
    if not source.natural_key:
        yield document.problem("不能为空 must not be empty", "natural_key")


def identifier_kinds(document: Document, index: int, person: PersonSource) -> Iterator[Problem]:
    for one in person.identifiers:
        if one.kind not in IDENTIFIER_KINDS:
            yield document.problem(
                f"没有这类标识 unknown kind of identifier: {one.kind}", "people", index, "identifiers"
            )
    if "id_no" in person.parts and prefix_of(person) + "id_no" not in [one.field for one in person.identifiers]:
        yield document.problem(
            "公民身份号码未列为标识 id_no is not among the identifiers", "people", index, "identifiers"
        )


def source_problems(
    document: Document, source: RecordTypeSource, expanded: RecordType, findings: Findings
) -> Iterator[Problem]:
    """Sources are known; clinical fields come from care and health alone."""
    for sender in source.sources:
        if sender not in findings.kinds:
            yield document.problem(f"没有这一单位 unknown organisation: {sender}", "sources")
        elif expanded.clinical_fields and findings.kinds[sender] != "care" and sender != "health":
            yield document.problem(f"该单位不得报送临床信息 may not send clinical fields: {sender}", "sources")
    if not source.sources:
        yield document.problem("不能为空 must not be empty", "sources")
    if source.restricted and {findings.kinds.get(sender) for sender in source.sources} != {"care"}:
        yield document.problem("只限医疗照护单位报送 only organisations of kind care may send it", "sources")


def code_set_problems(document: Document, source: CodeSetSource) -> Iterator[Problem]:
    """A word means one code: values, titles and aliases of a set never collide."""
    if unsafe(Path(document.file).stem):
        yield document.problem("文件名不能用作代码集名 unsafe file name")
    meaning: dict[str, str] = {}
    for index, code in enumerate(source.codes):
        for key, words in (("value", (code.value,)), ("title", (code.title,)), ("aliases", code.aliases)):
            for word in words:
                owner = meaning.setdefault(word, code.value)
                if owner != code.value or (key == "value" and code.value in [c.value for c in source.codes[:index]]):
                    yield document.problem(f"重复 duplicate, already means {owner}: {word}", "codes", index, key)
        if len(set(code.aliases)) != len(code.aliases):
            yield document.problem("别名重复 duplicate alias", "codes", index, "aliases")


def repeated_types(findings: Findings) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for document, source in findings.record_types:
        if owners.setdefault(source.code, document.file) != document.file:
            yield document.problem(f"信息类别重复 duplicate record type: {source.code}", "code")
    places: dict[tuple[str, str], str] = {}
    for document, mapping in findings.mappings:
        place = (mapping.organisation, mapping.record_type)
        if places.setdefault(place, document.file) != document.file:
            yield document.problem(f"与 {places[place]} 重复 duplicates it", "record_type")


def unmapped_sources(findings: Findings) -> Iterator[Problem]:
    """Every enabled type can be sent by each of its sources."""
    owners = {(mapping.organisation, mapping.record_type) for _, mapping in findings.mappings}
    of_kind = {(findings.kinds.get(owner, owner), code) for owner, code in owners}
    for document, source in findings.record_types:
        for sender in source.sources if source.enabled else ():
            if (sender, source.code) not in owners | of_kind:
                yield document.problem(f"该单位没有映射 no mapping for: {sender}", "sources")
