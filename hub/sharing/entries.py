"""The data catalogue's entries: read, published first from the mapping files, due again when a record type changes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from hub.database import district_of, run_sql
from hub.errors import HubError, NotFound
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.working_days import Calendar
from hub.settings import Settings
from hub.sharing.entry_clocks import EntryVersion
from hub.sharing.entry_content import EntryContent, difference, first_content, renewed
from hub.sharing.working_day_clocks import update_by
from mappings.catalogue import Catalogue
from mappings.data_catalogue_shapes import Frequency, Sharing

READERS = (Right.READ_REGISTRY, Right.OPERATE)
_FIRST = "首版，随数据目录文件发布。 First version, from the data catalogue's file."
_SWITCHED_ON = "信息类别重新启用。 The record type was switched on again."
_CHANGED_WHILE_SUBMITTED = (
    "信息类别的字段已变化，请核对后重新提交。 The record type's fields changed: look again and hand in anew."
)


class NumberUsed(HubError):
    """目录编号已用于另一信息类别，请改 data_catalogue.toml。 The catalogue number is another type's: choose another."""

    status, problem = 409, "catalogue-number-used"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry in its published version, and the version that is being worked on, if there is one."""

    record_type: str
    catalogue_no: str
    provider: str
    provider_name: str  # "" where the district has no such organisation
    provider_name_en: str
    provider_takes_part: bool  # False: nobody keeps the entry or answers requests for it
    version: int
    published_at: datetime
    content: EntryContent
    open: EntryVersion | None = None

    @property
    def sharing(self) -> Sharing:
        return self.content.sharing

    @property
    def frequency(self) -> Frequency:
        return self.content.frequency

    @property
    def keeper(self) -> str:
        """Who works on it: the provider, or who the open version says will be."""
        return self.open.content.provider if self.open else self.provider


# ---- read ----


def load_entry(connection: Connection, record_type: str) -> Entry:
    """The entry of one record type; NotFound if none is published."""
    found = _entries(connection, [record_type]) if record_type.isprintable() else []
    if not found:
        raise NotFound(f"没有信息类别 {record_type} 的目录条目。 The catalogue has no entry for {record_type}.")
    return found[0]


def entries_of(connection: Connection, record_types: Iterable[str]) -> dict[str, Entry]:
    """The published entries of these record types, by type."""
    return {one.record_type: one for one in _entries(connection, list(record_types))}


def list_entries(connection: Connection, actor: Actor) -> list[Entry]:
    """The whole catalogue as this actor may see it, by number."""
    require(actor, *READERS)
    return [as_seen_by(actor, one) for one in _entries(connection, None)]


def read_entry(connection: Connection, actor: Actor, record_type: str) -> Entry:
    """One entry as this actor may see it."""
    require(actor, *READERS)
    return as_seen_by(actor, load_entry(connection, record_type))


def list_versions(connection: Connection, actor: Actor, record_type: str) -> list[EntryVersion]:
    """Every version of an entry that this actor may see, newest first; NotFound if there never was one."""
    require(actor, *READERS)
    found = versions_of(connection, record_type) if record_type.isprintable() else []
    if not found:
        raise NotFound(f"没有信息类别 {record_type} 的目录条目。 The catalogue has no entry for {record_type}.")
    keepers = {one.content.provider for one in found if one.is_open}
    return [one for one in found if not one.is_open or sees_open_versions(actor, keepers)]


def versions_of(connection: Connection, record_type: str) -> list[EntryVersion]:
    rows = run_sql(
        connection, f"{_VERSIONS} WHERE record_type = :record_type ORDER BY version DESC", record_type=record_type
    )
    return [_version(row) for row in rows]


def open_versions(connection: Connection) -> list[EntryVersion]:
    """Every version that waits for its provider or for the bureau, the most urgent first."""
    return [_version(row) for row in run_sql(connection, f"{_VERSIONS} WHERE {_OPEN} ORDER BY due_on, record_type")]


def as_seen_by(actor: Actor, entry: Entry) -> Entry:
    """What is not published yet is its provider's and the bureau's business."""
    if entry.open is None or sees_open_versions(actor, {entry.provider, entry.keeper}):
        return entry
    return msgspec.structs.replace(entry, open=None)


def sees_open_versions(actor: Actor, keepers: set[str]) -> bool:
    return actor.organisation in keepers or actor.may(Right.OVERSEE_SHARING) or actor.may(Right.OPERATE)


def today_in(settings: Settings, now: datetime) -> date:
    """The day it is in the district."""
    return now.astimezone(ZoneInfo(settings.time_zone)).date()


def _entries(connection: Connection, record_types: list[str] | None) -> list[Entry]:
    district = district_of(connection).strip('"')
    rows = run_sql(connection, _ENTRIES, district=district, all=record_types is None, record_types=record_types or [])
    waiting = {one.record_type: one for one in open_versions(connection)}
    return [_entry(row, waiting.get(str(row[0]))) for row in rows]


_ENTRIES = """
SELECT e.record_type, e.catalogue_no, e.provider, coalesce(o.name, ''), coalesce(o.name_en, ''),
       coalesce(o.enabled, false), e.version, e.published_at, v.content
  FROM {d}.catalogue_entry e
  JOIN {d}.catalogue_version v ON v.record_type = e.record_type AND v.version = e.version
  LEFT JOIN shared.organisation o ON o.code = e.provider AND o.district = :district
 WHERE :all OR e.record_type = ANY (:record_types)
 ORDER BY e.catalogue_no
