"""Who may pull which slice, for what purpose, on what legal basis, until when; every change is a new version."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, insert, select, text, update

from hub import audit
from hub.database import district_of, new_uuid, utc_now
from hub.errors import BadRequest, Conflict, NotAllowed, NotFound
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.hunting_together import refuse_hunting_together
from hub.registry.masking import mask_within
from hub.registry.organisations import Organisation, load_organisation
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import open_slice
from hub.registry.slice_definition import OWN_AREA_KINDS, SliceDefinition, check_definition, definition_digest
from hub.tables import catalogue_entry, subscription, subscription_event, subscription_version
from hub.tables import organisation as organisation_table
from mappings.catalogue import Catalogue

SubscriptionState = Literal["active", "suspended", "ended"]
Mode = Literal["interface", "exchange", "download"]  # 服务接口 批量交换 文件下载 (政务数据共享条例 art. 22)
NEXT_STATES: dict[str, frozenset[str]] = {
    "active": frozenset({"suspended", "ended"}),
    "suspended": frozenset({"active", "ended"}),
    "ended": frozenset(),
}


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """On what terms a slice is given; without purpose and legal basis there is none."""

    purpose: str
    legal_basis: str
    catalogue_no: str = ""
    expires_on: date | None = None  # last day it may be pulled
    scope: str = ""  # within what bounds it is used
    mode: Mode = "interface"
    request_id: UUID | None = None  # the request it was approved by


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription in its newest version."""

    subscription_id: UUID
    code: str
    organisation: str
    organisation_kind: str
    organisation_enabled: bool
    title: str
    state: SubscriptionState
    epoch: int
    version: int
    start_seq: int
    definition: SliceDefinition
    purpose: str
    legal_basis: str
    catalogue_no: str
    expires_on: date | None
    scope: str
    mode: Mode
    request_id: UUID | None
    providers: tuple[str, ...]
    freshness_hours: int | None

    def expired(self, today: date) -> bool:
        return self.expires_on is not None and self.expires_on < today

    @property
    def digest(self) -> str:
        """Digest of the definition in force."""
        return definition_digest(self.definition)


def create_subscription(
    connection: Connection,
    actor: Actor,
    catalogue: Catalogue,
    *,
    code: str,
    organisation: str,
    title: str,
    definition: SliceDefinition,
    terms: Terms,
    start_seq: int = 0,
    freshness_hours: int | None = None,
) -> Subscription:
    """A new subscription; it reads the log from after ``start_seq``."""
    require(actor, Right.MANAGE_REGISTRY, Right.OPERATE)
    _refuse_incomplete(terms, code=code, title=title)
    _check(connection, catalogue, load_organisation(connection, organisation), definition, code)
    _refuse_taken(connection, code)
    row = {"subscription_id": new_uuid(), "code": code, "organisation": organisation, "title": title, "state": "active"}
    its = {
        "start_seq": start_seq,
        "created_at": utc_now(),
        "providers": providers_of(connection, definition, catalogue),
        "freshness_hours": freshness_hours,
    }
    connection.execute(insert(subscription), [row | its])
    _write_version(connection, row["subscription_id"], 1, definition, terms)
    _write_event(connection, actor, row["subscription_id"], "approved")
    _record(connection, actor, code, "create", organisation=organisation, definition=definition_digest(definition))
    return load_subscription(connection, code)


def change_subscription(
    connection: Connection,
    actor: Actor,
    catalogue: Catalogue,
    code: str,
    *,
    definition: SliceDefinition,
    terms: Terms,
    freshness_hours: int | None = None,
) -> Subscription:
    """A new version. Its rights changed, so a new epoch begins: the subscriber takes a snapshot, then goes on."""
    require(actor, Right.MANAGE_REGISTRY, Right.OPERATE)
    known = _hold_open(connection, code)
    _refuse_incomplete(terms)
    _check(connection, catalogue, load_organisation(connection, known.organisation), definition, code)
    _write_version(connection, known.subscription_id, known.version + 1, definition, terms)
    its = {"providers": providers_of(connection, definition, catalogue), "epoch": known.epoch + 1}
    its |= {"freshness_hours": known.freshness_hours if freshness_hours is None else freshness_hours}
    _update(connection, known, {"version": known.version + 1} | its)
    _write_event(connection, actor, known.subscription_id, "changed")
    _record(connection, actor, code, "change", version=known.version + 1, definition=definition_digest(definition))
    return load_subscription(connection, code)


def renew_subscription(
    connection: Connection,
    actor: Actor,
    catalogue: Catalogue,
    code: str,
    *,
    terms: Terms,
    freshness_hours: int | None = None,
) -> Subscription:
    """A new version with new terms for the same slice: the epoch stays, so the subscriber reads on where it was."""
    require(actor, Right.MANAGE_REGISTRY, Right.OPERATE)
    known = _hold_open(connection, code)
    _refuse_incomplete(terms)
    _check(connection, catalogue, load_organisation(connection, known.organisation), known.definition, code)
    _write_version(connection, known.subscription_id, known.version + 1, known.definition, terms)
    fresh = known.freshness_hours if freshness_hours is None else freshness_hours
    _update(connection, known, {"version": known.version + 1, "freshness_hours": fresh})
    _write_event(connection, actor, known.subscription_id, "renewed")
    _record(connection, actor, code, "renew", version=known.version + 1, expires_on=terms.expires_on)
    return load_subscription(connection, code)


