"""The documents on security say what the code does, and name tests that exist."""

from __future__ import annotations

import ast
import re

import pytest

from hub.registry.accounts import ROLE_KINDS
from hub.registry.permissions import ROLES
from tests.source import ROOT

SECURITY, ASVS = ROOT / "docs" / "security.md", ROOT / "docs" / "asvs.md"
_ITEM = re.compile(r"^\| (\d+\.\d+\.\d+) \| (L[12]) \| ([^|]*) \| (proved|n/a|open) \| (.*) \|$")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def role_table() -> str:
    lines = [
        f"| {role} | {', '.join(sorted(ROLE_KINDS[role]))} | {', '.join(sorted(rights))} |"
        for role, rights in ROLES.items()
    ]
    return "\n".join(["| role | kinds of organisation | rights |", "|---|---|---|", *lines])


def test_the_table_of_roles_is_the_codes() -> None:
    written = SECURITY.read_text("utf-8").split("<!-- roles -->\n")[1].split("\n<!-- /roles -->")[0]
    assert written == role_table()


def items() -> list[tuple[str, ...]]:
    return [found.groups() for line in ASVS.read_text("utf-8").splitlines() if (found := _ITEM.match(line))]


def test_every_item_of_the_seven_chapters_has_its_answer() -> None:
    counted = {
        chapter: sum(number.startswith(f"{chapter}.") for number, *_ in items()) for chapter in (3, 5, 6, 7, 8, 14, 16)
    }
    assert counted == {3: 19, 5: 9, 6: 35, 7: 18, 8: 7, 14: 9, 16: 16}
    assert len({number for number, *_ in items()}) == len(items())


def test_what_is_proved_names_a_test_and_what_is_not_says_why() -> None:
    unproved = [number for number, _, _, state, answer in items() if state == "proved" and not _TEST.search(answer)]
    unexplained = [number for number, _, _, state, answer in items() if state != "proved" and len(answer) < 12]
    assert unproved == unexplained == []


@pytest.mark.parametrize("document", [SECURITY, ASVS], ids=["security", "asvs"])
def test_every_test_that_is_named_exists(document: object) -> None:
    named = set(_TEST.findall(document.read_text("utf-8")))  # type: ignore[attr-defined]
    missing = {f"{file}::{name}" for file, name in named if name not in functions_in(file)}
    assert missing == set()


def functions_in(file: str) -> set[str]:
    path = ROOT / file
    if not path.exists():
        return set()
    return {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}
