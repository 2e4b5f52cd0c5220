"""Numbered files for people: the slice as it stands, or what was delivered of it.

One of the whole slice is no delivery: whoever follows the feed is not disturbed. One of changes holds kept pages, the
same that a program would get, and can be acknowledged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from hub import audit
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.errors import BadRequest, Conflict, TooLarge
from hub.exchange.fetched import note_fetched
from hub.exchange.receipt_number import new_receipt_number
from hub.exchange.redelivery import replay_pages
from hub.exchange.slices import (
    LARGEST_PAGE,
    FeedContext,
    Page,
    current_epoch,
    open_subscription,
    query_slice,
    read_behind,
)
from hub.keyring import Keyring
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.organisations import load_organisation
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition
from hub.registry.subscriptions import Subscription
from hub.settings import Settings
from hub.sharing.export_columns import sheets_of
from hub.sharing.export_cover import Cover
from hub.sharing.export_list import Export, enter_export, last_position
from hub.sharing.export_workbook import SUFFIXES, Form, write_export
from mappings.catalogue import Catalogue

_PREFIX = "DC"
_ROWS_OF_A_WORKBOOK = 1_000_000  # a sheet ends at 1,048,576: more would be left out without a word


class TooManyRows(TooLarge):
    """行数超过一次导出的上限，请缩小范围，或改用接口。 Too many rows for one export: take less, or use the interface."""

    problem = "too-many-rows"


class NothingNew(Conflict):
    """没有新的变动，不生成文件。 Nothing new was delivered: there is no file to make."""

    problem = "nothing-new"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to take along; without numbers, changes are those since the last download."""

    form: Form = "xlsx"
    whole: bool = True
    record_types: tuple[str, ...] = ()  # (): all of the slice
    areas: tuple[int, ...] = ()  # (): all of the slice; of the whole slice only
    from_delivery_no: int | None = None
    to_delivery_no: int | None = None

    @property
    def narrowed(self) -> bool:
        return bool(self.record_types or self.areas)


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The file that was made; ``more``: there are changes left for another one."""

    export: Export
    file_name: str
    more: bool


class _Content(msgspec.Struct, kw_only=True):
    """What was laid down."""

    epoch: str
    from_seq: int
    to_seq: int
    rows: int
    digest: str
    words: str
    more: bool = False


def make_export(
    database: Database, settings: Settings, catalogue: Catalogue, keyring: Keyring, actor: Actor, code: str, wish: Wish,
    path: Path,
) -> Taken:  # fmt: skip
    """Write the file to ``path`` and enter it; the lines it is made of lie beside it only meanwhile."""
    context = FeedContext(catalogue, keyring, settings.page_window)
    with database.begin(reach_of(actor)) as connection:
        subscription = open_subscription(connection, actor, context, code)
        areas = load_area_index(connection)
    definition = narrow(subscription.definition, wish, areas)
    lines = path.with_name(f"{path.name}.lines")
    try:
        laid_down = _lay_down_slice if wish.whole else _lay_down_changes
        content = laid_down(database, settings, context, actor, code, wish, definition, lines)
        with database.begin(reach_of(actor)) as connection:
            cover = _cover_of(connection, settings, actor, subscription, wish, areas, content)
        write_export(path, wish.form, cover, sheets_of(definition, catalogue, areas, whole=wish.whole), lines)
        with database.begin(reach_of(actor)) as connection:  # only now: the file takes long, and may fail
            export = _enter_line(connection, actor, subscription, wish, content, cover)
    finally:
        lines.unlink(missing_ok=True)
    return Taken(export=export, file_name=f"{export.export_no}.{SUFFIXES[wish.form]}", more=content.more)


def narrow(definition: SliceDefinition, wish: Wish, areas: AreaIndex) -> SliceDefinition:
    """The slice cut down to what was chosen; more than the slice is nobody's to choose."""
    if wish.areas and not wish.whole:
        raise BadRequest("变动按下发的原样导出，不能按辖区筛选。 Changes are taken as delivered, not by area.")
    named = {one.record_type for one in definition.record_types}
    foreign = [each for each in wish.record_types if each not in named]
    within = None if definition.areas is None else {each for one in definition.areas for each in areas.expand(one)}
    outside = [each for each in wish.areas if each not in (areas.kind if within is None else within)]
    if foreign or outside:
        raise BadRequest("所选内容不在订阅范围内。 What was chosen is not in the slice.", outside=[*foreign, *outside])
    kept = tuple(
        one for one in definition.record_types if not wish.record_types or one.record_type in wish.record_types
    )
    return msgspec.structs.replace(definition, record_types=kept, areas=wish.areas or definition.areas)


