"""Names and numbers in; match, mismatch or not found out, row by row, and nothing else of anybody.

Whoever tries out names is found by it: so many rows a day, few names a number, and not mostly wrong ones. What is kept
of a verification is who asked, what for, and the three counts.
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any, Literal, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import polars as pl
from sqlalchemy import Connection, func, insert, select

from hub import audit
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.errors import BadRequest, HubError
from hub.people.name_keys import name_key
from hub.registry.masking import mask_within
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.tables import verification
from mappings.fields.identity_number import IdentityRules, read_identity_number
from mappings.fields.reading import Cells

Answer = Literal["match", "mismatch", "not_found"]
_LEAST, _MOST = 4, 200  # characters of a purpose


class PurposeMissing(BadRequest):
    """请用 4 至 200 个字写明核验目的，不要写号码。 Say in 4 to 200 characters what it is for, without any number."""

    problem = "purpose-missing"


class NothingToVerify(BadRequest):
    """没有可核验的行。 There is no row to verify."""

    problem = "nothing-to-verify"


class TooManyRows(HubError):
    """一次核验的行数过多，请分几次。 Too many rows in one request: split it."""

    status, problem, exit_code = 413, "too-many-rows", 2


class DayIsUsedUp(HubError):
    """本单位今天的核验行数已用完，请明天再来。 This unit's rows for today are used up: come back tomorrow."""

    status, problem, exit_code = 429, "day-is-used-up", 4


class TriesOutNames(HubError):
    """同一号码配了多个姓名，不予核验。 One number comes with many names: that is guessing, and is refused."""

    status, problem, exit_code = 422, "tries-out-names", 2


class ConsentNeeded(HubError):
    """今天的核验大多姓名不符，须经区局同意方可继续。 Most names did not match today: the bureau must agree before more."""

    status, problem, exit_code = 403, "consent-needed", 3


