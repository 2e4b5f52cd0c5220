"""The shapes of a standing comparison: which records of one person are held against which, and who works the finds off."""

from __future__ import annotations

from typing import Literal

import msgspec

ComparisonKind = Literal["missing", "both", "differs", "order", "duplicate"]
TOWN = "town"  # as the one who works a find off: the town the person lives in
LEFT, RIGHT, UNLESS = "left", "right", "unless"


class Side(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Standing records of one type, by one of their people. Every condition is on a plain field of the type."""

    type: str
    role: str = "person"
    source: str = ""  # an organisation or a kind of organisations; "" = whoever sent it
    at: str = ""  # the day it happened; "" = the type's own event_date
    years: int = 0  # added to that day: so old one must be
    inside: bool = False  # only records that lie in one of the district's areas
    where: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)  # field -> one of these values
    where_not: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)  # field -> none of these, or empty
    empty: tuple[str, ...] = ()
    latest_per: tuple[str, ...] = ()  # of a person's records with the same values here, only the latest counts

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field a condition looks at."""
        named = (self.at, *self.where, *self.where_not, *self.empty, *self.latest_per)
        return tuple(dict.fromkeys(name for name in named if name))


class ComparedField(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A field of the left record and one of the right that ought to say the same; an empty one says nothing."""

    left: str
    right: str
    equivalent: dict[str, tuple[str, ...]] = msgspec.field(
        default_factory=dict
    )  # left code -> right codes; else anything


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One standing comparison.

    missing: a left record, and no right one of the same person ``grace_days`` after it.
    both: a left and a right record of one person that do not stand side by side for long (``grace_days``).
    differs: fields that ought to say the same do not.
    order: the right record is dated more than ``slack_days`` before the left one, which must come first.
    duplicate: two left records of one type, source and person with the ``same`` values.

    ``unless``: such a record of the same person, dated with the left record or after it, explains the find.
    """

    code: str
    title: str
    title_en: str
    meaning: str
    meaning_en: str
    advice: str
    advice_en: str
    kind: ComparisonKind
    works: str  # the organisation that works it off, or "town"
    left: tuple[Side, ...]
    right: tuple[Side, ...] = ()
    unless: tuple[Side, ...] = ()
    otherwise: str = ""  # who works it off when no town is known
    grace_days: int = 0
    slack_days: int = 0
    compared: tuple[ComparedField, ...] = ()
    same: tuple[str, ...] = ()
    by_person: bool = True  # duplicate: false where the same thing is told by ``same`` alone, whoever the person

    @property
    def sides(self) -> tuple[Side, ...]:
        return (*self.left, *self.right, *self.unless)


class ComparisonsSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """comparisons.toml."""

    checks: tuple[Comparison, ...]
