"""A changed mapping that somebody wants to try: judged by the same rules as the files here, and kept nowhere.

The text comes from outside. It is small, shallow, of this one source and record type, and it names nothing but fields,
headers and fixed values: there is no path and no pattern in a mapping that could be followed or run.
"""

from __future__ import annotations

import re
import tomllib

from mappings.catalogue import CatalogueError, Mapping
from mappings.documents import Document, Problem
from mappings.findings import Findings
from mappings.loader import as_mapping
from mappings.mapping_rules import mapping_problems
from mappings.sources import MappingSource

LONGEST_BYTES = 64 * 1024
_LONGEST_LINE = 2_000
_MOST_COLUMNS = 300
_MOST_HEADERS = 100  # of one column
_LONGEST_WORD = 200
_DEEPEST = 6
_MOST_SHOWN = 50
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')


class Trial:
    """What was read of a changed mapping: the mapping, or everything that is wrong with it."""

    def __init__(self, mapping: Mapping | None, problems: list[Problem]) -> None:
        self.mapping, self.problems = mapping, problems[:_MOST_SHOWN]


def read_trial(text: str, organisation: str, record_type: str, findings: Findings) -> Trial:
    """The mapping that this text would be, in the place of the one of that organisation (or kind) and record type."""
    file = f"{organisation}/{record_type}.toml"
    problems = list(_outrageous(file, text))
    if problems:
        return Trial(None, problems)
    try:
        document = Document(file, text, tomllib.loads(text))
        source = document.shaped(MappingSource)
    except tomllib.TOMLDecodeError as refusal:
        return Trial(None, [Problem(file, _line_in(str(refusal)), "", f"TOML 语法错误 bad TOML: {refusal}"[:300])])
    except RecursionError:
        return Trial(None, [Problem(file, 1, "", "嵌套过深 nested too deeply")])
    except CatalogueError as refusal:
        return Trial(None, [Problem(file, refusal.line, refusal.key[:_LONGEST_WORD], refusal.reason[:300])])
    problems = [*_foreign(document, source, organisation, record_type), *_too_many(document, source)]
    problems = problems or list(mapping_problems(document, source, findings))
    return Trial(None, problems) if problems else Trial(as_mapping(source, file), [])


def _outrageous(file: str, text: str) -> list[Problem]:
    """Too long or too deep to be a mapping: said before anything is made of it."""
    if len(text.encode()) > LONGEST_BYTES:
        return [Problem(file, 1, "", f"超过 {LONGEST_BYTES // 1024} KB larger than a mapping may be")]
    lines = text.splitlines()
    long = [number for number, line in enumerate(lines, 1) if len(line) > _LONGEST_LINE]
    deep = [number for number, line in enumerate(lines, 1) if _depth(line) > _DEEPEST]
    wrong = [Problem(file, number, "", f"一行超过 {_LONGEST_LINE} 字 line too long") for number in long]
    return wrong + [Problem(file, number, "", "嵌套过深 nested too deeply") for number in deep]


def _depth(line: str) -> int:
    """Brackets and dots outside of strings: what could nest."""
    plain = _STRING.sub("", line).partition("#")[0]
    return max(plain.count("[") - plain.count("]"), plain.split("=")[0].count("."), plain.count("[["))


def _foreign(document: Document, source: MappingSource, organisation: str, record_type: str) -> list[Problem]:
    """It is tried in one place alone: another organisation's or type's is another trial."""
    wrong = []
    if source.organisation != organisation:
        wrong.append(document.problem(f"此处只能试 only this one is tried here: {organisation}", "organisation"))
    if source.record_type != record_type:
        wrong.append(document.problem(f"此处只能试 only this one is tried here: {record_type}", "record_type"))
    return wrong


def _too_many(document: Document, source: MappingSource) -> list[Problem]:
    wrong = []
    if len(source.columns) > _MOST_COLUMNS:
        wrong.append(document.problem(f"超过 {_MOST_COLUMNS} 列 too many columns", "columns"))
    for index, column in enumerate(source.columns[:_MOST_COLUMNS]):
        words = (column.header, column.group, *column.synonyms)
        if len(words) > _MOST_HEADERS or any(len(word) > _LONGEST_WORD for word in words):
            wrong.append(document.problem("表头过多或过长 too many or too long headers", "columns", index, "header"))
    return wrong


def _line_in(refusal: str) -> int:
    found = re.search(r"at line (\d+)", refusal)
    return int(found[1]) if found else 1