class Pairs(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, row by row: names and numbers as they were written, ``kinds`` of the cells where a workbook has them."""

    names: pl.Series
    numbers: pl.Series
    kinds: pl.Series | None = None


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    match: int
    mismatch: int
    not_found: int


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """One answer a row, in the order of the rows."""

    verification_id: UUID
    counts: Counts
    answers: list[Answer]


def verify(database: Database, settings: Settings, actor: Actor, pairs: Pairs, purpose: str) -> Verified:
    """Verify in a transaction of its own; that it was refused is noted too."""
    try:
        with database.begin(reach_of(actor)) as connection:
            return verify_people(connection, actor, settings, pairs, purpose)
    except HubError as refused:
        with database.begin(reach_of(actor)) as connection:
            _note_verification(connection, actor, "refused", rows=len(pairs.numbers), why=refused.problem)
        raise


def verify_people(connection: Connection, actor: Actor, settings: Settings, pairs: Pairs, purpose: str) -> Verified:
    """Answers in the order of the rows. An old number answers as the person it finds."""
    require(actor, Right.VERIFY_PEOPLE)
    said = _checked_purpose(purpose)
    _refuse_size(settings, len(pairs.numbers))
    asked = _as_looked_up(pairs, settings)
    _refuse_guessing(settings, asked)
    run_sql(connection, "SELECT pg_advisory_xact_lock(hashtext(:name))", name=f"verify {actor.organisation}")
    before = _today(connection, settings, actor)
    _refuse_day(settings, before[0] + asked.height)
    _refuse_mismatches(settings, actor, *before)
    answers = _answers_of(connection, asked)
    counts = Counts(**{name: answers.count(name) for name in Counts.__struct_fields__})  # type: ignore[arg-type]
    _refuse_mismatches(settings, actor, before[0] + asked.height, before[1] + counts.mismatch)
    verification_id = _enter_verification(connection, actor, said, counts)
    told = msgspec.to_builtins(counts)
    _note_verification(
        connection, actor, "done", verification=str(verification_id), purpose=said, rows=asked.height, **told
    )
    return Verified(verification_id=verification_id, counts=counts, answers=answers)


def find_person(connection: Connection, typed: str, fictitious_prefixes: tuple[str, ...] = ()) -> UUID | None:
    """Whose a number is, however it is typed; for who may see all persons."""
    number = _numbers(pl.Series([typed], dtype=pl.String), None, fictitious_prefixes)[0]
    statement = "SELECT person_id FROM {d}.person_identifier WHERE kind = 'id_no' AND value = :number"
    rows = run_sql(connection, statement, number=number)
    return cast(UUID, rows[0][0]) if rows else None


def _checked_purpose(purpose: str) -> str:
    said = " ".join(purpose.split())
    if not _LEAST <= len(said) <= _MOST or mask_within(said) != said:
        raise PurposeMissing()
    return said


def _refuse_size(settings: Settings, rows: int) -> None:
    if rows == 0:
        raise NothingToVerify()
    if rows > settings.verification.rows_a_request:
        raise TooManyRows(f"{rows} > {settings.verification.rows_a_request}")


def _as_looked_up(pairs: Pairs, settings: Settings) -> pl.DataFrame:
    """Columns number (null: none that can be read), name and key."""
    names = pairs.names.cast(pl.String).fill_null("").str.strip_chars()
    written = names.unique()
    keys = names.replace_strict(written, pl.Series([name_key(name) for name in written], dtype=pl.String))
    number = _numbers(pairs.numbers.cast(pl.String), pairs.kinds, settings.fictitious_prefixes)
    return pl.DataFrame({"number": number, "name": names, "key": keys})


def _numbers(text: pl.Series, kinds: pl.Series | None, fictitious_prefixes: tuple[str, ...]) -> pl.Series:
    rules = IdentityRules(today=utc_now().date(), fictitious_prefixes=fictitious_prefixes, may_be_missing=True)
    return read_identity_number(Cells(text=text, kinds=kinds), rules).values


def _refuse_guessing(settings: Settings, asked: pl.DataFrame) -> None:
    """More names to one number than people have."""
    known = asked.filter(pl.col("number").is_not_null())
    most = max(known.group_by("number").agg(pl.col("key").n_unique())["key"].to_list(), default=0)
    if most > settings.verification.names_a_number:
        raise TriesOutNames(f"{most} > {settings.verification.names_a_number}")


def _today(connection: Connection, settings: Settings, actor: Actor) -> tuple[int, int]:
    """Rows and mismatches of the actor's organisation since midnight."""
    zone = ZoneInfo(settings.time_zone)
    midnight = datetime.combine(utc_now().astimezone(zone).date(), time.min, zone).astimezone(UTC)
    its = verification.c
    summed = select(func.coalesce(func.sum(its.rows), 0), func.coalesce(func.sum(its.mismatch), 0))
    rows = connection.execute(summed.where(its.organisation == actor.organisation, its.asked_at >= midnight)).one()
    return int(rows[0]), int(rows[1])


def _refuse_day(settings: Settings, rows: int) -> None:
    if rows > settings.verification.rows_a_day:
        raise DayIsUsedUp(f"{rows} > {settings.verification.rows_a_day}")


def _refuse_mismatches(settings: Settings, actor: Actor, rows: int, mismatches: int) -> None:
    policy = settings.verification
    if actor.organisation in policy.consented or rows < policy.mismatch_rows:
        return
    if mismatches > policy.mismatch_share * rows:
        raise ConsentNeeded()


def _answers_of(connection: Connection, asked: pl.DataFrame) -> list[Answer]:
    rows = run_sql(
        connection,
        "SELECT answer FROM {d}.verify_people(CAST(:numbers AS text[]), CAST(:names AS text[]), CAST(:keys AS text[]))"
        " ORDER BY row_no",
        numbers=asked["number"].to_list(),
        names=asked["name"].to_list(),
        keys=asked["key"].to_list(),
    )
    return [cast(Answer, answer) for (answer,) in rows]


def _enter_verification(connection: Connection, actor: Actor, purpose: str, counts: Counts) -> UUID:
    verification_id, numbers = new_uuid(), msgspec.to_builtins(counts)
    row = {"verification_id": verification_id, "organisation": actor.organisation, "asked_by": actor.name}
    row |= {"purpose": purpose, "asked_at": utc_now(), "rows": sum(numbers.values()), **numbers}
    connection.execute(insert(verification).values(row))
    return verification_id


def _note_verification(connection: Connection, actor: Actor, outcome: str, **facts: Any) -> None:
    audit.record(connection, actor, Right.VERIFY_PEOPLE, "people", outcome, **facts)
