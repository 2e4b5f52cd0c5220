"""Why a file as a whole cannot be read as its record type: columns missing, twice, another type's; or a question first."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hub.errors import ColumnsUnconfirmed, FileRefused
from hub.exchange.file_notes import question_params
from hub.exchange.header_matching import Names, Question, likely_header, question
from hub.exchange.layout import Cells, Layout, Vocabulary, find_layout, letter
from mappings.catalogue import Catalogue, Mapping, RecordType


class Refusals:
    """The sentences for one file of one record type, and what is asked where a person can help."""

    def __init__(
        self, record_type: RecordType, mapping: Mapping | None, catalogue: Catalogue, vocabulary: Vocabulary
    ) -> None:
        self.record_type, self.mapping, self.catalogue = record_type, mapping, catalogue
        self.vocabulary, self.names = vocabulary, Names(record_type, mapping)

    def refused(self, code: str, params: dict[str, object]) -> FileRefused:
        return FileRefused(self._detail(code, params), code=code, params=params)

    def missing_columns(self, missing: Sequence[str], layout: Layout, sheet: str) -> FileRefused:
        """A question where headers are nearly what is missing, else the columns' names."""
        header_row = layout.header_rows[-1] + 1 if layout.header_rows else 0
        asked = question(layout, missing, self.names, sheet, header_row)
        if asked is not None:
            return self._unconfirmed(asked)
        named = "、".join(self.names.titles[name] for name in missing)
        params: dict[str, object] = {"columns": named, "fields": list(missing), "sheet": sheet, "row": header_row}
        return self.refused("F_MISSING_COLUMN", params)

    def duplicate_header(self, layout: Layout, sheet: str) -> FileRefused:
        first, second = layout.repeated[0]
        letters = f"{letter(first.index)}、{letter(second.index)}"
        params: dict[str, object] = {
            "columns": f"{second.header}（{letters}）", "sheet": sheet, "field": first.field,
        }  # fmt: skip
        return self.refused("F_DUPLICATE_HEADER", params)

    def wrong_template(self, other: RecordType) -> FileRefused:
        params: dict[str, object] = {
            "found": other.title, "found_code": other.code,
            "expected": self.record_type.title, "expected_code": self.record_type.code,
        }  # fmt: skip
        return self.refused("F_WRONG_TEMPLATE", params)

    def no_header(self, tops: Sequence[tuple[str, Sequence[Cells]]], hidden: Sequence[str]) -> FileRefused:
        """No sheet (its name and first rows) has our header: perhaps another record type's, perhaps nearly ours."""
        layouts = [find_layout(rows, self.vocabulary) for _, rows in tops]
        other = self.closest_other([rows for _, rows in tops], max((len(it.fields) for it in layouts), default=0))
        if other is not None:
            return self.wrong_template(other)
        if not any(rows for _, rows in tops):
            return self.refused("F_EMPTY", {"hidden_sheets": list(hidden)})
        for sheet, rows in tops:
            asked = self._likely_question(sheet, rows)
            if asked is not None:
                return self._unconfirmed(asked)
        return self.refused("F_NO_HEADER", {"hidden_sheets": list(hidden), "title": self.record_type.title})

    def closest_other(self, tops: Sequence[Sequence[Cells]], own_fields: int) -> RecordType | None:
        """The record type of the same sender whose complete header is found, with more columns than ours."""
        best: tuple[int, RecordType | None] = (max(own_fields, 1), None)
        for (_, code), mapping in self.catalogue.mappings.items():
            if code == self.record_type.code or (self.mapping and mapping.organisation != self.mapping.organisation):
                continue
            other = self.catalogue.record_types[code]
            vocabulary = Vocabulary(other, mapping)
            for rows in tops:
                layout = find_layout(rows, vocabulary)
                if set(vocabulary.required) <= layout.fields and len(layout.fields) > best[0]:
                    best = (len(layout.fields), other)
        return best[1]

    def _likely_question(self, sheet: str, rows: Sequence[Cells]) -> Question | None:
        """Of the best header by known names, else of the row that looks most like one."""
        for layout in (find_layout(rows, self.vocabulary), likely_header(rows, self.vocabulary, self.names)):
            if layout is not None and layout.header_rows:
                missing = [name for name in self.vocabulary.required if name not in layout.fields]
                asked = question(layout, missing, self.names, sheet, layout.header_rows[-1] + 1)
                if asked is not None:
                    return asked
        return None

    def _unconfirmed(self, asked: Question) -> FileRefused:
        code, plain = "F_COLUMNS_UNCONFIRMED", msgspec.to_builtins(asked)
        params = question_params(plain)
        return ColumnsUnconfirmed(self._detail(code, params), code=code, params=params, question=plain)

    def _detail(self, code: str, params: dict[str, object]) -> str:
        kind = self.catalogue.row_errors.get(code)
        return kind.message.format_map(_Blank(params)) if kind else code


class _Blank(dict[str, object]):
    """Parameters of a sentence; one that is unknown leaves no trace."""

    def __missing__(self, key: str) -> str:
        return ""
