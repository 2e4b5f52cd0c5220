"""Samples of an effect as the effect page shows them: what was, what it becomes, which fields change; masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from admin.error_table import show_refusal
from admin.language import Language, titled
from admin.words import OUTCOMES
from hub.registry.areas import AreaIndex
from hub.registry.masking import View, mask_field
from mappings.catalogue import Catalogue, Field, RecordType

_MOST_VALUES = 8  # of a row that does not differ from anything


class ShownField(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a sample; ``before`` is "" where there was nothing."""

    title: str
    before: str
    after: str
    changed: bool


class ShownSample(msgspec.Struct, frozen=True, kw_only=True):
    """One row: its number in the sheet, whose it is, and its fields that matter."""

    sheet_row: int
    fields: list[ShownField]


class ShownOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The samples of one outcome."""

    outcome: str
    title: str
    samples: list[ShownSample]


def show_samples(
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
    catalogue: Catalogue,
    record_type: RecordType,
    areas: AreaIndex,
    language: Language,
    *,
    own: bool,
) -> list[ShownOutcome]:
    """The sender sees its rows with numbers and addresses masked, as on the error page; anyone else first characters."""
    view: View = "own" if own else "oversight"
    showing = _Showing(catalogue, record_type, areas, language, view)
    return [
        ShownOutcome(outcome=outcome, title=OUTCOMES[outcome], samples=[showing.sample(one) for one in found])
        for outcome, found in samples.items()
    ]


def show_brake(waiting: Mapping[str, Any] | None, catalogue: Catalogue, language: Language) -> list[tuple[str, str]]:
    """Why it waits: titles and sentences."""
    told = [show_refusal(reason, catalogue, language) for reason in (waiting or {}).get("reasons", [])]
    return [(one.title, one.message) for one in told]


class _Showing:
    """One record type in one language for one view."""

    def __init__(
        self, catalogue: Catalogue, record_type: RecordType, areas: AreaIndex, language: Language, view: View
    ) -> None:
        self._catalogue, self._fields, self._areas = catalogue, record_type.plain_fields, areas
        self._language, self._view = language, view

    def sample(self, sample: Mapping[str, Any]) -> ShownSample:
        before, after = sample["before"] or {}, sample["after"] or {}
        shown = [self._field(field, before, after) for field in self._fields]
        filled = [each for each in shown if each.before or each.after]
        named = [each for each in filled if not each.changed] if before and after else filled
        changed = [each for each in filled if each.changed] if before and after else []
        few = named[: max(2, _MOST_VALUES - len(changed))]
        return ShownSample(sheet_row=sample["sheet_row"], fields=[*few, *changed])

    def _field(self, field: Field, before: Mapping[str, Any], after: Mapping[str, Any]) -> ShownField:
        was, becomes = before.get(field.name), after.get(field.name)
        return ShownField(
            title=titled(field.title, field.title_en, self._language),
            before=self._value(was, field),
            after=self._value(becomes, field),
            changed=bool(before) and bool(after) and was != becomes,
        )

    def _value(self, value: Any, field: Field) -> str:
        shown = mask_field(value, field, self._view)
        if field.type == "area":
            return self._areas.full_name(shown)
        codes = self._catalogue.code_sets.get(field.code_set)
        if codes is None or shown != str(value):
            return shown
        titles = {code.value: titled(code.title, code.title_en, self._language) for code in codes.codes}
        return titles.get(shown, shown)
