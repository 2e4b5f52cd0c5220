"""Corrections as one organisation may see them: of its own records and who has them, or those it has to acknowledge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub import audit
from hub.casework.challenges import find_challenge, is_bureau
from hub.errors import NotFound
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.subscriptions import Subscription, list_subscriptions
from hub.sharing import freshness_sql
from hub.sharing.correction_log import Cause, Correction, Wanted, find_corrections, load_corrections, source_of
from hub.sharing.corrections import FanOut, Receiver, fan_out, fan_out_of_record
from hub.sharing.slice_changes import open_sharing, types_for
from hub.tables import subscription
from mappings.catalogue import Catalogue

Side = Literal["", "source", "receiver"]
A_WINDOW = 50_000  # log rows one page of the list looks through
_MARKS = ("disputed", "person")


class ShownCorrection(msgspec.Struct, frozen=True, kw_only=True):
    """One correction: which fields, never what they held. ``record_id`` for the source and receivers alone."""

    seq: int
    record_type: str
    record_id: UUID | None
    version: int
    op: str
    cause: Cause
    fields: tuple[str, ...]  # empty: the whole record
    recorded_at: datetime
    receivers: tuple[Receiver, ...]
    told: int
    acknowledged: int
    open: int


class CorrectionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some corrections, the newest first; ``before`` is where to go on, None at the beginning of the log."""

    lines: tuple[ShownCorrection, ...]
    before: int | None


def read_corrections(
    connection: Connection, actor: Actor, catalogue: Catalogue, *,
    purpose: str, side: Side = "", before: int | None = None, everything: bool = False, most: int = 50,
) -> CorrectionPage:  # fmt: skip
    """What one may see; a receiver's are those still open unless ``everything``. One bounded look into the log a page."""
    require(actor, Right.READ_SHARING, Right.OPERATE)
    side = side_of(actor, side)
    types, mine = _opened(connection, actor, catalogue)
    if side == "receiver":
        types = [code for code in types if any(_fields_of(mine, code))]
    upto = before - 1 if before else freshness_sql.head(connection)[1]
    after = max(0, upto - A_WINDOW)
    source = actor.organisation if side == "source" else ""
    wanted = Wanted(types=types, after=after, upto=upto, source=source, newest_first=True, most=most)
    found = find_corrections(connection, catalogue, wanted) if types else []
    lines = [_shown(actor, catalogue, one, side, mine) for one in _fanned(connection, actor, catalogue, found, side)]
    if side == "receiver":
        lines = [one for one in lines if one.receivers and (everything or one.open)]
    audit.record(connection, actor, Right.READ_SHARING, "corrections", side=side, lines=len(lines), purpose=purpose)
    following = found[-1].seq if len(found) == most else after + 1
    return CorrectionPage(lines=tuple(lines), before=following if following > 1 else None)


def read_correction(
    connection: Connection, actor: Actor, catalogue: Catalogue, seq: int, *, purpose: str
) -> ShownCorrection:
    """One correction, whatever its cause; NotFound for whoever is neither its source, nor a receiver, nor oversees."""
    require(actor, Right.READ_SHARING, Right.OPERATE)
    types, mine = _opened(connection, actor, catalogue)
    found = [one for one in load_corrections(connection, catalogue, [seq]) if one.record_type in types]
    if not found:
        raise NotFound(str(seq))
    side = _side_of_one(connection, actor, found[0])
    (one,) = _fanned(connection, actor, catalogue, found, side)
    if side == "receiver" and not one.receivers:
        raise NotFound(str(seq))
    audit.record(
        connection, actor, Right.READ_SHARING, f"correction/{seq}", receivers=len(one.receivers), purpose=purpose
    )
    return _shown(actor, catalogue, one, side, mine)


def told_of_challenge(
    connection: Connection, actor: Actor, catalogue: Catalogue, challenge_id: UUID
) -> list[ShownCorrection]:
    """The mark raised, what was corrected, the mark lifted, and how far each has come; who they are, for the source
    and the bureau alone. The transaction is widened: nothing else belongs in it.
    """
    row = find_challenge(connection, actor, challenge_id)
    types, mine = _opened(connection, actor, catalogue)
    if row.record_id is None or row.opened_version is None or row.record_type not in types:
        return []
    last = row.settled_version or 2**31
    side: Side = "" if is_bureau(actor) else "source"
    every = fan_out_of_record(connection, catalogue, row.record_type, row.record_id)
    its = [one for one in every if row.opened_version <= one.correction.version <= last]
    shown = [_shown(actor, catalogue, one, side, mine) for one in its]
    if row.against == actor.organisation or is_bureau(actor):
        return shown
    return [msgspec.structs.replace(one, receivers=(), fields=()) for one in shown]


def side_of(actor: Actor, side: Side) -> Side:
    """The side that is listed: who oversees sees all, everybody else one of their own two."""
    if _oversees(actor):
        return side if side and not is_bureau(actor) else ""
    return side or "receiver"


def _oversees(actor: Actor) -> bool:
    return actor.may(Right.OVERSEE_SHARING) or actor.may(Right.OPERATE)


def _opened(connection: Connection, actor: Actor, catalogue: Catalogue) -> tuple[list[str], list[Subscription]]:
    """Types this actor may know of, and its own subscriptions; from here on the transaction sees what was shared."""
    types = types_for(actor, catalogue)
    mine = list_subscriptions(connection, subscription.c.organisation == actor.organisation)
    open_sharing(connection, actor, types)
    return types, mine


def _side_of_one(connection: Connection, actor: Actor, one: Correction) -> Side:
    if _oversees(actor):
        return ""
    own = source_of(connection, one.record_type, one.record_id) == actor.organisation
    return "source" if own else "receiver"


def _fanned(
    connection: Connection, actor: Actor, catalogue: Catalogue, found: Sequence[Correction], side: Side
) -> list[FanOut]:
    if side != "receiver":
        return fan_out(connection, catalogue, found)
    return fan_out(connection, catalogue, found, only=lambda one: one.organisation == actor.organisation)


def _shown(
    actor: Actor, catalogue: Catalogue, one: FanOut, side: Side, mine: Sequence[Subscription]
) -> ShownCorrection:
    its, states = one.correction, [each.state for each in one.receivers]
    return ShownCorrection(
        seq=its.seq, record_type=its.record_type, record_id=its.record_id if side else None, version=its.version, op=its.op,
        cause=its.cause, fields=_field_names(actor, catalogue, its, side, mine), recorded_at=its.recorded_at,
        receivers=one.receivers, told=sum(state not in ("waiting", "stopped") for state in states),
        acknowledged=states.count("acknowledged"), open=one.open,
    )  # fmt: skip


def _field_names(
    actor: Actor, catalogue: Catalogue, its: Correction, side: Side, mine: Sequence[Subscription]
) -> tuple[str, ...]:
    """Names of changed fields: clinical ones for care alone, a receiver's those it subscribed to."""
    known = catalogue.record_types[its.record_type].by_name
    names = [
        name for name in its.changed_fields if name in known and (actor.kind == "care" or not known[name].clinical)
    ]
    if side == "receiver":
        names = [name for name in names if name in _fields_of(mine, its.record_type)]
    return (*names, *(name for name in _MARKS if name in its.changed_fields))


def _fields_of(mine: Sequence[Subscription], record_type: str) -> set[str]:
    return {
        name
        for each in mine
        for one in each.definition.record_types
        if one.record_type == record_type
        for name in one.fields
    }
