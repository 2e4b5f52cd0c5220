"""The auditor reads acts and facts in words: what the hub records has one, what somebody edited stands as it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from admin.audit_words import AUDITED_ACTS, FACTS
from admin.lists.access import AUDIT
from admin.lists.declared import Words
from hub.audit import AuditLine
from hub.database import utc_now
from hub.registry.permissions import SYSTEM_ACTOR, Right
from mappings.catalogue import Catalogue

ROOT = Path(__file__).parents[1]


def recorded_facts(source: str) -> Iterator[str]:
    """The names given to ``audit.record``, as they stand in a call of it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("audit.record", "record"):
            yield from (word.arg for word in node.keywords if word.arg not in (None, "outcome"))


def test_every_act_and_every_fact_that_is_recorded_has_a_word() -> None:
    assert set(AUDITED_ACTS) == {str(right) for right in Right}
    sources = (path.read_text() for room in ("hub", "admin") for path in (ROOT / room).rglob("*.py"))
    named = {name for source in sources for name in recorded_facts(source)}
    assert len(named) > 100 and named - set(FACTS) == set()
    assert "unheard_of" in set(recorded_facts("audit.record(c, a, act, 'x', unheard_of=1)")) - set(FACTS)


def told(line: AuditLine, catalogue: Catalogue, language: str) -> dict[str, str]:
    words = Words(actor=SYSTEM_ACTOR, language=language, catalogue=catalogue, organisations={})  # type: ignore[arg-type]
    cells = {one.code: one.cell(line, words) for one in AUDIT.columns}
    return {code: cell if isinstance(cell, str) else cell.text for code, cell in cells.items()}


def audited(**its: object) -> AuditLine:
    usual = {"actor": "job", "organisation": "hub", "door": "job", "act": "system", "object": "notices"}
    facts = {"sent": 3, "mail": True, "how": "end-session", "sha256": "0" * 64}
    line = {"audit_id": UUID(int=1), "at": utc_now(), "outcome": "done", "facts": facts} | usual | its
    return AuditLine(**line)  # type: ignore[arg-type]


def test_a_line_is_told_in_the_readers_language(catalogue: Catalogue) -> None:
    chinese, english = (told(audited(), catalogue, language) for language in ("zh", "en"))
    assert [chinese[name] for name in ("organisation", "door", "act")] == ["枢纽本身", "自动任务", "系统自动处理"]
    assert chinese["facts"] == "发出数 3，邮件 是，方式 退出会话，文件摘要 000000000000…"
    assert [english[name] for name in ("organisation", "door", "act")] == ["The hub itself", "Job", "The hub itself"]
    assert english["facts"].startswith("sent 3, mail ")


def test_only_a_fact_that_holds_a_code_of_the_hub_is_put_in_words(catalogue: Catalogue) -> None:
    line = audited(facts={"what": "list", "concerning": "list"})
    assert told(line, catalogue, "zh")["facts"] == "事项 清单，涉及 list"


def test_what_somebody_wrote_into_the_table_is_shown_as_it_stands(catalogue: Catalogue) -> None:
    edited = told(audited(act="gone", door="back", facts=["x"], organisation="nowhere"), catalogue, "zh")
    assert [edited[name] for name in ("act", "door", "facts", "organisation")] == ["gone", "back", '["x"]', "nowhere"]