"""
_NAMES = ", ".join(EntryVersion.__struct_fields__)
_VERSIONS = f"SELECT {_NAMES} FROM {{d}}.catalogue_version"
_OPEN = "state IN ('due', 'draft', 'submitted', 'returned')"  # as the partial index says it


def _entry(row: tuple[Any, ...], waiting: EntryVersion | None) -> Entry:
    names = Entry.__struct_fields__[:-1]
    return msgspec.convert(dict(zip(names, row, strict=True)) | {"open": waiting}, Entry)


def _version(row: tuple[Any, ...]) -> EntryVersion:
    return msgspec.convert(dict(zip(EntryVersion.__struct_fields__, row, strict=True)), EntryVersion)


# ---- from the mapping files: at provisioning and with every migration ----


def follow_record_types(
    connection: Connection, actor: Actor, catalogue: Catalogue, calendar: Calendar, now: datetime, today: date
) -> None:
    """First versions of new record types; what changed since is due; a type that was switched off is withdrawn.

    Runs with a migration, by the database's owner and before there is any account: each version says itself by whom
    and why it was made, as no audit line could be marked yet.
    """
    publish_first(connection, actor, catalogue, now, today)
    for entry in _entries(connection, None):
        record_type = catalogue.record_types.get(entry.record_type)
        if record_type is None or not record_type.enabled:
            _withdraw_entry(connection, actor, entry, now)
            continue
        before = entry.open.content if entry.open else entry.content
        if cause := difference(before, after := renewed(before, record_type)):
            _make_due(connection, entry, after, cause, today, update_by(calendar, today))


def publish_first(connection: Connection, actor: Actor, catalogue: Catalogue, now: datetime, today: date) -> list[str]:
    """Version 1 of every enabled record type that has no entry yet, as data_catalogue.toml says it; their codes.

    A type that was switched off and is on again is published as it stood, over the fields it has now.
    """
    enabled = {one.code: one for one in catalogue.record_types.values() if one.enabled}
    known = {str(code): (int(str(version)), str(number)) for code, version, number in run_sql(connection, _KNOWN)}
    new = [code for code in enabled if code not in known]
    _refuse_used_numbers(catalogue, new, {number: code for code, (_, number) in known.items()})
    for code in new:
        content = first_content(catalogue, enabled[code])
        told = {"record_type": code, "provider": content.provider, "catalogue_no": content.catalogue_no}
        run_sql(connection, _NEW_ENTRY, now=now, **told)
        _add_published(connection, actor, code, content, _FIRST, now, today)
    for code in enabled:
        if known.get(code, (1, ""))[0] == 0:
            content = renewed(versions_of(connection, code)[0].content, enabled[code])
            _add_published(connection, actor, code, content, _SWITCHED_ON, now, today)
    return new


_KNOWN = "SELECT record_type, version, catalogue_no FROM {d}.catalogue_entry"


def _refuse_used_numbers(catalogue: Catalogue, new: list[str], used: dict[str, str]) -> None:
    for code in new:
        if other := used.get(number := catalogue.entries[code].catalogue_no):
            raise NumberUsed(f"{number}: {other}, {code}")


def _add_published(
    connection: Connection,
    actor: Actor,
    record_type: str,
    content: EntryContent,
    cause: str,
    now: datetime,
    today: date,
) -> None:
    told = {"record_type": record_type, "content": encoded(content), "cause": cause, "actor": actor.name}
    version = run_sql(connection, _NEW_VERSION, now=now, today=today, **told)[0][0]
    run_sql(connection, _PUBLISHED, record_type=record_type, version=version, provider=content.provider, now=now)


_NEW_ENTRY = """
INSERT INTO {d}.catalogue_entry (record_type, catalogue_no, provider, version, published_at)
VALUES (:record_type, :catalogue_no, :provider, 0, :now)
"""
_NEW_VERSION = """
INSERT INTO {d}.catalogue_version
       (record_type, version, state, content, cause, caused_on, due_on, decided_at, decided_by)