def _hold_open(connection: Connection, code: str) -> Subscription:
    known = _locked(connection, code)
    if known.state == "ended":
        raise Conflict(f"订阅 {code} 已终止。 Subscription {code} has ended.")
    return known


def set_state(
    connection: Connection, actor: Actor, code: str, state: SubscriptionState, reason: str = ""
) -> Subscription:
    """Suspend, resume or end; an ended subscription stays ended."""
    require(actor, Right.MANAGE_REGISTRY, Right.OPERATE)
    known = _locked(connection, code)
    if state not in NEXT_STATES[known.state]:
        raise Conflict(f"订阅 {code} 现为 {known.state}，不能改为 {state}。 It cannot become {state}.")
    _update(connection, known, {"state": state})
    _write_event(connection, actor, known.subscription_id, "resumed" if state == "active" else state, reason)
    _record(connection, actor, code, state)
    return load_subscription(connection, code)


def follow_providers(connection: Connection, actor: Actor, catalogue: Catalogue, record_type: str) -> None:
    """Another organisation provides a record type now: what gives it names that one, and no longer who did before."""
    require(actor, Right.MANAGE_REGISTRY, Right.OPERATE)
    for known in list_subscriptions(connection, subscription.c.state != "ended"):
        if any(one.record_type == record_type for one in known.definition.record_types):
            providers = providers_of(connection, known.definition, catalogue)
            if providers != sorted(known.providers):
                _update(connection, known, {"providers": providers})
                _record(connection, actor, known.code, "providers", providers=providers)


def note_event(connection: Connection, actor: Actor, known: Subscription, what: str, reason: str = "") -> None:
    """What happened to a subscription without changing it: it lapsed, its provider asks that it be stopped."""
    _write_event(connection, actor, known.subscription_id, what, reason)
    _record(connection, actor, known.code, what)


def _write_event(connection: Connection, actor: Actor, subscription_id: object, what: str, reason: str = "") -> None:
    row = {"event_id": new_uuid(), "subscription_id": subscription_id, "what": what, "by": actor.name}
    connection.execute(insert(subscription_event), [row | {"reason": mask_within(reason), "at": utc_now()}])


def _refuse_incomplete(terms: Terms, **named: str) -> None:
    wanted = {"purpose": terms.purpose, "legal_basis": terms.legal_basis, **named}
    missing = [name for name, value in wanted.items() if not value.strip()]
    if missing:
        raise BadRequest(f"缺少：{'、'.join(missing)}。 Missing: {', '.join(missing)}.", missing=missing)


def _check(
    connection: Connection, catalogue: Catalogue, its: Organisation, definition: SliceDefinition, code: str
) -> None:
    areas = load_area_index(connection)
    check_definition(definition, catalogue, its.kind, its.area_ids(areas))
    _one_after_another(connection, its.code)
    refuse_hunting_together(connection, its.code, definition, code)
    _refuse_unknown_areas(definition, areas)


def _one_after_another(connection: Connection, organisation: str) -> None:
    """Two slices of one organisation approved at the same moment are judged beside each other, not past each other."""
    key = {"key": f"subscriptions/{organisation}"}
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), key)


def _refuse_unknown_areas(definition: SliceDefinition, areas: AreaIndex) -> None:
    unknown = [each for each in definition.areas or () if each not in areas.kind]
    if unknown:
        raise BadRequest(f"没有这些现行区划：{unknown}。 No such areas in force.", areas=unknown)


def _refuse_taken(connection: Connection, code: str) -> None:
    if connection.execute(select(subscription.c.code).where(subscription.c.code == code)).first():
        raise Conflict(f"订阅代码 {code} 已存在。 The code {code} is taken.")


def providers_of(connection: Connection, definition: SliceDefinition, catalogue: Catalogue) -> list[str]:
    """Whose record types a slice names: by the data catalogue, else the sources of the record type.

    For a source that is no organisation but a kind of them, such as every town, stands the bureau.
    """
    named = [one.record_type for one in definition.record_types]
    query = select(catalogue_entry.c.record_type, catalogue_entry.c.provider)
    kept = {
        code: {provider} for code, provider in connection.execute(query.where(catalogue_entry.c.record_type.in_(named)))
    }
    theirs = {each for code in named for each in kept.get(code, catalogue.record_types[code].sources)}
    return sorted(_organisations_or_bureau(connection, theirs))


