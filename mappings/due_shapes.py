"""Until when a month is sent, as data: how due.toml is written."""

from __future__ import annotations

import msgspec


class UsualDue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[usual]: days before the month's end from which it is asked for, and after it until which it is in time."""

    asked_before: int = 7
    due_after: int = 5


class TypeDue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line under [record_types]: only what is otherwise."""

    every_month: bool = True
    due_after: int | None = None
    owed_by: tuple[str, ...] = ()  # codes or kinds; none: all who may send it


class DueRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """due.toml."""

    usual: UsualDue = UsualDue()
    record_types: dict[str, TypeDue] = msgspec.field(default_factory=dict)

    def of(self, record_type: str) -> TypeDue:
        return self.record_types.get(record_type, TypeDue())
