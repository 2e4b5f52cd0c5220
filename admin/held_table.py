"""Held rows, their reasons and their candidates as the pages show them: words for codes, ages in days, values masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from admin.error_table import ErrorLine, show_errors
from admin.language import N_, Language, titled
from hub.decisions.candidates import Candidate
from hub.decisions.held_row import HeldRow
from hub.decisions.waiting import WaitingCount, WaitingItem
from hub.exchange.held_cells import Cell
from hub.people.matching import explain
from hub.registry.areas import AreaIndex
from hub.registry.masking import mask_field
from mappings.catalogue import Catalogue

WHAT_WAITS = {
    "held": N_("待核行"),
    "submission": N_("待处理的报送"),
    "pair": N_("疑似同一人"),
    "comparison": N_("比对"),
}
RELEASES = {
    "as_it_is": N_("可以采纳"),
    "empty": N_("采纳后此格为空"),
    "with_person": N_("须先确定所指人员"),
    "never": N_("须更正后重报"),
}
ROW_STATES = {
    "waiting": N_("待核"),
    "released": N_("已采纳"),
    "refused": N_("不采纳"),
    "returned": N_("已退回重报或撤销"),
}
DECIDED_BECAUSE = {
    "came-back": N_("随更正的表重新报送"),
    "taken-back": N_("原报送已撤销"),
    "other-taken": N_("同一记录采纳了另一行"),
}


class ShownItem(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list; ``link`` is where it is decided, "" where it has no page."""

    item: WaitingItem
    kind: str
    what: str
    reasons: list[str]
    link: str
    tick: str  # name of its check box; "" for what is not decided in bulk


class ShownCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody the row may mean."""

    candidate: Candidate
    area: str
    features: list[tuple[str, str]]


class ShownReason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason: the row error in words, and what a person may decide of it."""

    line: ErrorLine
    release: str


def show_items(items: Sequence[WaitingItem], catalogue: Catalogue, language: Language) -> list[ShownItem]:
    return [
        ShownItem(
            item=one,
            kind=WHAT_WAITS[one.kind],
            what=title_of(one.kind, one.what, catalogue, language),
            reasons=[_reason(code, catalogue, language) for code in one.codes] if one.kind == "held" else [],
            link=_link(one),
            tick=f"row-{one.place}-{one.row_no}" if one.kind == "held" and not one.under_way else "",
        )
        for one in items
    ]


def title_of(kind: str, what: str, catalogue: Catalogue, language: Language) -> str:
    """A record type's title, or that of a check; of a pair of persons there is nothing to add."""
    if kind == "comparison":
        check = catalogue.comparisons.get(what)
        return titled(check.title, check.title_en, language) if check else what
    known = catalogue.record_types.get(what)
    return titled(known.title, known.title_en, language) if known else ""


def show_totals(counts: Sequence[WaitingCount]) -> dict[str, int]:
    """Kind -> how many in all."""
    return {kind: sum(one.how_many for one in counts if one.kind == kind) for kind in WHAT_WAITS}


def show_held_reasons(
    row: HeldRow, errors: Sequence[Row[Any]], catalogue: Catalogue, language: Language
) -> list[ShownReason]:
    """The row errors of the row, each with what can be done about it; notes and warnings beside them."""
    record_type = catalogue.record_types[row.record_type]
    releases = {(one.code, one.field): one.release for one in row.reasons}
    lines = show_errors(errors, catalogue, record_type, language, own=True)
    return [
        ShownReason(line=line, release=releases.get((error.code, error.field), ""))
        for line, error in zip(lines, errors, strict=True)
    ]


def show_cells(cells: Sequence[Cell], language: Language) -> list[tuple[str, str]]:
    """Titles and texts, numbers and addresses masked as on the error page."""
    return [
        (titled(one.field.title, one.field.title_en, language), mask_field(one.text, one.field, "own")) for one in cells
    ]


def show_candidates(
    found: Sequence[Candidate], catalogue: Catalogue, areas: AreaIndex, language: Language
) -> dict[str, list[ShownCandidate]]:
    """Role -> candidates, the likeliest first."""
    shown: dict[str, list[ShownCandidate]] = {}
    for one in found:
        area = areas.name_of.get(areas.current(one.home_area), "") if one.home_area is not None else ""
        features = _features(one.features, catalogue, language)
        shown.setdefault(one.role, []).append(ShownCandidate(candidate=one, area=area, features=features))
    return shown


def _features(features: Mapping[str, Any], catalogue: Catalogue, language: Language) -> list[tuple[str, str]]:
    weighed = {code: (str(level), float(weight)) for code, (level, weight) in features.items()}
    return [
        (titled(one.feature, one.feature_en, language), titled(one.level, one.level_en, language))
        for one in explain(weighed, catalogue.matching)
    ]


def _reason(code: str, catalogue: Catalogue, language: Language) -> str:
    kind = catalogue.row_errors.get(code)
    return titled(kind.title, kind.title_en, language) if kind else code


def _link(one: WaitingItem) -> str:
    links = {
        "held": f"/held/{one.receipt}/{one.row_no}",
        "submission": f"/submissions/{one.place}",
        "pair": f"/pairs/{one.place}",
        "comparison": f"/comparisons/{one.place}",
    }
    return links[one.kind]
