"""A town sends its roll: the bytes are kept, compared with the register, and what differs becomes a list to work off."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import msgspec
from sqlalchemy import Connection, RowMapping, insert, select, update

from hub import audit
from hub.casework.roll_findings import Finding, Registered, comparing_with, findings
from hub.casework.roll_items import enter_findings
from hub.casework.rolls import LAST, ROLL, Matched, Register, match, read_believed, read_register
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.decisions.roll_file import Reading, ReadRoll, SentRoll, check_roll, read_sent
from hub.errors import BadRequest, Conflict, FileRefused, NotAllowed, NotFound
from hub.exchange import receive
from hub.exchange.header_choices import load_choices
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import Scope, reach_of, scope_for
from hub.settings import Settings
from hub.tables import roll_check
from mappings.catalogue import Catalogue

_NOBODY_ON_IT = ("F_NO_ROWS", "F_EMPTY")


class RollClosed(Conflict):
    """这份名册已结束、未能读取或不再保存，请重新上传。 This roll is closed, unreadable or not kept any more: send it again."""

    problem = "roll-closed"


class EmptyRoll(Conflict):
    """名册没有可用的行，全部居民都会成为“名册没有”。请核对文件；确认无人居住时再确认比对。

    The roll has no usable row: everybody would be missing. Check the file, or confirm that nobody lives there.
    """

    problem = "empty-roll"


class NoNumbers(BadRequest):
    """名册里没有读到一个正确的身份证号，无法比对。请核对列名（如“身份证号”）和号码，可下载模板对照。

    No correct identity number was read from this roll: check that column's header and its numbers.
    """

    problem = "no-numbers"


class NotYourVillage(BadRequest):
    """这个村居不在本镇街。 This village is not one of yours."""

    problem = "not-your-village"


class RollCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One roll that was sent, and what its comparison counted."""

    roll_id: UUID
    organisation: str
    town: int
    village: int | None
    file_name: str
    sha256: str
    state: str
    refusal: str
    asked_by: str
    asked_at: datetime
    compared_at: datetime | None
    counts: dict[str, Any]


_COLUMNS = [roll_check.c[name] for name in RollCheck.__struct_fields__]


def upload_roll(
    database: Database, settings: Settings, catalogue: Catalogue, actor: Actor, stream: BinaryIO, file_name: str,
    village: str = "", *, sure_nobody: bool = False,
) -> RollCheck:  # fmt: skip
    """``village``: the code of the one village it is of. The same bytes again are the same roll, compared anew.

    FileRefused as the line refuses a file; EmptyRoll until it is said that nobody lives there.
    """
    require(actor, Right.SUBMIT, Right.OPERATE)
    with database.begin(reach_of(actor)) as connection:
        areas = load_area_index(connection)
        place = _village_of(scope_of(actor, areas), areas, village)
    with receive.stored(settings, stream) as file, database.begin(reach_of(actor)) as connection:
        roll_id = _known(connection, settings, actor, file.sha256, place)
        if roll_id is None:
            roll_id = _take_in(connection, settings, actor, areas, file, file_name, place)
    return compare_roll(database, settings, catalogue, actor, roll_id, sure_nobody=sure_nobody)


def compare_roll(
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    roll_id: UUID,
    *,
    sure_nobody: bool = False,
) -> RollCheck:
    """Once, or again: what was decided is not asked again, and what is settled is gone from the list."""
    require(actor, Right.SUBMIT, Right.OPERATE)
    with database.begin(reach_of(actor)) as connection:
        check, stored_as = _its_file(connection, actor, roll_id)
        areas = load_area_index(connection)
        reading = _reading(connection, settings, catalogue, actor, areas)
    path = settings.home / stored_as
    if not path.is_file():  # its time is over, or it was in no backup
        raise RollClosed()
    try:
        roll, register = both_sides(database, actor, reading, path)
    except FileRefused as refused:
        _note_refused(database, actor, roll_id, refused)
        raise
    if not roll.readable and not sure_nobody:
        raise EmptyRoll()
    if roll.rows.height and roll.rows["id_no"].null_count() == roll.rows.height:
        raise NoNumbers()
    with database.begin(reach_of(actor)) as connection:
        return _enter_comparison(connection, catalogue, actor, check, areas, roll, register)


def scope_of(actor: Actor, areas: AreaIndex) -> Scope:
    """A town's or village's own areas; nobody else has a roll."""
    scope = scope_for(actor, areas)
    if not scope.own_areas:
        raise NotAllowed("名册由镇街上传。 Rolls are sent by towns.")
    return scope


