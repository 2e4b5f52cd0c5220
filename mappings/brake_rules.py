"""What must hold in brake.toml: shares are shares, counts are counts, and every record type named is one."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from mappings.catalogue import BrakeRule, BrakeRules
from mappings.documents import Document, Problem, Step
from mappings.sources import BrakeSource, BrakeTypeSource


def brake_problems(document: Document, source: BrakeSource, record_types: set[str]) -> Iterator[Problem]:
    yield from _measure_problems(document, msgspec.structs.asdict(source.usual), "usual")
    for code, rule in source.record_types.items():
        if code not in record_types:
            yield document.problem(f"没有这一信息类别 unknown record type: {code}", "record_types", code)
        yield from _measure_problems(document, _named(rule), "record_types", code)


def brake_rules(source: BrakeSource) -> BrakeRules:
    """Each record type's own rule, where it has one, over the usual one."""
    usual = BrakeRule(**msgspec.structs.asdict(source.usual))
    own = {code: msgspec.structs.replace(usual, **_named(rule)) for code, rule in source.record_types.items()}
    return BrakeRules(usual=usual, by_type=own)


def _named(rule: BrakeTypeSource) -> dict[str, int | float]:
    return {name: value for name, value in msgspec.structs.asdict(rule).items() if value is not None}


def _measure_problems(document: Document, measures: dict[str, int | float], *place: Step) -> Iterator[Problem]:
    for name, value in measures.items():
        if name.endswith("_share") and not 0 < value <= 1:
            yield document.problem(f"须在 0 与 1 之间 must be between 0 and 1: {value}", *place, name)
        elif not name.endswith("_share") and value < 1:
            yield document.problem(f"须为正整数 must be 1 or more: {value}", *place, name)