def _organisations_or_bureau(connection: Connection, named: set[str]) -> set[str]:
    its = organisation_table.c
    query = select(its.code, its.kind).where(its.enabled, its.district == district_of(connection).strip('"'))
    kinds = {row.code: row.kind for row in connection.execute(query.order_by(its.code))}
    bureau = [code for code, kind in kinds.items() if kind == "bureau"][:1]
    return named & kinds.keys() | set(bureau if named - kinds.keys() else ())


def _write_version(
    connection: Connection, subscription_id: object, version: int, definition: SliceDefinition, terms: Terms
) -> None:
    row = {"subscription_id": subscription_id, "version": version, "definition": msgspec.to_builtins(definition)}
    promised = {name: getattr(terms, name) for name in terms.__struct_fields__}
    connection.execute(insert(subscription_version), [row | promised | {"created_at": utc_now()}])


def _update(connection: Connection, known: Subscription, values: dict[str, object]) -> None:
    wanted = subscription.c.subscription_id == known.subscription_id
    connection.execute(update(subscription).where(wanted).values(values))


def _record(connection: Connection, actor: Actor, code: str, how: str, **facts: object) -> None:
    audit.record(connection, actor, Right.MANAGE_REGISTRY, f"subscription/{code}", "done", how=how, **facts)


def _locked(connection: Connection, code: str) -> Subscription:
    connection.execute(select(subscription.c.code).where(subscription.c.code == code).with_for_update())
    return load_subscription(connection, code)


# ---- reading ----


def load_subscription(connection: Connection, code_or_id: str | UUID) -> Subscription:
    """The subscription in its newest version; NotFound if there is none."""
    written = str(code_or_id)
    found = connection.execute(_newest().where(_named(written))).one_or_none() if written.isprintable() else None
    if found is None:
        raise NotFound(f"没有订阅 {code_or_id}。 No subscription {code_or_id}.")
    return _subscription(found)


def load_for_pull(
    connection: Connection, actor: Actor, catalogue: Catalogue, code_or_id: str | UUID, today: date
) -> Subscription:
    """The actor's own subscription, if it may be pulled today, opened for this transaction. Another's looks as if it did
    not exist.

    The definition is checked as on the day of subscribing: since then the catalogue may class a field as clinical,
    and a village may have gone to another town.
    """
    require(actor, Right.PULL_SLICE)
    found = load_subscription(connection, code_or_id)
    if actor.organisation not in (found.organisation, "hub"):
        raise NotFound(f"没有订阅 {code_or_id}。 No subscription {code_or_id}.")
    _refuse_stopped(found, today)
    check_definition(found.definition, catalogue, found.organisation_kind, _own_areas(connection, found))
    open_slice(connection, found.definition, found.organisation_kind)
    return found


def _own_areas(connection: Connection, found: Subscription) -> tuple[int, ...] | None:
    if found.organisation_kind not in OWN_AREA_KINDS:
        return None
    return load_organisation(connection, found.organisation).area_ids(load_area_index(connection))


def _refuse_stopped(found: Subscription, today: date) -> None:
    if found.state != "active" or not found.organisation_enabled:
        raise NotAllowed(f"订阅 {found.code} 已停用。 Subscription {found.code} is not active.", state=found.state)
    if found.expired(today):
        raise NotAllowed(f"订阅 {found.code} 已于 {found.expires_on} 到期，请续期。 It expired; have it renewed.")


def list_subscriptions(connection: Connection, own: ColumnElement[bool]) -> list[Subscription]:
    """Subscriptions the predicate lets through (``Scope.own_subscriptions``), by code."""
    return [_subscription(row) for row in connection.execute(_newest().where(own).order_by(subscription.c.code))]


def load_version(connection: Connection, subscription_id: UUID, version: int) -> SliceDefinition:
    """The definition of an earlier version: what was delivered then can be derived again."""
    query = select(subscription_version.c.definition).where(
        subscription_version.c.subscription_id == subscription_id, subscription_version.c.version == version
    )
    return msgspec.convert(connection.execute(query).scalar_one(), SliceDefinition)


def _named(code_or_id: str | UUID) -> ColumnElement[bool]:
    try:
        return subscription.c.subscription_id == UUID(str(code_or_id))
    except ValueError:
        return subscription.c.code == code_or_id


def _newest() -> Select[Any]:
    its_version = (subscription.c.subscription_id == subscription_version.c.subscription_id) & (
        subscription.c.version == subscription_version.c.version
    )
    its_organisation = organisation_table.c.code == subscription.c.organisation
    columns = [
        *subscription.c,
        *(subscription_version.c[name] for name in ("definition", *Terms.__struct_fields__)),
        organisation_table.c.kind.label("organisation_kind"),
        organisation_table.c.enabled.label("organisation_enabled"),
    ]
    joined = subscription.join(subscription_version, its_version).join(organisation_table, its_organisation)
    return select(*columns).select_from(joined)


def _subscription(row: Row[Any]) -> Subscription:
    return msgspec.convert(row, Subscription, from_attributes=True)