def _village_of(scope: Scope, areas: AreaIndex, code: str) -> int | None:
    if not code:
        only = scope.own_areas[0] if len(scope.own_areas) == 1 else None
        return only if only is not None and areas.kind[only] == "village" else None
    village = areas.codes.get(code)
    if village is None or areas.current(village) not in scope.own_areas:
        raise NotYourVillage(code, village=code)
    return areas.current(village)


# ---- the file ----


def _known(connection: Connection, settings: Settings, actor: Actor, sha256: str, village: int | None) -> UUID | None:
    """The same file for the same place, if it is still there."""
    its = roll_check.c
    asked = select(its.roll_id, its.stored_as).where(
        its.organisation == actor.organisation, its.sha256 == sha256, its.village.is_not_distinct_from(village),
        its.state.in_(("received", "compared")),
    )  # fmt: skip
    latest = connection.execute(asked.order_by(its.asked_at.desc()).limit(1)).first()
    return latest.roll_id if latest is not None and (settings.home / latest.stored_as).is_file() else None


def _take_in(
    connection: Connection, settings: Settings, actor: Actor, areas: AreaIndex, file: receive.StoredFile, file_name: str,
    village: int | None,
) -> UUID:  # fmt: skip
    """Bytes in their place before the ledger says so. Beside the line's files: whatever no submission names is tidied there."""
    roll_id, now = new_uuid(), utc_now()
    place = f"rolls/{now:%Y}/{now:%m}/{roll_id}"
    _put_in_place(file.temporary, settings.home / place)
    values = {
        "roll_id": roll_id, "organisation": actor.organisation, "town": areas.town_of[actor.area_id or 0],
        "village": village, "file_name": receive.plain_name(file_name), "stored_as": place, "sha256": file.sha256,
        "state": "received", "asked_by": actor.name, "asked_at": now,
    }  # fmt: skip
    connection.execute(insert(roll_check).values(values))
    audit.record(connection, actor, Right.SUBMIT, f"roll/{roll_id}", what="upload", size=file.size, sha256=file.sha256)
    return roll_id


def _put_in_place(temporary: Path, final: Path) -> None:
    """Renamed, durably: the folder's entry too."""
    final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary.rename(final)
    handle = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _its_file(connection: Connection, actor: Actor, roll_id: UUID) -> tuple[RollCheck, str]:
    row = _row(connection, actor, roll_id)
    if row["state"] not in ("received", "compared"):
        raise RollClosed()
    return _described(row), str(row["stored_as"])


def _reading(
    connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, areas: AreaIndex
) -> Reading:
    return Reading(
        settings=settings,
        catalogue=catalogue,
        areas=areas,
        mapping=catalogue.mapping_for(actor.organisation, actor.kind, ROLL),
        choices=load_choices(connection, actor.organisation, ROLL),
        own_areas=frozenset(scope_of(actor, areas).own_areas),
    )


def _sent(path: Path, reading: Reading) -> SentRoll:
    """The roll of a place where nobody lives is a file without a row."""
    try:
        return read_sent(path, reading)
    except FileRefused as refused:
        if refused.facts.get("code") not in _NOBODY_ON_IT:
            raise
        return SentRoll(frame=None)


def _note_refused(database: Database, actor: Actor, roll_id: UUID, refused: FileRefused) -> None:
    code = str(refused.facts.get("code") or "F_COLUMNS_UNCONFIRMED")
    with database.begin(reach_of(actor)) as connection:
        its = roll_check.c.roll_id == roll_id
        connection.execute(update(roll_check).where(its).values(state="refused", refusal=code))
        audit.record(connection, actor, Right.SUBMIT, f"roll/{roll_id}", "refused", code=code)


# ---- the comparison ----


def both_sides(database: Database, actor: Actor, reading: Reading, path: Path) -> tuple[ReadRoll, Register]:
    """The register comes out of the database while the file is read: each has a processor of its own."""

    def read_its_register() -> Register:
        with database.begin(reach_of(actor)) as connection:
            return read_register(connection, reading.catalogue, scope_of(actor, reading.areas), actor.organisation)

    with ThreadPoolExecutor(max_workers=1) as beside:
        coming = beside.submit(read_its_register)
        sent = _sent(path, reading)
        register = coming.result()
    return check_roll(sent, reading, register), register


