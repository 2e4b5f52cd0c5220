"""What must hold in row_errors.toml: a code's letter tells its level, and both languages tell the same facts."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

from mappings.documents import Document, Problem
from mappings.sources import RowErrorSource

CODE = re.compile(r"^[FEWN]_[A-Z][A-Z0-9_]*$")
# What a sentence may name. Whoever fills it in gives those it knows; the others must read as a dash.
FACTS = (
    "value", "field", "expected", "found", "line", "rows", "places", "sheet", "columns", "count", "date", "record_type",
)  # fmt: skip
LEVELS = {"F": ("error", "hold"), "E": ("error", "hold"), "W": ("warning",), "N": ("note",)}


def row_error_problems(document: Document, kinds: dict[str, RowErrorSource]) -> Iterator[Problem]:
    for code, kind in kinds.items():
        if not CODE.match(code):
            yield document.problem("差错代码须为 F_ E_ W_ N_ 开头的大写 not a code", code)
        elif kind.level not in LEVELS[code[0]]:
            yield document.problem(f"级别与代码首字母不符 {code[0]}_ is never {kind.level}", code, "level")
        if (code.startswith("E_") and kind.level == "hold") != bool(kind.release):
            yield document.problem(
                "使行待核的代码须有 release，其他代码不得有 rows held need it, no others", code, "release"
            )
        yield from sentence_problems(document, code, kind)


def sentence_problems(document: Document, code: str, kind: RowErrorSource) -> Iterator[Problem]:
    for key, zh, en in (("message_en", kind.message, kind.message_en), ("fix_en", kind.fix, kind.fix_en)):
        if facts_in(zh) != facts_in(en):
            yield document.problem("中英文所用事实不同 the two languages name different facts", code, key)
        for fact in sorted(facts_in(zh) | facts_in(en)):
            if fact not in FACTS:
                yield document.problem(f"没有这一事实 unknown fact: {fact}", code, key)


def facts_in(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}
