"""A note in ``rejected`` for the sender of an upload that does not go on: what is missing, and what to do."""

from __future__ import annotations

from pathlib import Path

from drops.answers import answer_name, replace

_CUT = (
    "{name}：传输中断，已收到 {size} 字节，未接收。请续传（put -a）或重新上传。\n"
    "{name}: the transfer was cut after {size} bytes; nothing was taken. Resume it (put -a) or send it again.\n"
)
_NO_END = (
    "{name}：已收到 {size} 字节，但看不出文件是否完整，未接收。请重新上传，"
    "或上传 {name}.sha256（内容为 sha256sum 的输出），或先以 {name}.part 上传再改名。\n"
    "{name}: {size} bytes came, but whether that is all cannot be seen; nothing was taken. Send it again, or send"
    " {name}.sha256 (the output of sha256sum) beside it, or send it as {name}.part and rename it.\n"
)


def tell_it_waits(drops: Path, organisation: str, name: str, size: int, state: str) -> None:
    text = _CUT if state == "cut" else _NO_END
    replace(_note(drops, organisation, name), text.format(name=name, size=size))


def untell(drops: Path, organisation: str, name: str) -> None:
    """It goes on, or it is gone."""
    _note(drops, organisation, name).unlink(missing_ok=True)


def _note(drops: Path, organisation: str, name: str) -> Path:
    return drops / organisation / "rejected" / f"{answer_name(name)}.waiting.txt"
