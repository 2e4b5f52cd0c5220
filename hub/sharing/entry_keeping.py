"""An entry is kept: its provider drafts, extends, hands in; the bureau publishes or gives it back with what is wrong.

政务数据共享条例, art. 17. A published version is never changed: whatever is new is the next version.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NoReturn

import msgspec
from sqlalchemy import Connection

from hub import audit
from hub.database import run_sql
from hub.errors import BadRequest, Conflict, NotAllowed
from hub.registry.organisations import find_organisation
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.subscriptions import follow_providers
from hub.registry.working_days import load_calendar
from hub.settings import Settings
from hub.sharing.answers import keeping_registry
from hub.sharing.entries import Entry, encoded, load_entry, today_in
from hub.sharing.entry_clocks import EntryVersion
from hub.sharing.entry_content import EntryContent, difference, flaws, renewed, with_shared
from hub.sharing.licence import one_line
from hub.sharing.working_day_clocks import day_of_receipt, extended_update_by, review_by, update_by
from mappings.catalogue import Catalogue, RecordType
from mappings.data_catalogue_shapes import Classification, Format, Frequency, Mode, Sharing

_LEAST, _LONGEST = 4, 500
_MOST_REASONS = 20
_LONGEST_AGO = timedelta(days=366)


class EntryOfAnother(NotAllowed):
    """只能维护本单位的目录条目。 Only the entries of one's own organisation are kept here."""

    problem = "entry-of-another"


class EntryMoved(Conflict):
    """目录条目不在可以这样办理的状态。 The entry is not in a state in which that can be done."""

    problem = "entry-moved"


class EntryIncomplete(BadRequest):
    """目录条目还不完整，请按清单一次补齐后再提交。 The entry is not complete: here is everything that is wrong with it."""

    problem = "entry-incomplete"


class ReasonMissing(BadRequest):
    """请写明理由（4 至 500 字）。 Say why, in 4 to 500 characters."""

    problem = "reason-missing"


class Edited(msgspec.Struct, frozen=True, kw_only=True):
    """What a data officer may change of an entry; ``shared`` names the fields that are shared."""

    formats: tuple[Format, ...]
    frequency: Frequency
    sharing: Sharing
    reason: str
    modes: tuple[Mode, ...]
    conditions: str
    classification: Classification
    shared: tuple[str, ...]
    assessed_on: date | None = None
    assessed_by: str = ""
    approved_on: date | None = None
    approved_by: str = ""


# ---- the provider ----


def begin_version(
    connection: Connection, settings: Settings, actor: Actor, catalogue: Catalogue, record_type: str,
    cause: str, now: datetime, caused_on: date | None = None,
) -> int:  # fmt: skip
    """A draft of the next version, because of something that happened on a day; its number."""
    entry = _locked_own(connection, actor, record_type)
    if entry.open is not None:
        _moved(entry)
    today, cause = today_in(settings, now), stated(cause, "cause")
    caused = caused_on or today
    if not today - _LONGEST_AGO <= caused <= today:
        raise BadRequest(
            "变化日期在今天之后，或早于一年之前。 It lies after today, or more than a year back.", caused_on=caused
        )
    content = renewed(entry.content, type_of(catalogue, record_type))
    due_on = update_by(load_calendar(settings), caused)
    number = _add_draft(connection, entry, content, cause, caused, due_on)
    _noted(connection, actor, Right.KEEP_ENTRY, record_type, "begun", number)
    return number


def save_draft(connection: Connection, actor: Actor, catalogue: Catalogue, record_type: str, edited: Edited) -> None:
    """What was written so far, complete or not; what the floor forbids is refused at once."""
    entry = _locked_own(connection, actor, record_type)
    version = _open_in(entry, "due", "draft", "returned")
    known = type_of(catalogue, record_type)
    _refuse_closed_items(edited, known)
    written = {name: value for name, value in msgspec.structs.asdict(edited).items() if name != "shared"}
    content = msgspec.structs.replace(renewed(version.content, known), **_stripped(written))
    _amend(connection, version, state="draft", content=encoded(with_shared(content, edited.shared)))
    _noted(connection, actor, Right.KEEP_ENTRY, record_type, "saved", version.version)


def extend_update(
    connection: Connection, settings: Settings, actor: Actor, record_type: str, days: int, reason: str, now: datetime
) -> date:
    """Up to 5 working days more, once, with a reason, before the days are over; the new last day."""
    version = _open_in(_locked_own(connection, actor, record_type), "due", "draft", "returned")
    if version.extended_on is not None:
        raise EntryMoved("只能延长一次。 It was extended before: that is possible once.")
    if today_in(settings, now) > version.due_on:
        raise EntryMoved("更新期限已过，不能再延长，请尽快提交。 The last day has passed: hand it in now.")
    said = stated(reason, "extension_reason")
    last_day = extended_update_by(load_calendar(settings), version.due_on, days)
    _amend(connection, version, extended_on=last_day, extension_reason=said)
    _noted(connection, actor, Right.KEEP_ENTRY, record_type, "extended", version.version, days=days)
    return last_day


