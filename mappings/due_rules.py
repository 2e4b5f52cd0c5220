"""What must hold in due.toml: record types that exist, days of a month, and who owes a type may send it."""

from __future__ import annotations

from collections.abc import Iterator

from mappings.catalogue import RecordType
from mappings.documents import Document, Problem, Step
from mappings.due_shapes import DueRules, TypeDue

LONGEST = 60  # days


def due_problems(
    document: Document, rules: DueRules, record_types: dict[str, RecordType], kinds: dict[str, str]
) -> Iterator[Problem]:
    """Every problem of the file, in its order. ``kinds``: the organisations that may be named, and their kinds."""
    yield from day_problems(document, rules.usual.asked_before, "usual", "asked_before")
    yield from day_problems(document, rules.usual.due_after, "usual", "due_after")
    for code, due in rules.record_types.items():
        if code not in record_types:
            yield document.problem(f"没有这一信息类别 unknown record type: {code}", "record_types", code)
        else:
            yield from _type_problems(document, record_types[code], due, kinds)


def day_problems(document: Document, days: int | None, *place: Step) -> Iterator[Problem]:
    if days is not None and not 0 <= days <= LONGEST:
        yield document.problem(f"须在 0 与 {LONGEST} 之间 must be between 0 and {LONGEST}: {days}", *place)


def _type_problems(
    document: Document, record_type: RecordType, due: TypeDue, kinds: dict[str, str]
) -> Iterator[Problem]:
    place = ("record_types", record_type.code)
    yield from day_problems(document, due.due_after, *place, "due_after")
    for one in due.owed_by:
        if not {one, kinds.get(one, one)} & {*record_type.sources}:
            yield document.problem(f"不能报送这一类别 may not send this record type: {one}", *place, "owed_by")
