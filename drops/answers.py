"""The files that go back to a sender: receipts as JSON and for reading, each whole or not there at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from hub.exchange.receive import plain_name

_LONGEST_NAME_BYTES = 200  # leaves room for what is put behind it


def answer_name(name: str) -> str:
    """The name an answer goes by: the sender's own, or, where a file system or a reader would stumble, one near it."""
    plain = plain_name(name)
    if plain == name and len(name.encode()) <= _LONGEST_NAME_BYTES:
        return name
    mark = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    stem, dot, ending = plain.rpartition(".")
    if len(ending.encode()) > 16:
        stem, dot, ending = plain, "", ""
    kept = (stem or plain).encode()[: _LONGEST_NAME_BYTES - 30].decode("utf-8", "ignore")
    return f"{kept}-{mark}{dot}{ending}" if stem else f"{kept}-{mark}"


def replace(path: Path, content: str) -> None:
    """Whole or not at all: the sender may be reading. Its folder must be there, except for answers."""
    if path.parent.name in ("receipts", "rejected"):
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name[-60:]}.part")
    partial.write_text(content, "utf-8", errors="replace")
    partial.replace(path)


def move_aside(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)


def step_aside(folder: Path, name: str, number: str) -> None:
    """Another file's receipt under this name is kept under the name and its own number."""
    current = folder / f"{name}.receipt.json"
    try:
        before = str(json.loads(current.read_text("utf-8"))["receipt"])
    except (OSError, ValueError, KeyError):
        return
    if before != number and before.isascii() and "/" not in before:
        for ending in ("json", "txt"):
            kept = folder / f"{name}.{before}.receipt.{ending}"
            with suppress(FileNotFoundError):  # a crash left only one of the two
                (folder / f"{name}.receipt.{ending}").replace(kept)


def receipt_text(receipt: dict[str, Any]) -> str:
    """A receipt for reading: number, digest, counts, then what was wrong, row by row."""
    counts = receipt["counts"]
    return "\n".join([*_heading(receipt, counts), "", *(_issue_line(issue) for issue in receipt["issues"]), ""])


def _heading(receipt: dict[str, Any], counts: dict[str, int]) -> Iterator[str]:
    yield f"回执 Receipt        {receipt['receipt']}"
    yield f"文件 File           {receipt['file_name']}"
    yield f"SHA-256            {receipt['sha256']}"
    yield f"状态 State          {receipt['state']}"
    yield f"收到 Received       {counts['received']}"
    yield f"接收 Accepted       {counts['accepted']}"
    yield f"无变化 Unchanged    {counts['unchanged']}"
    yield f"待核 Held           {counts['held']}"
    yield f"退回 Refused        {counts['refused']}"


def _issue_line(issue: dict[str, Any]) -> str:
    place = f"{issue['sheet'] or ''} {issue['column']}{issue['row'] or ''}".strip()
    return f"[{issue['level']}] {place} {issue['message']} {issue['fix']} ({issue['code']})"