def submit_version(
    connection: Connection, settings: Settings, actor: Actor, catalogue: Catalogue, record_type: str, now: datetime
) -> date:
    """Hand it in to the bureau, which has 2 working days; EntryIncomplete lists everything that is wrong."""
    version = _open_in(_locked_own(connection, actor, record_type), "due", "draft", "returned")
    _refuse_flaws(version.content, type_of(catalogue, record_type), today_in(settings, now))
    calendar = load_calendar(settings)
    last_day = review_by(calendar, day_of_receipt(calendar, now, settings.time_zone))
    handed_in = {"submitted_at": now, "submitted_by": actor.name, "review_due_on": last_day}
    _amend(connection, version, state="submitted", **handed_in)
    _noted(connection, actor, Right.KEEP_ENTRY, record_type, "submitted", version.version)
    return last_day


def drop_version(
    connection: Connection, actor: Actor, catalogue: Catalogue, record_type: str, reason: str, now: datetime
) -> None:
    """Give up a version that nothing forces; where the record type itself changed, the update must be made."""
    entry = _locked_own(connection, actor, record_type)
    version = _open_in(entry, "due", "draft", "returned", "submitted")
    if difference(entry.content, renewed(entry.content, type_of(catalogue, record_type))):
        raise EntryMoved(
            "信息类别的字段已变化，须更新目录。 The record type's fields changed: the update must be made."
        )
    if version.content.provider != entry.provider:
        raise EntryMoved("提供单位由区局指定，不能撤销。 The bureau named its provider: that is not given up here.")
    told = {"answer": stated(reason, "reason"), "decided_at": now, "decided_by": actor.name}
    _amend(connection, version, state="withdrawn", **told)
    _noted(connection, actor, Right.KEEP_ENTRY, record_type, "withdrawn", version.version)


# ---- the bureau ----


def publish_version(
    connection: Connection, settings: Settings, actor: Actor, catalogue: Catalogue, record_type: str, now: datetime
) -> None:
    """The version that was handed in takes effect; the one before it is replaced."""
    version = _under_review(connection, actor, record_type)
    _refuse_flaws(version.content, type_of(catalogue, record_type), today_in(settings, now))
    run_sql(connection, _REPLACED, record_type=record_type)
    _amend(connection, version, state="published", answer="", decided_at=now, decided_by=actor.name)
    provider = version.content.provider
    run_sql(connection, _TAKES_EFFECT, record_type=record_type, version=version.version, provider=provider, now=now)
    with keeping_registry(connection, actor) as keeper:
        follow_providers(connection, keeper, catalogue, record_type)
    _noted(connection, actor, Right.OVERSEE_SHARING, record_type, "published", version.version)


def return_version(connection: Connection, actor: Actor, record_type: str, wrong: Sequence[str], now: datetime) -> None:
    """Give it back with one list of everything that is wrong."""
    version = _under_review(connection, actor, record_type)
    listed = [line.strip() for line in wrong if line.strip()]
    if not listed or len(listed) > _MOST_REASONS:
        raise ReasonMissing(wrong="")
    answer = "\n".join(stated(line, "wrong") for line in listed)
    _amend(connection, version, state="returned", answer=answer, decided_at=now, decided_by=actor.name)
    _noted(connection, actor, Right.OVERSEE_SHARING, record_type, "returned", version.version, wrong=len(listed))


def name_provider(
    connection: Connection, settings: Settings, actor: Actor, record_type: str, organisation: str, reason: str,
    now: datetime,
) -> None:  # fmt: skip
    """The bureau names another provider (数源单位): it keeps the next version, and answers from its publication on."""
    require(actor, Right.OVERSEE_SHARING)
    entry = _locked(connection, record_type)
    its = find_organisation(connection, organisation) if organisation.isprintable() else None
    if its is None or its.district != settings.district or not its.enabled or its.kind in ("town", "village", "upper"):
        raise BadRequest(
            f"{organisation} 不能作为提供单位。 {organisation} cannot be a provider.", organisation=organisation
        )
    today, cause = today_in(settings, now), stated(reason, "reason")
    content = msgspec.structs.replace((entry.open or entry).content, provider=organisation, **_UNSIGNED)
    if entry.open is None:
        _add_draft(connection, entry, content, cause, today, update_by(load_calendar(settings), today), state="due")
    else:
        _amend(connection, entry.open, state="due", content=encoded(content), cause=f"{entry.open.cause}；{cause}")
    audit.record(
        connection,
        actor,
        Right.OVERSEE_SHARING,
        f"catalogue/{record_type}",
        how="provider-named",
        provider=organisation,
    )


_UNSIGNED: dict[str, Any] = {"assessed_on": None, "assessed_by": "", "approved_on": None, "approved_by": ""}


# ---- who may, and in which state ----


def keeps(actor: Actor, entry: Entry) -> bool:
    """Whether this actor works on the entry: its provider's data officer; for the bureau's own entries, the bureau."""
    may = actor.may(Right.KEEP_ENTRY) or actor.may(Right.OVERSEE_SHARING)
    return may and actor.organisation == entry.keeper