SELECT CAST(:record_type AS text), coalesce(max(version), 0) + 1, 'published', CAST(:content AS jsonb),
       CAST(:cause AS text), CAST(:today AS date), CAST(:today AS date), CAST(:now AS timestamptz), CAST(:actor AS text)
  FROM {d}.catalogue_version WHERE record_type = CAST(:record_type AS text)
RETURNING version
"""
_PUBLISHED = """
UPDATE {d}.catalogue_entry SET version = :version, provider = :provider, published_at = :now
 WHERE record_type = :record_type
"""


def _make_due(
    connection: Connection, entry: Entry, content: EntryContent, cause: str, today: date, due_on: date
) -> None:
    """A new version to be worked on; if one is under way, it takes the change in, and its earlier day stays."""
    told = {"record_type": entry.record_type, "content": encoded(content), "cause": cause, "due_on": due_on}
    if entry.open is None:
        run_sql(connection, _DUE, today=today, **told)
    else:
        run_sql(connection, _DUE_TOO, answer=_CHANGED_WHILE_SUBMITTED, version=entry.open.version, **told)


_DUE = """
INSERT INTO {d}.catalogue_version (record_type, version, state, content, cause, caused_on, due_on)
SELECT CAST(:record_type AS text), max(version) + 1, 'due', CAST(:content AS jsonb), CAST(:cause AS text),
       CAST(:today AS date), CAST(:due_on AS date)
  FROM {d}.catalogue_version WHERE record_type = CAST(:record_type AS text)
"""
_DUE_TOO = """
UPDATE {d}.catalogue_version
   SET content = CAST(:content AS jsonb), cause = cause || '；' || :cause, due_on = least(due_on, :due_on),
       answer = CASE state WHEN 'submitted' THEN :answer ELSE answer END,
       state = CASE state WHEN 'submitted' THEN 'returned' ELSE state END
 WHERE record_type = :record_type AND version = :version
"""


def _withdraw_entry(connection: Connection, actor: Actor, entry: Entry, now: datetime) -> None:
    run_sql(connection, _WITHDRAWN, record_type=entry.record_type, now=now, actor=actor.name)
    run_sql(connection, _UNPUBLISHED, record_type=entry.record_type)


_WITHDRAWN = """
UPDATE {d}.catalogue_version
   SET state = 'withdrawn', decided_at = :now, decided_by = :actor,
       answer = '信息类别已停用。 The record type was switched off.'
 WHERE record_type = :record_type AND state IN ('published', 'due', 'draft', 'submitted', 'returned')
"""
_UNPUBLISHED = "UPDATE {d}.catalogue_entry SET version = 0, published_at = NULL WHERE record_type = :record_type"


def encoded(content: EntryContent) -> str:
    return msgspec.json.encode(content).decode()
