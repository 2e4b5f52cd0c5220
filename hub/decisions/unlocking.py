"""A workbook that came with an opening password is opened with it once, and goes in as a new submission without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select, update

from adapters.formats.sandbox import Limits, UnreadableFile, decrypt
from hub import audit, jobs
from hub.database import Database, new_uuid, utc_now
from hub.errors import Conflict, FileRefused, HubError, NotAllowed, NotFound
from hub.exchange.retention import refuse_expired
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.tables import submission

MOST_TRIES = 10
_WITHIN = timedelta(hours=1)
_TRIES = "unlock_tries"  # in the submission's facts: when somebody tried, never what
_DOORS = {"panel": "upload"}


class WrongPassword(HubError):
    """密码不对，文件没有打开，请核对后重试。 That is not the password: the file was not opened. Check it and try again."""

    status, problem, exit_code = 422, "wrong-password", 2


class TooManyTries(HubError):
    """一小时内尝试次数过多，请稍后再试，或去掉密码后重新上传。 Too many tries in an hour: wait, or send it without a password."""

    status, problem = 429, "too-many-tries"


def unlock(database: Database, settings: Settings, actor: Actor, submission_id: UUID, password: str) -> jobs.Accepted:
    """Open one's own file that was refused for its password; the same content without it is a new submission.

    The password is kept nowhere. WrongPassword and TooManyTries; Conflict: that file was not refused for a password.
    """
    require(actor, Right.SUBMIT, Right.OPERATE)
    with database.begin(reach_of(actor)) as connection:
        locked = _count_try(connection, actor, submission_id)
    with _opened(settings, locked, password) as opened:
        if opened is None:
            _note(database, actor, submission_id, "refused")
            raise WrongPassword()
        accepted = _send(database, settings, actor, locked, opened)
    with database.begin(reach_of(actor)) as connection:
        _join_thread(connection, actor, locked, accepted.submission_id)
    return accepted


def _count_try(connection: Connection, actor: Actor, submission_id: UUID) -> Row[Any]:
    """The refused submission, one try more counted against it; the lock makes simultaneous tries wait for each other."""
    mine = submission.c.submission_id == submission_id
    row = connection.execute(select(submission).where(mine).with_for_update()).one_or_none()
    if row is None:
        raise NotFound()
    if row.organisation != actor.organisation:
        raise NotAllowed("只有报送单位可以打开。 Only the sender opens its own file.")
    if row.state != "refused" or (row.refusal or {}).get("code") != "F_PASSWORD":
        raise Conflict(f"{row.receipt_number}: 不是因打开密码退回的。 It was not refused for a password.")
    refuse_expired(row)
    now = utc_now()
    tries = [at for at in row.facts.get(_TRIES, []) if now - datetime.fromisoformat(at) < _WITHIN]
    if len(tries) >= MOST_TRIES:
        raise TooManyTries()
    kept = {**row.facts, _TRIES: [*tries, now.isoformat()]}
    connection.execute(update(submission).where(mine).values(facts=kept))
    return row


@contextmanager
def _opened(settings: Settings, locked: Row[Any], password: str) -> Iterator[Path | None]:
    """The file without its password, for as long as it takes to send it; None for a wrong one."""
    folder = settings.files / "tmp"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / f"unlocked-{new_uuid()}"
    limits = Limits(
        cpu_seconds=settings.parse_cpu_seconds,
        wall_seconds=settings.parse_wall_seconds,
        max_bytes=settings.max_file_bytes,
    )
    try:
        yield target if _decrypt(settings.files / locked.stored_as, password, target, limits) else None
    finally:
        target.unlink(missing_ok=True)


def _decrypt(source: Path, password: str, target: Path, limits: Limits) -> bool:
    try:
        decrypt(source, password, target, limits)
    except UnreadableFile as unreadable:
        if unreadable.code in ("F_WRONG_PASSWORD", "F_PASSWORD"):
            return False
        raise FileRefused(code=unreadable.code) from None
    target.chmod(0o600)
    return True


def _send(database: Database, settings: Settings, actor: Actor, locked: Row[Any], opened: Path) -> jobs.Accepted:
    with opened.open("rb") as stream:
        return jobs.accept(
            database,
            settings,
            actor,
            stream=stream,
            file_name=locked.file_name,
            record_type=locked.record_type,
            organisation=locked.organisation,
            period=locked.period,
            door=_DOORS.get(actor.door, actor.door),
            dry_run=locked.dry_run,
            kind=locked.kind,
        )


def _join_thread(connection: Connection, actor: Actor, locked: Row[Any], submission_id: UUID) -> None:
    """The opened file is a later version of the locked one, and the locked one says what it became."""
    began, its = locked.thread_id or locked.submission_id, submission.c
    mine = update(submission).where(its.submission_id == submission_id, its.submission_id != began)
    connection.execute(mine.values(thread_id=func.coalesce(its.thread_id, began)))
    facts = {name: fact for name, fact in locked.facts.items() if name != _TRIES}
    first = update(submission).where(its.submission_id == locked.submission_id)
    connection.execute(first.values(facts={**facts, "unlocked_as": str(submission_id)}))
    audit.record(connection, actor, Right.SUBMIT, f"submission/{locked.submission_id}", unlocked_as=str(submission_id))


def _note(database: Database, actor: Actor, submission_id: UUID, outcome: str) -> None:
    with database.begin(reach_of(actor)) as connection:
        audit.record(connection, actor, Right.SUBMIT, f"submission/{submission_id}", outcome, problem="wrong-password")
