"""What a file may cost to read, and the one exception that says it cannot be read."""

from typing import Literal

import msgspec

MIB = 1 << 20


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Ceilings for reading one file in the limited child.

    ``memory_bytes`` is the address space a workbook may take. Delimited text reserves far more than it touches:
    there the address space is twice, and the data segment half of it.
    """

    max_bytes: int = 300 * MIB
    max_cells: int = 40_000_000
    cpu_seconds: int = 120
    wall_seconds: float = 180.0
    memory_bytes: int = 1024 * MIB


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a limited child is started for. A password is never in it, only the pipe it comes through."""

    limits: Limits
    task: Literal["read", "decrypt"] = "read"
    password_pipe: int | None = None


class UnreadableFile(Exception):
    """文件无法读取。 The file cannot be read: ``code`` is a file-level row error (F_...), ``params`` fill its sentence."""

    def __init__(self, code: str, **params: object) -> None:
        self.code, self.params = code, params
        super().__init__(f"{code} {params}" if params else code)


def unreadable(reason: str, **params: object) -> UnreadableFile:
    """The content is damaged, or too costly to read safely."""
    return UnreadableFile("F_UNREADABLE", reason=reason, **params)
