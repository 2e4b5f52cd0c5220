"""What timeline.toml says: the sections of a person's timeline, and how each event is told there."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the timeline, in the users' words."""

    code: str
    title: str
    title_en: str


class EntryRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one record type is told of the persons in these roles. Clauses in [brackets] name the fields they need."""

    record_type: str
    roles: tuple[str, ...]
    section: str
    says: str
    says_en: str
    when: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)  # field -> values it is taken for
    entitlement: str = ""
    entitlement_en: str = ""
    obligation: str = ""
    obligation_en: str = ""
    per: tuple[str, ...] = ()  # an entitlement for each value of these fields; the newest event decides
    over_when_set: tuple[str, ...] = ()
    over_when: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    couple: tuple[str, ...] = ()  # the two roles it joins
    parts_couple: bool = False  # or parts

    @property
    def deciding(self) -> tuple[str, ...]:
        """The fields without which nobody can say whether what follows from it still holds."""
        return (*self.per, *self.over_when_set, *self.over_when)

    def taken_for(self, values: Mapping[str, object]) -> bool:
        return all(values.get(field) in wanted for field, wanted in self.when.items())


class Family(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The roles of a record type that are a child and its parents."""

    record_type: str
    child: str
    mother: str
    father: str


class Household(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The roll that says who lives together: those of one source with the same number."""

    record_type: str
    field: str


class TimelineRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """timeline.toml."""

    sections: tuple[Section, ...] = ()
    entries: tuple[EntryRule, ...] = ()
    families: tuple[Family, ...] = ()
    household: Household | None = None

    def rule_of(self, record_type: str, role: str, values: Mapping[str, object]) -> EntryRule | None:
        """The first entry for this role whose condition holds."""
        fitting = (one for one in self.entries if one.record_type == record_type and role in one.roles)
        return next((one for one in fitting if one.taken_for(values)), None)
