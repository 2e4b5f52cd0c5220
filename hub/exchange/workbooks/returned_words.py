"""What a returned workbook says: a result for each row, a comment for each bad cell, a summary by reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
from sqlalchemy import Row

from adapters.formats.annotation import CellNote, Instructions, RowNote, SheetNotes, SummaryLine
from hub.casework.list_sheets import HIDDEN_FIELDS
from hub.casework.verdict_rows import UNANSWERED
from hub.exchange.file_notes import file_notes
from hub.exchange.marks import REASON_HEADER, RESULT_HEADER, row_mark
from hub.exchange.row_errors import Explanation, explain, masked_facts
from hub.exchange.workbooks.returned_results import UNCHANGED_CODES, Errors, ReadAgain
from mappings.catalogue import Catalogue, RecordType

SUMMARY_NAME = "错误汇总"
AUTHOR = "hub"
MARK_PREFIX = "hub:row:"
MOST_COMMENTS = 5_000  # a workbook with more of them takes minutes to open; the reason column says it all the same
LEVELS = {
    "zh": {"error": "退回", "hold": "待核", "warning": "警告", "note": "提示"},
    "en": {"error": "refused", "hold": "held", "warning": "warning", "note": "note"},
}
RESULTS = {
    "zh": {"error": "退回", "hold": "待核", "accepted": "已接收", "unchanged": "无变化", "clean": "无误", "none": "未接收",
        "open": "未核对"},
    "en": {
        "error": "refused", "hold": "held", "accepted": "accepted", "unchanged": "unchanged", "clean": "clean",
        "none": "not taken", "open": "not answered",
    },
}  # fmt: skip
WORDS = {
    "zh": {
        "title": "回执 {number} 处理结果",
        "counts": "收到 {received} 行：接收 {accepted}，无变化 {unchanged}，待核 {held}，退回 {refused}。",
        "refused": "整份文件未接收：{message}{fix}",
        "how": "请按批注改好标色的单元格，另存后把本文件再报一次：已接收的行会计为“无变化”。请不要删改隐藏的编号列。",
        "rebuilt": "原文件不能直接加注，本表按读到的内容重新生成，行号与原文件相同。",
        "bad rows": "原文件太大或不能直接加注，本表只列出退回、待核和有警告的行，行号与原文件不同。",
        "summary": "原文件未打开，这里只说明原因。",
        "headers": "级别|原因|行数|代码|怎么改|第一处",
        "fix": "怎么改：",
    },
    "en": {
        "title": "Receipt {number}: what became of the file",
        "counts": "{received} rows: {accepted} accepted, {unchanged} unchanged, {held} held, {refused} refused.",
        "refused": "The file was not taken: {message} {fix}",
        "how": "Correct the coloured cells as their comments say and send this file again: rows that were accepted count as"
        " unchanged. Leave the hidden column of numbers as it is.",
        "rebuilt": "Notes could not be written into the original; this was made from what was read, row for row.",
        "bad rows": "The original is too large, or could not be written into: only rows with errors, holds or warnings are here.",
        "summary": "The original was not opened; only the reason is given here.",
        "headers": "Level|Reason|Rows|Code|What to do|First place",
        "fix": "What to do: ",
    },
}
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_LONGEST = 8_000


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """All there is to say of one submission, before it is put into words."""

    row: Row[Any]  # of the ledger
    record_type: RecordType
    errors: Errors
    read: ReadAgain
    changed: set[int]

    def level_of(self, row_no: int) -> str:
        """error, hold, warning, note, or "" where nothing was found."""
        errors = self.errors.get(row_no)
        return str(errors[0].level) if errors else ""

    def result_of(self, row_no: int) -> str:
        """A key of RESULTS."""
        level = self.level_of(row_no)
        if level in ("error", "hold"):
            return level
        if self.row.state == "refused":
            return "none"
        if self.row.state != "merged":
            return "clean"
        codes = {error.code for error in self.errors.get(row_no, ())}
        if UNANSWERED in codes:
            return "open"
        return "accepted" if row_no in self.changed and codes.isdisjoint(UNCHANGED_CODES) else "unchanged"


def make_instructions(
    catalogue: Catalogue, answers: Sequence[Answer], language: str, form: str | None = None
) -> Instructions:
    """Every word of the workbook, of each submission that it brought.

    ``form`` says what the workbook is when it is not the original with notes.
    """
    told = [_Wording(catalogue, answer, "en" if language == "en" else "zh") for answer in answers]
    summary = chain(*(words.summary(form if words is told[0] else None) for words in told), told[0].ending())
    return Instructions(
        sheets=[sheet for words in told for sheet in words.sheets()],
        summary=[_plain_line(line) for line in summary],
        summary_name=SUMMARY_NAME,
        result_header=RESULT_HEADER,
        reason_header=REASON_HEADER,
        mark_prefix=MARK_PREFIX,
        author=AUTHOR,
    )


class _Wording:
    """Puts one answer into one language; Chinese comments end with a line of English, and the other way round."""

    def __init__(self, catalogue: Catalogue, answer: Answer, language: str) -> None:
        self.catalogue, self.answer, self.language = catalogue, answer, language
        self.words, self.levels, self.results = WORDS[language], LEVELS[language], RESULTS[language]

    def sheets(self) -> Iterator[SheetNotes]:
        rows: dict[str, list[RowNote]] = {name: [] for name in self.answer.read.headers}
        cells: dict[str, list[CellNote]] = {name: [] for name in self.answer.read.headers}
        for row_no, place in self.answer.read.places.items():
            rows[place.sheet].append(self._row(row_no, place.sheet_row, place.section))
            cells[place.sheet] += self._cells(row_no, place.sheet_row)
        for name, header_rows in self.answer.read.headers.items():
            yield SheetNotes(
                name=name, row_mark=row_mark(self.answer.row.receipt_number), header_rows=header_rows,
                rows=rows[name], cells=_commented(cells[name]),
            )  # fmt: skip

    def _row(self, row_no: int, sheet_row: int, section: str | None) -> RowNote:
        told = [
            error
            for error in self.answer.errors.get(row_no, ())
            if error.level != "note" or error.code in UNCHANGED_CODES
        ]
        sentences = list(map(self._sentence, told))
        numbered = (f"{number}. {sentence}" for number, sentence in enumerate(sentences, 1))
        reason = "\n".join(numbered if len(sentences) > 1 else sentences)
        level = self.answer.level_of(row_no)
        result = self.results[self.answer.result_of(row_no)]
        return RowNote(sheet_row, row_no, level, result, plain(reason), plain(section or ""))

    def _sentence(self, error: Row[Any]) -> str:
        told = self._explained(error, self.language)
        return f"{self.levels[error.level]}：{told.message}{told.fix}"

    def _cells(self, row_no: int, sheet_row: int) -> Iterator[CellNote]:
        """One note a cell; several errors of one cell share it."""
        by_cell: dict[str, list[Row[Any]]] = {}
        for error in self.answer.errors.get(row_no, ()):
            if error.column_letter and error.level != "note" and not self._is_hidden_key(error):
                by_cell.setdefault(error.column_letter, []).append(error)
        for letter, errors in by_cell.items():
            text = "\n\n".join(map(self._comment, errors))
            yield CellNote(sheet_row, number_of(letter), errors[0].level, plain(text))

    def _is_hidden_key(self, error: Row[Any]) -> bool:
        """By which the hub knows a line again: nobody fills that in."""
        return error.field in HIDDEN_FIELDS and error.code == self.answer.record_type.key_missing

    def _comment(self, error: Row[Any]) -> str:
        own = self._explained(error, self.language)
        other = self._explained(error, "en" if self.language == "zh" else "zh")
        head = f"{self.levels[error.level]}：{own.title}（{error.code}）"
        return f"{head}\n{own.message}\n{self.words['fix']}{own.fix}\n{other.title}. {other.fix}"

    def _explained(self, error: Row[Any], language: str) -> Explanation:
        params = {"value": error.value, "field": error.header or error.field, "header": error.header, **error.params}
        field = self.answer.record_type.by_name.get(error.field)
        return explain(self.catalogue, error.code, masked_facts(params, field), language)

    # ---- the summary ----

    def summary(self, form: str | None) -> Iterator[SummaryLine]:
        row = self.answer.row
        yield SummaryLine(cells=[self.words["title"].format(number=row.receipt_number)], look="title")
        yield SummaryLine(cells=[f"{self.answer.record_type.title}  {row.period or ''}  {row.file_name}"])
        if row.refusal:
            yield SummaryLine(cells=[self._refusal(row.refusal)], look="error")
        else:
            counts = {name: getattr(row, name) for name in ("received", "accepted", "unchanged", "held", "refused")}
            yield SummaryLine(cells=[self.words["counts"].format(**counts)])
        if form:
            yield SummaryLine(cells=[self.words[form]])
        yield SummaryLine(cells=[])
        yield from self._reasons()
        for code, _, facts in file_notes(row.facts):
            told = explain(self.catalogue, code, masked_facts(facts), self.language)
            yield SummaryLine(
                cells=[self.levels[self.catalogue.row_errors[code].level], told.message, "", code, told.fix]
            )
        yield SummaryLine(cells=[])

    def ending(self) -> Iterator[SummaryLine]:
        yield SummaryLine(cells=[self.words["how"]])

    def _refusal(self, refusal: Mapping[str, Any]) -> str:
        told = explain(self.catalogue, refusal["code"], masked_facts(refusal.get("params") or {}), self.language)
        return self.words["refused"].format(message=told.message, fix=told.fix)

    def _reasons(self) -> Iterator[SummaryLine]:
        """By level, the most frequent first, each with its first place."""
        every = [error for errors in self.answer.errors.values() for error in errors if error.level != "note"]
        if not every:
            return
        yield SummaryLine(cells=self.words["headers"].split("|"), look="header")
        counted, order = Counter(error.code for error in every), list(self.levels)
        first: dict[str, Row[Any]] = {}
        for error in sorted(every, key=lambda error: error.row_no):
            first.setdefault(error.code, error)
        for code, error in sorted(first.items(), key=lambda it: (order.index(it[1].level), -counted[it[0]], it[0])):
            yield self._reason(error, counted[code])

    def _reason(self, error: Row[Any], count: int) -> SummaryLine:
        told = self._explained(error, self.language)
        place = self.answer.read.places.get(error.row_no)
        at = f"{error.column_letter or 'A'}{error.sheet_row}"
        return SummaryLine(
            cells=[self.levels[error.level], told.title, str(count), error.code, told.fix, at],
            look=error.level,
            sheet=place.sheet if place else None,
            place=at,
        )


def _commented(notes: list[CellNote]) -> list[CellNote]:
    """What keeps a row out before what does not; only so many with a comment."""
    ordered = sorted(notes, key=lambda note: (note.level == "warning", note.row, note.column))
    bare = (CellNote(note.row, note.column, note.level, "") for note in ordered[MOST_COMMENTS:])
    return [*ordered[:MOST_COMMENTS], *bare]


def _plain_line(line: SummaryLine) -> SummaryLine:
    return msgspec.structs.replace(line, cells=[plain(cell) for cell in line.cells])


def plain(text: str) -> str:
    """What a workbook can hold: no control characters, not longer than a cell shows."""
    return _UNPRINTABLE.sub("", text)[:_LONGEST]


def number_of(letters: str) -> int:
    """A -> 1, AA -> 27."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number


def worth_returning(errors: Errors) -> Iterable[int]:
    """Rows that say anything at all to their sender."""
    return (row_no for row_no, found in errors.items() if found[0].level != "note")
