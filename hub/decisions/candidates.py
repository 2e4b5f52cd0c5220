"""Who a held row may mean: the candidates side by side, as far as somebody needs it to tell them apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, select

from hub import audit
from hub.errors import BadRequest
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import open_persons
from hub.tables import held_candidate, person, person_identifier, person_profile

_ENDS = 2  # the birth date stands beside the number: with more of it shown, nothing would be masked


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One person a row may mean; the number masked, ``features`` as the matcher weighed them."""

    person_id: UUID
    role: str
    score: float
    features: Mapping[str, Any]
    name: str
    number: str
    sex: str
    birth_date: date | None
    home_area: int | None
    died_on: date | None


def list_candidates(connection: Connection, actor: Actor, submission_id: UUID, row_no: int) -> list[Candidate]:
    """The likeliest first; that they were read is noted. These persons alone are opened, for this transaction."""
    require(actor, Right.DECIDE_HELD, Right.OPERATE)
    its = held_candidate.c
    mine = select(held_candidate).where(its.submission_id == submission_id, its.row_no == row_no)
    found = connection.execute(mine.order_by(its.role, its.score.desc(), its.person_id)).all()
    if not found:
        return []
    place = f"submission/{submission_id}/row/{row_no}"
    audit.record(
        connection, actor, Right.DECIDE_HELD, place, what="candidates", candidates=len(found),
        digest=audit.digest_of(one.person_id for one in found),
    )  # fmt: skip
    open_persons(connection, {one.person_id for one in found})
    asked = select(person_profile).where(person_profile.c.person_id.in_({one.person_id for one in found}))
    profiles = {one.person_id: one for one in connection.execute(asked)}
    return [_side(one, profiles.get(one.person_id)) for one in found]


def _side(found: Row[Any], profile: Row[Any] | None) -> Candidate:
    return Candidate(
        person_id=found.person_id,
        role=found.role,
        score=found.score,
        features=found.features,
        name=(profile.name if profile else None) or "",
        number=mask_beside_birth(profile.id_no if profile else None),
        sex=(profile.sex if profile else None) or "",
        birth_date=profile.birth_date if profile else None,
        home_area=profile.home_area if profile else None,
        died_on=profile.died_on if profile else None,
    )


def mask_beside_birth(number: str | None) -> str:
    """Its two ends only."""
    if not number:
        return ""
    return number[:_ENDS] + "*" * max(len(number) - 2 * _ENDS, 1) + number[-_ENDS:]


def persons_chosen(connection: Connection, chosen: Collection[str]) -> tuple[dict[str, str], set[str]]:
    """The person each has become since, and who of them has a number; BadRequest for one who was erased."""
    current: dict[str, str] = {}
    for one in chosen:
        current[one] = _standing_person(connection, UUID(one))
    open_persons(connection, set(current.values()))
    its = person_identifier.c
    numbered = select(its.person_id).where(
        its.person_id.in_([UUID(one) for one in current.values()]), its.kind == "id_no", its.replaced_by.is_(None)
    )
    return current, {str(one) for one in connection.scalars(numbered)} if current else set()


def _standing_person(connection: Connection, person_id: UUID) -> str:
    """Who this person turned out to be."""
    open_persons(connection, [person_id])
    row = connection.execute(select(person).where(person.c.person_id == person_id)).one_or_none()
    if row is None or row.erased_at is not None:
        raise BadRequest("所选人员已不在登记中，请重新打开这一行。 That person is no longer known: open the row again.")
    return str(person_id) if row.merged_into is None else _standing_person(connection, row.merged_into)
