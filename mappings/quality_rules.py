"""What must hold in quality.toml: fields and codes that exist, nothing clinical, targets that are shares."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from mappings.catalogue import QualityRules, RecordType, TypeQuality
from mappings.documents import Document, Problem
from mappings.findings import Findings
from mappings.sources import QualitySource, TypeQualitySource


def quality_problems(document: Document, source: QualitySource, findings: Findings) -> Iterator[Problem]:
    """Every problem of the file, in its order."""
    yield from _code_problems(document, source, findings)
    yield from _target_problems(document, source)
    yield from _verdict_problems(document, source, findings)
    for code, counted in source.record_types.items():
        record_type = findings.expanded.get(code)
        if record_type is None:
            yield document.problem(f"没有这一信息类别 unknown record type: {code}", "record_types", code)
        else:
            yield from _type_problems(document, record_type, counted)


def quality_rules(source: QualitySource) -> QualityRules:
    """The file as the figures use it."""
    types = {code: TypeQuality(items=one.items, days=one.days) for code, one in source.record_types.items()}
    return QualityRules(
        logic=source.logic,
        targets=msgspec.structs.asdict(source.targets),
        confirmed=source.verdicts.confirmed,
        contradicted=source.verdicts.contradicted,
        by_type=types,
    )


def _code_problems(document: Document, source: QualitySource, findings: Findings) -> Iterator[Problem]:
    known = {code for _, kinds in findings.row_errors for code in kinds}
    for code in source.logic:
        if code not in known:
            yield document.problem(f"没有这一差错代码 unknown row error: {code}", "logic")
    if not source.logic or len(set(source.logic)) != len(source.logic):
        yield document.problem("为空或重复 empty or repeated", "logic")


def _target_problems(document: Document, source: QualitySource) -> Iterator[Problem]:
    for name, value in msgspec.structs.asdict(source.targets).items():
        if not 0 < value <= 1:
            yield document.problem(f"须在 0 与 1 之间 must be between 0 and 1: {value}", "targets", name)


def _verdict_problems(document: Document, source: QualitySource, findings: Findings) -> Iterator[Problem]:
    verdict = findings.known_code_sets.get("verdict")
    known = {one.value for one in verdict.codes} if verdict else set()
    for name, codes in msgspec.structs.asdict(source.verdicts).items():
        for code in codes:
            if code not in known:
                yield document.problem(f"没有这一核对结果 unknown verdict: {code}", "verdicts", name)
    if set(source.verdicts.confirmed) & set(source.verdicts.contradicted):
        yield document.problem("同一结果不能两属 a verdict cannot be both", "verdicts", "contradicted")


def _type_problems(document: Document, record_type: RecordType, counted: TypeQualitySource) -> Iterator[Problem]:
    place = ("record_types", record_type.code)
    for name in counted.items:
        field = record_type.by_name.get(name)
        if field is None:
            yield document.problem(f"没有这一字段 no such field: {name}", *place, "items")
        elif field.clinical:
            yield document.problem(f"临床字段不能计入 a clinical field cannot count: {name}", *place, "items")
    if not counted.items or len(set(counted.items)) != len(counted.items):
        yield document.problem("为空或重复 empty or repeated", *place, "items")
    if counted.days is not None and counted.days < 1:
        yield document.problem(f"须为正整数 must be 1 or more: {counted.days}", *place, "days")
    if counted.days is not None and not record_type.event_date:
        yield document.problem("没有发生日期 the type has no event date", *place, "days")
