"""The data catalogue's first entries as data_catalogue.toml writes them: who provides a record type, and how it is shared."""

from __future__ import annotations

from typing import Literal

import msgspec

Sharing = Literal["unconditional", "conditional", "none"]
Frequency = Literal["realtime", "daily", "weekly", "monthly", "as_it_comes"]
Mode = Literal["interface", "exchange", "download"]
Format = Literal["xlsx", "csv", "json"]
Classification = Literal[1, 2, 3, 4]

# How high an entry is classified at least when it has a field of this sensitivity.
LEAST_CLASSIFICATION: dict[str, Classification] = {
    "public": 1, "internal": 1, "personal": 2, "sensitive": 3, "clinical": 4,
}  # fmt: skip


class FirstEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of data_catalogue.toml; the table's name is the record type."""

    catalogue_no: str
    provider: str  # one organisation
    formats: tuple[Format, ...]
    frequency: Frequency
    sharing: Sharing
    reason: str  # the condition or the legal ground of the sharing
    modes: tuple[Mode, ...]
    conditions: str
    classification: Classification
    withheld: tuple[str, ...] = ()  # fields that are not shared, beside the clinical ones
