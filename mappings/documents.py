"""One TOML file as it lies on disk: its values, and the line on which each key stands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from mappings.catalogue import CatalogueError

Shape = TypeVar("Shape")
Step = str | int


class Problem(msgspec.Struct, frozen=True):
    """Something wrong in a mapping file: where, which key, and what."""

    file: str
    line: int
    key: str
    reason: str

    def error(self) -> CatalogueError:
        return CatalogueError(self.file, self.line, self.key, self.reason)


class Document(msgspec.Struct, frozen=True):
    """A file under mappings/: its path from there, its text and its values."""

    file: str
    text: str
    values: dict[str, Any]

    def problem(self, reason: str, *path: Step) -> Problem:
        return Problem(self.file, line_of(self.text, path), written(path), reason)

    def shaped(self, shape: type[Shape], *path: Step) -> Shape:
        """The values at ``path`` as ``shape``; an unknown key, a missing key or a wrong type is a CatalogueError."""
        values: Any = self.values
        for step in path:
            values = values[step]
        try:
            return msgspec.convert(values, shape, strict=True)
        except msgspec.ValidationError as refusal:
            raise self._misshapen(str(refusal), path).error() from None

    def _misshapen(self, refusal: str, path: tuple[Step, ...]) -> Problem:
        sentence, _, place = refusal.partition(" - at `")
        inner = path + steps(place.rstrip("`"))
        if match := re.match(r"Object missing required field `(\w+)`", sentence):
            line = line_of(self.text, inner)
            return Problem(self.file, line, written((*inner, match[1])), "缺少此键 missing key")
        if match := re.match(r"Object contains unknown field `(.+)`", sentence):
            return self.problem("未知的键 unknown key", *inner, match[1])
        return self.problem(f"值不对 wrong value: {sentence}", *inner)


def read_document(root: Path, path: Path) -> Document:
    """Read and parse one file; a byte that is not UTF-8 or bad TOML is a CatalogueError with its line."""
    name = path.relative_to(root).as_posix()
    content = path.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as refusal:
        raise CatalogueError(name, content.count(b"\n", 0, refusal.start) + 1, "", "不是 UTF-8 not UTF-8") from None
    try:
        return Document(name, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as refusal:
        raise CatalogueError(name, _syntax_line(str(refusal), text), "", f"TOML 语法错误 bad TOML: {refusal}") from None


def written(path: tuple[Step, ...]) -> str:
    """``("fields", 2, "type")`` as ``fields[2].type``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def steps(place: str) -> tuple[Step, ...]:
    """msgspec's ``$.fields[2].type`` as ``("fields", 2, "type")``."""
    found = re.findall(r"\[(\d+)\]|(\w+)", place)
    return tuple(int(number) if number else name for number, name in found)


def line_of(text: str, path: tuple[Step, ...]) -> int:
    """The 1-based line of the key, or of the nearest table or list entry around it."""
    lines = text.splitlines() or [""]
    window = range(len(lines))
    name = ""
    for step in path:
        if isinstance(step, int):
            window = _entry(lines, window, name, step)
        else:
            name = step
            window = _narrowed(lines, window, name)
    return window.start + 1 if path else 1


def _syntax_line(refusal: str, text: str) -> int:
    match = re.search(r"at line (\d+)", refusal)
    return int(match[1]) if match else max(1, len(text.splitlines()))


def _narrowed(lines: list[str], window: range, name: str) -> range:
    """From the key (or its table's header) to the end of the window."""
    key = re.compile(rf'\s*"?{re.escape(name)}"?\s*=')
    header = re.compile(rf"\s*\[\[?{re.escape(name)}\]\]?\s*(#.*)?$")
    for number in window:
        if key.match(lines[number]) or header.match(lines[number]):
            return range(number, window.stop)
    return window


def _entry(lines: list[str], window: range, name: str, index: int) -> range:
    """The nth entry of ``[[name]]`` tables, or of a list written one ``{ ... }`` a line."""
    heads = [number for number in window if lines[number].strip() == f"[[{name}]]"]
    if len(heads) > index:
        following = range(heads[index] + 1, window.stop)
        stop = next((number for number in following if lines[number].startswith("[")), window.stop)
        return range(heads[index], stop)
    items = [number for number in window if lines[number].lstrip().startswith("{")]
    if len(items) > index:
        return range(items[index], items[index] + 1)
    return range(window.start, window.start + 1)