def reviews(actor: Actor, entry: Entry) -> bool:
    """Whether this actor may review what was handed in: another person than who did that."""
    handed_in = entry.open is not None and entry.open.state == "submitted"
    return handed_in and actor.may(Right.OVERSEE_SHARING) and entry.open.submitted_by != actor.name  # type: ignore[union-attr]


def type_of(catalogue: Catalogue, record_type: str) -> RecordType:
    return catalogue.record_types[record_type]


def stated(reason: str, field: str) -> str:
    """A reason as it is kept; too short or too long is no reason."""
    said = one_line(reason)
    if not _LEAST <= len(said) <= _LONGEST:
        raise ReasonMissing(**{field: ""})
    return said


def _locked(connection: Connection, record_type: str) -> Entry:
    load_entry(connection, record_type)
    run_sql(connection, "SELECT 1 FROM {d}.catalogue_entry WHERE record_type = :one FOR UPDATE", one=record_type)
    return load_entry(connection, record_type)


def _locked_own(connection: Connection, actor: Actor, record_type: str) -> Entry:
    require(actor, Right.KEEP_ENTRY, Right.OVERSEE_SHARING)
    entry = _locked(connection, record_type)
    if not keeps(actor, entry):
        raise EntryOfAnother(f"{entry.catalogue_no} 由 {entry.keeper} 提供。 Its provider is {entry.keeper}.")
    return entry


def _under_review(connection: Connection, actor: Actor, record_type: str) -> EntryVersion:
    require(actor, Right.OVERSEE_SHARING)
    version = _open_in(_locked(connection, record_type), "submitted")
    if version.submitted_by == actor.name:
        raise NotAllowed("提交人不能审核自己提交的条目。 Who handed it in does not review it.")
    return version


def _open_in(entry: Entry, *states: str) -> EntryVersion:
    if entry.open is None or entry.open.state not in states:
        _moved(entry)
    return entry.open


def _moved(entry: Entry) -> NoReturn:
    state = entry.open.state if entry.open else "published"
    raise EntryMoved(f"现为“{_STATE_WORDS[state]}”。 It is {state}.", state=state)


_STATE_WORDS = {
    "due": "待更新", "draft": "草稿", "submitted": "待审核", "returned": "已退回", "published": "已发布",
}  # fmt: skip


def _refuse_flaws(content: EntryContent, record_type: RecordType, today: date) -> None:
    if found := flaws(content, record_type, today):
        raise EntryIncomplete(f"{len(found)} 项待补正。 {len(found)} to put right.", wrong=found)


def _refuse_closed_items(edited: Edited, record_type: RecordType) -> None:
    fields = record_type.by_name
    closed = [name for name in edited.shared if name not in fields or fields[name].clinical]
    if closed:
        raise BadRequest(f"不得共享的数据项：{', '.join(closed)}。 Never shared: {', '.join(closed)}.", shared=closed)


def _stripped(written: dict[str, Any]) -> dict[str, Any]:
    return {name: _printable(value) if isinstance(value, str) else value for name, value in written.items()}


def _printable(text: str) -> str:
    return "\n".join(one_line(line) for line in text.strip().splitlines())


# ---- written ----


def _add_draft(
    connection: Connection, entry: Entry, content: EntryContent, cause: str, caused_on: date, due_on: date,
    *, state: str = "draft",
) -> int:  # fmt: skip
    told = {"record_type": entry.record_type, "content": encoded(content), "cause": cause, "state": state}
    return int(str(run_sql(connection, _DRAFTED, caused_on=caused_on, due_on=due_on, **told)[0][0]))


def _amend(connection: Connection, version: EntryVersion, **values: Any) -> None:
    """Change an open version; a published one is out of reach of this statement."""
    names = ", ".join(
        f"{name} = CAST(:{name} AS jsonb)" if name == "content" else f"{name} = :{name}" for name in values
    )
    place = {"record_type": version.record_type, "version": version.version}
    run_sql(connection, _AMENDED.replace("{values}", names), **place, **values)


def _noted(
    connection: Connection, actor: Actor, right: Right, record_type: str, how: str, version: int, **facts: object
) -> None:
    audit.record(connection, actor, right, f"catalogue/{record_type}", "done", how=how, version=version, **facts)


_DRAFTED = """
INSERT INTO {d}.catalogue_version (record_type, version, state, content, cause, caused_on, due_on)
SELECT CAST(:record_type AS text), max(version) + 1, CAST(:state AS text), CAST(:content AS jsonb),
       CAST(:cause AS text), CAST(:caused_on AS date), CAST(:due_on AS date)
  FROM {d}.catalogue_version WHERE record_type = CAST(:record_type AS text)
RETURNING version
"""
_AMENDED = """
UPDATE {d}.catalogue_version SET {values}
 WHERE record_type = :record_type AND version = :version AND state IN ('due', 'draft', 'submitted', 'returned')
"""
_REPLACED = (
    "UPDATE {d}.catalogue_version SET state = 'replaced' WHERE record_type = :record_type AND state = 'published'"
)
_TAKES_EFFECT = """
UPDATE {d}.catalogue_entry SET version = :version, provider = :provider, published_at = :now
 WHERE record_type = :record_type
"""
