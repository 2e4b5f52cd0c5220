"""What an actor may see: the only place where a predicate on personal data is built. Deny by default."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, FromClause, Integer, false, literal, or_, true
from sqlalchemy.dialects.postgresql import ARRAY

from hub.registry.areas import AreaIndex
from hub.registry.hunting_rules import CARE_ONLY_TYPES
from hub.registry.organisations import AREA_KINDS
from hub.registry.permissions import Actor, Right


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """An actor's reach; ``own_areas`` are the ids of its own area and below, empty for all but towns and villages."""

    actor: Actor
    own_areas: tuple[int, ...] = ()

    @property
    def is_the_hub(self) -> bool:
        return self.actor.may(Right.SYSTEM)

    # ---- whole tables of the exchange, without personal data ----

    def submissions(self, table: FromClause) -> ColumnElement[bool]:
        """The ledger's lines: one's own organisation's; the bureau sees all of them, never the values."""
        if self.is_the_hub or self.actor.may(Right.READ_ALL_SUBMISSIONS) or self.actor.may(Right.OPERATE):
            return true()
        return self._own(table.c.organisation, Right.READ_SUBMISSION)

    def row_errors(self, submissions: FromClause) -> ColumnElement[bool]:
        """Row errors with the values as sent: the sender alone (``submissions`` is joined to them)."""
        return true() if self.is_the_hub else self._own(submissions.c.organisation, Right.READ_SUBMISSION)

    def own_subscriptions(self, table: FromClause) -> ColumnElement[bool]:
        """One's own; definitions are no personal data, so the registry's keeper sees all."""
        if self.is_the_hub or self.actor.may(Right.MANAGE_REGISTRY) or self.actor.may(Right.OPERATE):
            return true()
        return self._own(table.c.organisation, Right.PULL_SLICE)

    # ---- personal data ----

    def records_in_areas(self, areas: ColumnElement[Any]) -> ColumnElement[bool]:
        """Records responsible to one's own area: towns and villages. A department has slices, not areas."""
        if self.is_the_hub:
            return true()
        if not self.own_areas or not self.actor.may(Right.READ_CHANGE_LIST):
            return false()
        return areas.op("&&", is_comparison=True)(literal(list(self.own_areas), ARRAY(Integer)))

    def records_sent(self, source: ColumnElement[Any]) -> ColumnElement[bool]:
        """Records one's own organisation is the source of."""
        return true() if self.is_the_hub else self._own(source, Right.READ_SUBMISSION)

    def records(self, areas: ColumnElement[Any], source: ColumnElement[Any]) -> ColumnElement[bool]:
        """Records of one's own area, and those one sent."""
        return or_(self.records_in_areas(areas), self.records_sent(source))

    def people(self, home_area: ColumnElement[Any]) -> ColumnElement[bool]:
        """Persons living in one's own area."""
        if self.is_the_hub:
            return true()
        if not self.own_areas or not self.actor.may(Right.READ_CHANGE_LIST):
            return false()
        return home_area.in_(self.own_areas)

    # ---- single questions ----

    def may_see_clinical(self, source_organisation: str) -> bool:
        """Clinical values: organisations of kind care, and whoever sent them. Not the bureau, not towns, ever."""
        return self.actor.kind == "care" or self.actor.organisation == source_organisation

    def may_see_type(self, record_type: str, source_organisation: str = "") -> bool:
        """Whether records of this type may be known of at all: some types are clinical by existing."""
        return record_type not in CARE_ONLY_TYPES or self.may_see_clinical(source_organisation)

    def stored_file(self, sender: str) -> bool:
        """The file as it was sent, unmasked: the sender alone, whatever the record type."""
        return self.is_the_hub or (self.actor.organisation == sender and self.actor.may(Right.READ_SUBMISSION))

    def in_own_areas(self, area_id: int) -> bool:
        """Whether one area is one's own or below it."""
        return self.is_the_hub or area_id in self.own_areas

    def _own(self, organisation: ColumnElement[Any], right: Right) -> ColumnElement[bool]:
        return organisation == self.actor.organisation if self.actor.may(right) else false()


def scope_for(actor: Actor, areas: AreaIndex) -> Scope:
    """The actor's scope by the areas as they are now."""
    if actor.kind not in AREA_KINDS or actor.area_id is None:
        return Scope(actor=actor)
    return Scope(actor=actor, own_areas=areas.expand(actor.area_id))
