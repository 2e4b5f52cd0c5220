"""The product's own source, read as text and as syntax trees, for the tests that keep the house in order."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
ROOMS = ("hub", "adapters", "drops", "mappings", "admin")


class Act(NamedTuple):
    """One function: where it stands, what it is called, what it takes, whom it calls, whether it writes."""

    module: str
    name: str
    parameters: frozenset[str]
    calls: frozenset[str]
    writes: bool


@cache
def sources() -> dict[str, str]:
    """Path below the root -> text, for every module of the product."""
    files = (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in files if "static" not in path.parts}


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(sources()[module])


def modules_in(*rooms: str) -> list[str]:
    return [module for module in sources() if module.startswith(rooms)]


@cache
def nodes_of(node: ast.AST) -> tuple[ast.AST, ...]:
    """Itself and everything in it; many tests walk the same trees."""
    return tuple(ast.walk(node))


@cache
def strings_of(node: ast.AST) -> tuple[str, ...]:
    """Every text in a piece of source but docstrings; the fixed parts of an f-string are joined with {}."""
    return tuple(_strings_of(nodes_of(node)))


def _strings_of(nodes: Sequence[ast.AST]) -> Iterator[str]:
    docstrings = {id(found) for each in nodes if (found := docstring_of(each))}
    inside = {id(part) for each in nodes if isinstance(each, ast.JoinedStr) for part in each.values}
    passed_over = docstrings | inside
    for each in nodes:
        if isinstance(each, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in each.values)
        elif isinstance(each, ast.Constant) and isinstance(each.value, str) and id(each) not in passed_over:
            yield each.value


def docstring_of(node: ast.AST) -> ast.AST | None:
    body = getattr(node, "body", None)
    first = body[0] if isinstance(body, list) and body else None
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return first.value if is_text and isinstance(first, ast.Expr) else None


_WRITING_SQL = re.compile(
    r"\b(INSERT\s+INTO|DELETE\s+FROM|TRUNCATE|MERGE\s+INTO|COPY\s+\S+[^;]*\bFROM\s+STDIN)\b|\bUPDATE\s+\S+.*\bSET\b",
    re.S,
)
WRITING_CALLS = frozenset({"insert", "update", "delete"})


@cache
def functions_of(module: str) -> tuple[Act, ...]:
    return tuple(_functions_of(module))


def _functions_of(module: str) -> Iterator[Act]:
    constants = _writing_constants(module)
    tables = imported_from(module, "hub.tables")
    for node in nodes_of(tree_of(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            calls = frozenset(name for each in nodes_of(node) if (name := called(each)))
            writes = _writes(node, tables, constants)
            yield Act(module, node.name, frozenset(each.arg for each in arguments), calls, writes)


def _writes(node: ast.AST, tables: frozenset[str], constants: frozenset[str]) -> bool:
    if any(_WRITING_SQL.search(text) for text in strings_of(node)):
        return True
    for each in nodes_of(node):
        if isinstance(each, ast.Name) and each.id in constants:
            return True
        if isinstance(each, ast.Call) and called(each) in WRITING_CALLS and _on_a_table(each, tables):
            return True
    return False


def _on_a_table(call: ast.Call, tables: frozenset[str]) -> bool:
    """``insert(table)`` or ``table.insert()``; not ``set.update(...)``."""
    if isinstance(call.func, ast.Attribute):
        return isinstance(call.func.value, ast.Name) and call.func.value.id in tables
    return bool(call.args)


def called(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call):
        return None
    return getattr(node.func, "id", None) or getattr(node.func, "attr", None)


@cache
def imported_from(module: str, origin: str) -> frozenset[str]:
    found = (node for node in nodes_of(tree_of(module)) if isinstance(node, ast.ImportFrom) and node.module == origin)
    return frozenset(name.asname or name.name for node in found for name in node.names)


@cache
def imports_of(module: str) -> frozenset[str]:
    tree = tree_of(module)
    whole = (name.name for node in nodes_of(tree) if isinstance(node, ast.Import) for name in node.names)
    parts = (node.module for node in nodes_of(tree) if isinstance(node, ast.ImportFrom) and node.module)
    return frozenset((*whole, *parts))


def _writing_constants(module: str) -> frozenset[str]:
    """Names of the module's own SQL texts that write."""
    assigned = (node for node in tree_of(module).body if isinstance(node, ast.Assign))
    writing = (node for node in assigned if any(_WRITING_SQL.search(text) for text in strings_of(node)))
    return frozenset(name.id for node in writing for name in node.targets if isinstance(name, ast.Name))