def _most_rows(settings: Settings, wish: Wish) -> int:
    allowed = settings.sharing.export_rows
    return min(allowed, _ROWS_OF_A_WORKBOOK) if wish.form == "xlsx" else allowed


# ---- laying the rows down ----


def _lay_down_slice(
    database: Database, settings: Settings, context: FeedContext, actor: Actor, code: str, wish: Wish,
    definition: SliceDefinition, lines: Path,
) -> _Content:  # fmt: skip
    """The slice of one instant."""
    encode, most = msgspec.json.Encoder().encode, _most_rows(settings, wish)
    with database.begin(reach_of(actor), isolation="REPEATABLE READ") as connection:
        subscription = open_subscription(connection, actor, context, code)
        epoch = current_epoch(connection, subscription)
        seq = int(str(run_sql(connection, "SELECT last_seq FROM {d}.feed_head")[0][0]))
        rows, digest = _write_lines_of(lines, map(encode, query_slice(connection, context, definition)), most)
    words = f"全量（截至变动序号 {seq}）"
    return _Content(epoch=epoch, from_seq=0, to_seq=seq, rows=rows, digest=digest, words=words)


def _lay_down_changes(
    database: Database, settings: Settings, context: FeedContext, actor: Actor, code: str, wish: Wish,
    definition: SliceDefinition, lines: Path,
) -> _Content:  # fmt: skip
    """Kept pages, or new ones that are kept from now on; each in a transaction of its own, as a program reads them."""
    pages = _Pages(database, settings, context, actor, code, wish)
    wanted = {one.record_type for one in definition.record_types} if wish.record_types else None
    rows, digest = _write_lines_of(lines, (line for page in pages for line in _lines_of(page, wanted)), None)
    if not rows:
        raise NothingNew()
    words = f"变动（下发编号 {pages.first_no}–{pages.last_no}）"
    return _Content(
        epoch=pages.epoch, from_seq=pages.from_seq, to_seq=pages.to_seq, rows=rows, digest=digest, words=words,
        more=pages.more,
    )  # fmt: skip


class _Pages:
    """The pages of one export, as many whole ones as the row limit lets through."""

    def __init__(
        self, database: Database, settings: Settings, context: FeedContext, actor: Actor, code: str, wish: Wish
    ) -> None:
        self._database, self._context, self._actor, self._code, self._wish = database, context, actor, code, wish
        self._left = _most_rows(settings, wish)
        self.epoch, self.from_seq, self.to_seq = "", 0, 0
        self.first_no, self.last_no, self.more = 0, 0, False

    def __iter__(self) -> Iterator[Page]:
        return self._by_numbers() if self._wish.from_delivery_no is not None else self._since_last()

    def _since_last(self) -> Iterator[Page]:
        with self._database.begin(reach_of(self._actor)) as connection:
            self.epoch, position = self._begin(connection)
        self.from_seq = self.to_seq = position
        self.more = True
        while self.more and self._left > 0:
            with self._database.begin(reach_of(self._actor)) as connection:
                subscription = open_subscription(connection, self._actor, self._context, self._code)
                limit = min(LARGEST_PAGE, self._left)
                page = read_behind(
                    connection, self._actor, self._context, subscription, self.epoch, position, limit
                )  # fmt: skip
            position, self.more = page.to_seq, page.more
            if page.count:
                self._count(page)
                yield page

    def _begin(self, connection: Connection) -> tuple[str, int]:
        """Where the last download ended; whoever takes the next has had that one."""
        subscription = open_subscription(connection, self._actor, self._context, self._code)
        epoch = current_epoch(connection, subscription)
        position, had = last_position(connection, subscription, epoch)
        if had is not None and self._actor.organisation == subscription.organisation:
            note_fetched(connection, self._actor, subscription, epoch, had.to_seq, had.from_seq)
        return epoch, position

    def _by_numbers(self) -> Iterator[Page]:
        first, last = self._wish.from_delivery_no or 1, self._wish.to_delivery_no or self._wish.from_delivery_no or 1
        rest: int | None = first
        while rest is not None and self._left > 0:
            with self._database.begin(reach_of(self._actor)) as connection:
                replayed = replay_pages(connection, self._actor, self._context, self._code, rest, last)
            self.epoch = replayed.pages[0].epoch
            for page in replayed.pages:
                self._count(page)
                yield page
            rest = replayed.rest
        self.more = rest is not None

    def _count(self, page: Page) -> None:
        if not self.last_no:
            self.first_no, self.from_seq = page.first_delivery_no, page.from_seq
        self.last_no, self.to_seq = page.first_delivery_no + page.count - 1, page.to_seq
        self._left -= page.count


