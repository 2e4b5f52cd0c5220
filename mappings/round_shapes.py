"""The month with the towns as data: how rounds.toml is written."""

from __future__ import annotations

from typing import Literal

import msgspec

CountsAs = Literal["birth", "death", "moved", "correction"]


class Standing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of event that says whether and where somebody lives in the district (rounds.toml says how it counts)."""

    record_type: str
    role: str
    does: Literal["arrives", "leaves", "dies"]
    counts_as: CountsAs
    date: str = ""  # field; "" = the record type's event date; an empty cell: it did not happen
    only: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)  # coded field -> the codes that count


class Reported(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told of one kind of what a town found, and what they are expected to send."""

    record_type: str
    kind: str  # code of the record type's field ``kind``
    organisations: tuple[str, ...]
    expected: tuple[str, ...]  # record types, any of which settles it


class RoundRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """rounds.toml."""

    never_asked: tuple[str, ...] = ()
    standing: tuple[Standing, ...] = ()
    reported: tuple[Reported, ...] = ()