def _enter_comparison(
    connection: Connection, catalogue: Catalogue, actor: Actor, check: RollCheck, areas: AreaIndex, roll: ReadRoll,
    register: Register,
) -> RollCheck:  # fmt: skip
    """One transaction: the list as it is now, and the counts that belong to it."""
    _row(connection, actor, check.roll_id, lock=True)
    scope = scope_of(actor, areas)
    within = scope.own_areas if check.village is None else areas.expand(check.village)
    rows = roll.rows if check.village is None else roll.rows.with_columns(roll.rows["area"].fill_null(check.village))
    matched = match(rows, register, within, roll.numbers, roll.standing["its"])
    found = find_all(connection, catalogue, areas, matched)
    is_open, settled = enter_findings(connection, actor, check.roll_id, [*found, *roll.unreadable])
    counts = {
        "rows": roll.received, "read": roll.readable,
        "same": roll.readable - sum(one.sheet_row is not None for one in found),
        "settled": settled, "open": is_open, **_last_time(register, within, roll.readable),
    }  # fmt: skip
    compared = {"state": "compared", "refusal": "", "compared_at": utc_now(), "counts": counts}
    connection.execute(update(roll_check).where(roll_check.c.roll_id == check.roll_id).values(compared))
    return find_roll(connection, actor, check.roll_id)


def find_all(connection: Connection, catalogue: Catalogue, areas: AreaIndex, matched: Matched) -> list[Finding]:
    """What the match found, with all three sides of each."""
    persons = [*matched.unsure["person_id"], *matched.missing_there["person_id"]]
    believed = read_believed(connection, catalogue, persons) if persons else {}
    numbers = matched.missing_here.filter(~matched.missing_here["gone"].fill_null(False))["number"].to_list()
    comparing = comparing_with(catalogue, areas, believed, _registered(connection, numbers))
    return _listed(findings(matched, comparing))


def _listed(lines: Iterator[Finding]) -> list[Finding]:
    """Of many lines none is garbage: walking them over and over would take longer than making them."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return list(lines)
    finally:
        if collects:
            gc.enable()


def _registered(connection: Connection, numbers: Sequence[str]) -> dict[str, Registered]:
    """Whether somebody who is not registered here is so elsewhere in the district: yes or no, by the one door there is."""
    if not numbers:
        return {}
    rows = run_sql(
        connection, "SELECT row_no, answer FROM {d}.verify_people(:numbers, :names, :names)",
        numbers=list(numbers), names=[""] * len(numbers),
    )  # fmt: skip
    return {numbers[int(str(row)) - 1]: "nobody" if answer == "not_found" else "elsewhere" for row, answer in rows}


def _last_time(register: Register, within: Sequence[int], rows: int) -> dict[str, Any]:
    """How many stood on the roll before, and whether this one is so much shorter that nobody is missing in bulk."""
    here = register.living.filter(register.living["home"].is_in(list(within)))
    last = here[f"{LAST}id_no"].is_not_null().sum()
    return {
        "registered": here.filter(~here["gone"])["person_id"].n_unique(),
        "last_rows": last,
        "braked": rows * 2 <= last,
    }


# ---- reading ----


def find_roll(connection: Connection, actor: Actor, roll_id: UUID) -> RollCheck:
    """One of the unit's own rolls."""
    return _described(_row(connection, actor, roll_id))


def list_rolls(connection: Connection, actor: Actor, limit: int = 50) -> list[RollCheck]:
    """The unit's own rolls, the newest first."""
    require(actor, Right.READ_CHANGE_LIST, Right.OPERATE)
    its = roll_check.c
    asked = select(*_COLUMNS).where(its.organisation == actor.organisation).order_by(its.asked_at.desc()).limit(limit)
    return [_described(row) for row in connection.execute(asked).mappings()]


def lock_roll(connection: Connection, actor: Actor, roll_id: UUID) -> RollCheck:
    """One at a time decides on a roll, or compares it."""
    return _described(_row(connection, actor, roll_id, lock=True))


def _row(connection: Connection, actor: Actor, roll_id: UUID, *, lock: bool = False) -> RowMapping:
    require(actor, Right.READ_CHANGE_LIST, Right.OPERATE)
    its = roll_check.c
    asked = select(*_COLUMNS, its.stored_as).where(its.roll_id == roll_id, its.organisation == actor.organisation)
    row = connection.execute(asked.with_for_update() if lock else asked).mappings().first()
    if row is None:
        raise NotFound(str(roll_id))
    return row


def _described(row: RowMapping) -> RollCheck:
    return RollCheck(**{name: row[name] for name in RollCheck.__struct_fields__})
