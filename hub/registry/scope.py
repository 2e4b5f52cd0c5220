"""What an actor may see: the only place where a predicate on personal data is built. Deny by default."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, FromClause, Integer, false, literal, or_, true
from sqlalchemy.dialects.postgresql import ARRAY

from hub.database import Reach, run_sql, set_reach
from hub.registry.areas import AreaIndex
from hub.registry.hunting_rules import CARE_ONLY_TYPES
from hub.registry.organisations import AREA_KINDS
from hub.registry.permissions import Actor, Right
from hub.registry.slice_definition import SliceDefinition
from mappings.catalogue import Catalogue, RecordType

COUNTERS: Reach = {"ledger": "counts"}  # the hub's own figures: how many submissions, whose is not asked


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

    def counts(self, table: FromClause) -> ColumnElement[bool]:
        """The ledger for sums alone: whoever reads measures sums over all of it and opens no line."""
        return true() if self.actor.may(Right.READ_MEASURES) else self.submissions(table)

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


# ---- the second wall: what row security is told (hub.operations.row_security) ----


def reach_of(actor: Actor) -> Reach:
    """What an actor's transaction may touch at all, whatever its statements ask for. Give it to ``Database.begin``."""
    reach = {"organisation": actor.organisation} if _acts_for_its_own(actor) else {}
    if actor.may(Right.READ_ALL_SUBMISSIONS) or actor.may(Right.OPERATE):
        reach["ledger"] = "all"
    elif actor.may(Right.READ_MEASURES):
        reach["ledger"] = "counts"
    if actor.kind in AREA_KINDS and actor.area_id is not None and actor.may(Right.READ_CHANGE_LIST):
        reach |= {"types": "*", "areas": _written([actor.area_id])}
    if actor.may(Right.MANAGE_REGISTRY) or actor.may(Right.OPERATE):
        reach["registry"] = "on"
    return reach


def open_slice(connection: Connection, definition: SliceDefinition, organisation_kind: str) -> None:
    """From here on this transaction sees the slice's record types in the slice's areas; clinical ones for care alone."""
    care = organisation_kind == "care"
    types = ",".join(one.record_type for one in definition.record_types)
    areas = "*" if definition.areas is None else _written(definition.areas)
    set_reach(connection, {"types": types, "areas": areas, "care": "on" if care else ""})
    if care:  # clinical side tables are closed to the serving role itself
        run_sql(connection, "SELECT set_config('role', 'hub_care', true) WHERE session_user = 'hub_app'")


def open_submission(connection: Connection, submission_id: object) -> None:
    """From here on this transaction sees the records one submission brought: the bureau's reasoned, audited act."""
    set_reach(connection, {"submission": str(submission_id)})


def open_persons(connection: Connection, person_ids: Iterable[object]) -> None:
    """From here on this transaction sees these persons and what is known of them: the bureau's reasoned, audited act.

    Records that are clinical by existing stay shut. Whoever is no bureau opens a person only together with a scope.
    """
    set_reach(connection, {"persons": ",".join(map(str, person_ids))})


def open_homes(connection: Connection, area_ids: Iterable[int]) -> None:
    """From here on this transaction sees who lives in these areas: the bureau's reasoned, counted search by name."""
    set_reach(connection, {"types": "*", "areas": _written(area_ids)})


def open_identifier(connection: Connection, value: str) -> None:
    """From here on this transaction sees whose this one number is, and nothing more of them."""
    set_reach(connection, {"identifier": value})


@contextmanager
def counting(connection: Connection, actor: Actor, record_types: Iterable[str]) -> Iterator[None]:
    """Inside, this transaction's statements count over all records of these types; who oversees, over all of the ledger.

    What leaves it are counts, or places in a file, never values. Records that are clinical by existing stay shut.
    """
    ledger = {"ledger": "all"} if oversees(actor) else {}
    set_reach(connection, {"types": ",".join(record_types), "areas": "*", **ledger})
    yield
    set_reach(connection, {"types": "", "areas": "", "ledger": "", **reach_of(actor)})


@contextmanager
def open_disclosures(
    connection: Connection, actor: Actor, record_types: Iterable[str], person_id: object
) -> Iterator[None]:
    """Inside, this transaction may follow where one person's records went: the log and the versions of these types,
    everybody's deliveries, licences and lists. The reasoned, audited look of whoever reads a disclosure ledger.

    What leaves it are names of fields and places in a file, never values. Records that are clinical by existing stay
    shut but for one's own.
    """
    set_reach(
        connection, {"types": ",".join(record_types), "areas": "*", "ledger": "all", "persons": str(person_id)}
    )  # fmt: skip
    yield
    set_reach(connection, {"types": "", "areas": "", "persons": "", "identifier": "", "ledger": "", **reach_of(actor)})


def oversees(actor: Actor) -> bool:
    """Whether sums over every organisation are the actor's business."""
    overseeing = (Right.READ_MEASURES, Right.READ_ALL_SUBMISSIONS, Right.OPERATE, Right.SYSTEM)
    return any(actor.may(right) for right in overseeing)


def is_care_only(record_type: RecordType) -> bool:
    """Clinical by existing: that there is such a record says it all."""
    return record_type.restricted or record_type.code in CARE_ONLY_TYPES


def types_by_area(catalogue: Catalogue) -> list[str]:
    """Record types that the town responsible for a record may know of without a subscription."""
    enabled = (one for one in catalogue.record_types.values() if one.enabled)
    return [one.code for one in enabled if not is_care_only(one) and one.sharing != "none"]


def _acts_for_its_own(actor: Actor) -> bool:
    return any(actor.may(right) for right in (Right.SUBMIT, Right.READ_SUBMISSION, Right.PULL_SLICE))


def _written(areas: Iterable[int]) -> str:
    return "{" + ",".join(map(str, areas)) + "}"
