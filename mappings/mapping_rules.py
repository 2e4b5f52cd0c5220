"""What must hold inside a department's mapping: each column fills one known field, each header means one column."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from mappings.catalogue import Field, RecordType
from mappings.documents import Document, Problem
from mappings.due_rules import day_problems
from mappings.findings import Findings
from mappings.sources import ColumnSource, MappingSource

# Columns that fill no field of the record: what the row does (新增/更正/作废), and the village section it stands in.
ROW_FIELDS = ("change_kind", "section")
ENCODINGS = ("utf-8", "utf-8-sig", "gb18030", "utf-16")


def mapping_problems(document: Document, source: MappingSource, findings: Findings) -> Iterator[Problem]:
    if source.organisation not in findings.kinds:
        yield document.problem(f"没有这一单位 unknown organisation: {source.organisation}", "organisation")
    elif Path(document.file).parent.name != source.organisation:
        yield document.problem("与文件夹名不同 differs from the folder's name", "organisation")
    if source.encoding not in ENCODINGS:
        yield document.problem(f"没有这种编码 unknown encoding: {source.encoding}", "encoding")
    yield from day_problems(document, source.due_after, "due_after")
    record_type = findings.expanded.get(source.record_type)
    if record_type is None:
        yield document.problem(f"没有这一信息类别 unknown record type: {source.record_type}", "record_type")
        return
    if {source.organisation, findings.kinds.get(source.organisation)}.isdisjoint(record_type.sources):
        yield document.problem("该单位不报送这一类别 this organisation does not send this type", "organisation")
    yield from column_problems(document, source, record_type)
    yield from header_problems(document, source, record_type)
    yield from constant_problems(document, source, record_type, findings)
    yield from coverage_problems(document, source, record_type)


def column_problems(document: Document, source: MappingSource, record_type: RecordType) -> Iterator[Problem]:
    filled: set[str] = set()
    for index, column in enumerate(source.columns):
        if column.field not in record_type.by_name and column.field not in ROW_FIELDS:
            yield document.problem(f"没有这一字段 no such field: {column.field}", "columns", index, "field")
        if column.field in filled:
            yield document.problem(f"两列填同一字段 two columns fill {column.field}", "columns", index, "field")
        filled.add(column.field)


def header_problems(document: Document, source: MappingSource, record_type: RecordType) -> Iterator[Problem]:
    """A header is claimed once: by one column, or among the ignored, never among the dropped."""
    dropped = {header_key(header) for header in record_type.dropped_headers}
    owners: dict[str, int] = {}
    for index, column in enumerate(source.columns):
        for header in claims(column):
            if owners.setdefault(header, index) != index:
                yield document.problem(
                    f"表头已属另一列 header claimed by another column: {header}", "columns", index, "header"
                )
            if header in dropped:
                yield document.problem(
                    f"此表头一律不收 this header is always dropped: {header}", "columns", index, "header"
                )
    for header in source.ignored:
        if header_key(header) in owners:
            yield document.problem(f"表头已属某列 header claimed by a column: {header}", "ignored")


def claims(column: ColumnSource) -> list[str]:
    """The normalised headers this column answers to; under a group they are ``group.header``."""
    names = [header_key(header) for header in (column.header, *column.synonyms)]
    group = header_key(column.group)
    return [f"{group}.{name}" for name in names] if group else names


def header_key(header: str) -> str:
    """A header without width, spaces, line breaks and asterisks, as two clerks would call it the same."""
    return re.sub(r"[\s*:：]", "", unicodedata.normalize("NFKC", header)).lower()


def constant_problems(
    document: Document, source: MappingSource, record_type: RecordType, findings: Findings
) -> Iterator[Problem]:
    columns = {column.field for column in source.columns}
    for name, value in source.constants.items():
        field = record_type.by_name.get(name)
        if field is None:
            yield document.problem(f"没有这一字段 no such field: {name}", "constants", name)
        elif name in columns:
            yield document.problem(f"已有列填此字段 a column fills it already: {name}", "constants", name)
        elif field.type == "code" and value not in values_of(field, findings):
            yield document.problem(f"代码集中没有此值 not in the code set: {value}", "constants", name)


def values_of(field: Field, findings: Findings) -> set[str]:
    code_set = findings.known_code_sets.get(field.code_set)
    return {code.value for code in code_set.codes} if code_set else set()


def coverage_problems(document: Document, source: MappingSource, record_type: RecordType) -> Iterator[Problem]:
    """Required fields and the natural key have a column or a constant."""
    covered = {column.field for column in source.columns} | set(source.constants)
    wanted = [field.name for field in record_type.fields if field.required]
    for name in dict.fromkeys((*wanted, *record_type.natural_key)):
        if name not in covered:
            yield document.problem(f"必填字段没有对应列 no column for required field: {name}", "columns")