def _lines_of(page: Page, wanted: set[str] | None) -> Iterator[bytes]:
    """PostgreSQL wrote one change a line: an escaped text has no line break in it."""
    for line in page.changes.encode().split(b",\n"):
        if wanted is None or msgspec.json.decode(line)["record_type"] in wanted:
            yield line


def _write_lines_of(path: Path, lines: Iterable[bytes], most: int | None) -> tuple[int, str]:
    digest, rows = hashlib.sha256(), 0
    with path.open("wb") as file:
        for line in lines:
            if most is not None and rows == most:
                raise TooManyRows(
                    f"超过 {most} 行，请缩小范围，或改用接口。 More than {most} rows: take less.", most=most
                )
            file.write(line + b"\n")
            digest.update(line + b"\n")
            rows += 1
    return rows, digest.hexdigest()


# ---- the cover and the line in the list ----


def _cover_of(
    connection: Connection, settings: Settings, actor: Actor, subscription: Subscription, wish: Wish, areas: AreaIndex,
    content: _Content,
) -> Cover:  # fmt: skip
    now = utc_now().astimezone(ZoneInfo(settings.time_zone))
    return Cover(
        export_no=new_receipt_number(now.date(), _PREFIX), login=actor.name, made_at=now.replace(microsecond=0),
        organisation=load_organisation(connection, subscription.organisation).name,
        organisation_code=subscription.organisation, subscription=subscription.code, title=subscription.title,
        version=subscription.version, catalogue_no=subscription.catalogue_no, purpose=subscription.purpose,
        legal_basis=subscription.legal_basis, scope=subscription.scope, expires_on=str(subscription.expires_on or ""),
        content=content.words, filter=_filter_words(wish, areas), rows=content.rows, digest=content.digest,
        providers="、".join(_names_of(connection, subscription.providers)),
        conditions=_conditions(connection, subscription.request_id),
    )  # fmt: skip


def _filter_words(wish: Wish, areas: AreaIndex) -> str:
    chosen = [*wish.record_types, *(areas.name_of.get(each, str(each)) for each in wish.areas)]
    return "、".join(chosen) or "无（订阅范围内全部）"


def _names_of(connection: Connection, codes: Iterable[str]) -> list[str]:
    rows = run_sql(
        connection, "SELECT name FROM shared.organisation WHERE code = ANY(:codes) ORDER BY code", codes=list(codes)
    )
    return [str(name) for (name,) in rows]


def _conditions(connection: Connection, request_id: UUID | None) -> tuple[str, ...]:
    """What the providers attached to their approval."""
    rows = run_sql(
        connection,
        "SELECT reason FROM {d}.licence_answer WHERE request_id = :request_id AND state = 'approved' AND reason <> ''"
        " ORDER BY provider",
        request_id=request_id,
    )
    return tuple(str(reason) for (reason,) in rows)


def _enter_line(
    connection: Connection, actor: Actor, subscription: Subscription, wish: Wish, content: _Content, cover: Cover
) -> Export:
    export = Export(
        export_id=new_uuid(), export_no=cover.export_no, epoch=content.epoch, definition_version=subscription.version,
        form=wish.form, whole=wish.whole, from_seq=content.from_seq, to_seq=content.to_seq,
        areas=list(wish.areas) or None, record_types=list(wish.record_types) or None, rows=content.rows,
        digest=content.digest, made_by=actor.name, made_at=cover.made_at,
    )  # fmt: skip
    enter_export(connection, actor, subscription, export)
    audit.record(
        connection, actor, Right.PULL_SLICE, subscription.code, export_no=export.export_no, whole=wish.whole,
        form=wish.form, rows=content.rows, digest=content.digest, to_seq=content.to_seq, purpose=subscription.purpose,
    )  # fmt: skip
    return export
