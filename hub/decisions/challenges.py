"""A receiver of a record says that it is not right; both sides then work the challenge. What the doors call.

A record is found in the unit's own slices alone: what it does not receive it cannot challenge, nor learn that it is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Literal, cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub import audit
from hub.casework.challenge_list import values_of
from hub.casework.challenges import (
    CareNotChallenged,
    Raised,
    answer,
    close,
    find_challenge,
    insist,
    is_bureau,
    raise_challenges,
    withdraw,
)
from hub.database import Database, run_sql, utc_now
from hub.errors import BadRequest, HubError, NotAllowed, NotFound
from hub.exchange.slice_sql import slice_statement
from hub.exchange.unmasking import Unmasked, checked_reason
from hub.registry.masking import mask_within
from hub.registry.organisations import load_organisation
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import Scope, is_care_only, open_persons, reach_of
from hub.registry.slice_definition import SliceType
from hub.registry.subscriptions import Subscription, list_subscriptions, load_for_pull
from hub.settings import Settings
from hub.tables import subscription
from mappings.catalogue import Catalogue, RecordType

Act = Literal["answer", "close", "insist", "withdraw"]
ACTS: tuple[Act, ...] = ("answer", "close", "insist", "withdraw")
_LONGEST = 500


class BadChallenge(BadRequest):
    """请用 4 至 500 个字写明理由；某项有误的，写明字段和正确内容。 Say why in 4 to 500 characters; of a value, what is right."""

    problem = "bad-challenge"


class OwnRecord(BadRequest):
    """这是本单位报送的记录，请直接更正或作废。 This record is your own: correct or void it."""

    problem = "own-record"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver says of a record; kind ``value``: one field is wrong, ``untrue``: it is not so at all."""

    kind: Literal["value", "untrue"]
    reason: str
    field: str = ""
    claimed: str = ""


class _Received(msgspec.Struct, frozen=True):
    """A record as the unit receives it."""

    record_type: RecordType
    source: str
    person_id: UUID | None
    areas: list[int]
    fields: tuple[str, ...]


def raise_challenge(
    database: Database, settings: Settings, catalogue: Catalogue, actor: Actor, record_id: UUID, said: Said
) -> UUID | None:
    """Enter the challenge; its id, or None where the unit has said the same already. The refusal is noted, too."""
    require(actor, Right.WORK_CHALLENGE, Right.OPERATE)
    reason, about = mask_within(" ".join(said.reason.split())), f"record/{record_id}"
    try:
        received = _find_received(database, catalogue, actor, record_id)
        _check(actor, received, said, reason)
        with database.begin(reach_of(actor)) as connection:
            made = raise_challenges(
                connection, settings, utc_now(), [_raised(connection, actor, received, record_id, said, reason)]
            )
            facts: dict[str, Any] = {"kind": said.kind, "record_type": received.record_type.code, "new": len(made)}
            audit.record(connection, actor, Right.WORK_CHALLENGE, about, what="raised", **facts)
    except HubError as refused:
        with database.begin(reach_of(actor)) as connection:
            audit.record(connection, actor, Right.WORK_CHALLENGE, about, "refused", problem=refused.problem)
        raise
    return made[0] if made else None


def _find_received(database: Database, catalogue: Catalogue, actor: Actor, record_id: UUID) -> _Received:
    """Look the record up in each slice the unit may pull today; NotFound where none of them has it."""
    with database.begin(reach_of(actor)) as connection:
        mine = list_subscriptions(connection, Scope(actor=actor).own_subscriptions(subscription))
    for one in mine:
        if one.organisation == actor.organisation and one.state == "active":
            with database.begin(reach_of(actor)) as connection:
                found = next(_in_slice(connection, catalogue, actor, one, record_id), None)
            if found is not None:
                return found
    raise NotFound(str(record_id))


def _in_slice(
    connection: Connection, catalogue: Catalogue, actor: Actor, one: Subscription, record_id: UUID
) -> Iterator[_Received]:
    try:
        opened = load_for_pull(connection, actor, catalogue, one.code, date.today())
    except NotAllowed:  # over, or no longer allowed: then it shows nothing
        return
    for kind in opened.definition.record_types:
        record_type = catalogue.record_types[kind.record_type]
        if is_care_only(record_type):
            continue
        plain = tuple(name for name in kind.fields if not record_type.by_name[name].clinical)
        unsealed = SliceType(kind.record_type, plain, kind.conditions)
        statement, values = slice_statement(unsealed, opened.definition, catalogue)
        rows = run_sql(
            connection,
            f"SELECT f.source, f.person, r.areas FROM ({statement}) f (record_id, person, version, source, disputed, payload)"
            f" JOIN {{d}}.rec_{record_type.code} r ON r.record_id = f.record_id WHERE f.record_id = :wanted",
            wanted=record_id,
            **values,
        )
        for source, person, areas in rows:
            yield _Received(record_type, str(source), cast("UUID | None", person), cast(list[int], areas), plain)


def _check(actor: Actor, received: _Received, said: Said, reason: str) -> None:
    if received.source == actor.organisation:
        raise OwnRecord()
    is_whole = 4 <= len(reason) <= _LONGEST and len(said.claimed) <= _LONGEST
    if said.kind == "value" and is_whole:
        is_whole = said.field in received.fields and bool(said.claimed.strip())
    if not is_whole or (said.kind == "untrue" and (said.field or said.claimed)):
        raise BadChallenge()


def _raised(
    connection: Connection, actor: Actor, received: _Received, record_id: UUID, said: Said, reason: str
) -> Raised:
    return Raised(
        kind=said.kind, record_type=received.record_type.code, record_id=record_id, field=said.field,
        claimed=said.claimed.strip(), reason=reason, raised_by=actor.organisation,
        raised_by_name=load_organisation(connection, actor.organisation).name, against=received.source,
        person_id=received.person_id, areas=tuple(received.areas),
    )  # fmt: skip


def work_challenge(
    database: Database,
    settings: Settings,
    actor: Actor,
    challenge_id: UUID,
    act: str,
    *,
    outcome: str = "",
    text: str = "",
) -> None:
    """One act of one side: answer (``outcome``, ``text``), close, insist (``text``) or withdraw."""
    if act not in ACTS:
        raise BadRequest("请选择 answer、close、insist 或 withdraw。 Choose answer, close, insist or withdraw.")
    with database.begin(reach_of(actor)) as connection:
        if act == "answer":
            answer(connection, settings, actor, challenge_id, outcome, text, utc_now())
        elif act == "insist":
            insist(connection, settings, actor, challenge_id, text, utc_now())
        else:
            end = close if act == "close" else withdraw
            end(connection, actor, challenge_id, utc_now())


def unmask_challenge(
    connection: Connection, actor: Actor, catalogue: Catalogue, challenge_id: UUID, reason: str
) -> Unmasked:
    """Whom a challenge of one's own is about, and what is claimed, once, for a reason. Never for the bureau."""
    require(actor, Right.UNMASK)
    said = checked_reason(reason)
    row = find_challenge(connection, actor, challenge_id)
    if is_bureau(actor):
        raise NotAllowed()
    if is_care_only(catalogue.record_types[row.record_type]):
        raise CareNotChallenged()
    open_persons(connection, [row.person_id] if row.person_id else [])
    read = audit.digest_of([str(challenge_id)])
    facts: dict[str, Any] = {"reason": said, "what": "challenge", "field": row.record_type, "digest": read}
    audit.record(connection, actor, Right.UNMASK, f"challenge/{challenge_id}", **facts)
    return Unmasked(values=values_of(connection, catalogue, row))
