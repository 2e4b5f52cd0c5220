"""A list answered: as a page, or as the file of exactly what the page shows; first of all the reader's own first view."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.response import File
from sqlalchemy import Connection

from admin.desk_forms import detail_of
from admin.language import N_
from admin.lists.asked import Asked, Query, kept_of
from admin.lists.declared import Column, Words, at
from admin.lists.shown import (
    Options,
    ShownList,
    Unsaved,
    cells_of,
    chips_of,
    choices_of_columns,
    fields_of,
    heads_of,
    hidden_of,
    said_of,
    views_of,
)
from admin.lists.workbook import Head, ListBook, Taken
from admin.pages import go, show
from admin.visits import Visit
from hub import audit
from hub.database import Database, new_uuid, utc_now
from hub.desks.saved_views import REFUSALS, SavedView, default_view, list_views
from hub.errors import BadRequest
from hub.registry.masking import mask_within
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

DENSITY_COOKIE = "__Host-density"
UNSAVED_COOKIE = "__Host-unsaved"  # the name that was typed for a view that was not saved
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_AT_ONCE = 1000
_INTERNAL = N_("内部使用，不得转供第三方")
Asking = Request[Actor, Visit, Any]


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a list, and where it goes on behind them; "" at its end. ``told``: what the page says of them."""

    rows: Sequence[Any]
    more: str = ""
    told: Mapping[str, Any] = {}


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a list's rows come from: the same statement for the page and for the file."""

    rows: Callable[[Connection, str, int], Fetched]  # the place it goes on from ("" at first), how many
    options: Callable[[Connection, Words], Options] = lambda connection, words: {}
    beside: Callable[[Connection], Mapping[str, Any]] = lambda connection: {}  # for cells, and for the page around
    reader: Database | None = None  # another role reads the rows


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer needs."""

    request: Asking
    database: Database
    settings: Settings
    catalogue: Catalogue

    @property
    def actor(self) -> Actor:
        return self.request.user

    @property
    def query(self) -> Query:
        """As it was asked; a name may come several times."""
        return self.request.query_params.dict()


def open_door(
    request: Asking,
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
    catalogue: NamedDependency[Catalogue],
) -> Door:
    return Door(request=request, database=database, settings=settings, catalogue=catalogue)


def page_of(found: Sequence[Any], size: int, place: Callable[[Any], str]) -> Fetched:
    """Of one row more than is shown: the page, and its last row's place if there is more."""
    return Fetched(rows=found[:size], more=place(found[size - 1]) if len(found) > size else "")


def id_of(place: str) -> UUID:
    """A place that is a row's id."""
    try:
        return UUID(place)
    except ValueError:
        raise BadRequest("before") from None


def answer_list(
    door: Door, asked: Asked, source: Source, template: str, *, status: int = 200, **values: object
) -> Response[Any]:
    """The page in one transaction; nothing that was read is kept."""
    actor, language = door.request.user, door.request.auth.language
    with door.database.begin(reach_of(actor)) as connection:
        views = list_views(connection, actor, asked.page.code) if asked.page.keeps_views else []
        if first := default_view(views) if asked.bare and status == 200 else None:
            return go(door.request, kept_of(asked.page, first.query).link())
        known = {one.code: one for one in list_organisations(connection, door.settings.district)}
        beside = source.beside(connection)
        words = Words(actor=actor, language=language, catalogue=door.catalogue, organisations=known, beside=beside)
        options = source.options(connection, words)
        with source.reader.begin() if source.reader else nullcontext(connection) as reading:
            if asked.export:
                return _as_file(door, connection, asked, words, options, _every_row(reading, asked, source))
            fetched = source.rows(reading, asked.after, asked.page.rows_a_page)
        shown = _shown(door, asked, words, options, fetched, views)
    return show(door.request, template, status=status, list=shown, **_around(beside, known), **fetched.told, **values)


def _around(beside: Mapping[str, Any], organisations: Mapping[str, Any]) -> dict[str, Any]:
    return {"organisations": organisations} | dict(beside)


def _shown(
    door: Door, asked: Asked, words: Words, options: Options, fetched: Fetched, views: Sequence[SavedView]
) -> ShownList:
    columns = asked.shown_columns(words)
    fields = fields_of(asked, options, words)
    rows = _ordered(asked, fetched.rows)
    return ShownList(
        asked=asked, columns=heads_of(asked, columns, words), choices=choices_of_columns(asked, words),
        rows=[cells_of(row, columns, words) for row in rows], chips=chips_of(asked, options, words), fields=fields,
        hidden=hidden_of(asked, fields), said=said_of(asked, options, words), views=views_of(asked, views),
        older=asked.link(**{asked.page.after: fetched.more}) if fetched.more else "",
        density="compact" if door.request.cookies.get(DENSITY_COOKIE) == "compact" else "roomy", made_at=utc_now(),
        unsaved=_unsaved(door),
    )  # fmt: skip


def _unsaved(door: Door) -> Unsaved | None:
    """Why a view was not saved just now, and the name that was typed for it."""
    refused = REFUSALS.get(door.request.query_params.get("unsaved", ""))
    if refused is None:
        return None
    name = unquote(door.request.cookies.get(UNSAVED_COOKIE, ""))
    return Unsaved(error=detail_of(refused(), door.request.auth), name=name)


def _ordered(asked: Asked, rows: Sequence[Any]) -> Sequence[Any]:
    """A list that is read whole is put in order here; any other comes in the order its statement gave it."""
    column = next((one for one in asked.page.columns if one.code == asked.sort.lstrip("-")), None)
    if column is None or column.sort is None:
        return rows
    return sorted(rows, key=column.sort, reverse=asked.sort.startswith("-"))


# ---- the file ----


def _every_row(connection: Connection, asked: Asked, source: Source) -> Iterator[Any]:
    """All pages, from the first."""
    size = min(_AT_ONCE, asked.page.most_rows + 1)
    fetched = source.rows(connection, "", size)
    yield from _ordered(asked, fetched.rows)
    while fetched.more:
        fetched = source.rows(connection, fetched.more, size)
        yield from fetched.rows


def _as_file(
    door: Door, connection: Connection, asked: Asked, words: Words, options: Options, rows: Iterator[Any]
) -> File:
    """Written before it is sent: what could not be recorded is not taken away."""
    number = f"{utc_now():%Y%m%d}-{new_uuid().hex[-8:]}"
    path = door.settings.files / "tmp" / f"list-{number}"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    columns = [one for one in asked.shown_columns(words) if not one.on_screen]
    try:
        book = ListBook(path, _head(asked, words, columns, number))
        taken = book.write_rows((cells_of(row, columns, words) for row in rows), asked.page.most_rows)
        book.close_with(_told(asked, words, options, columns, taken, number))
        _note_taking(connection, asked, words, columns, taken, number)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    name, away = f"{asked.page.code}-{number}.xlsx", BackgroundTask(path.unlink, missing_ok=True)
    headers = {"Cache-Control": "no-store", "X-Export-Number": number}
    return File(path, filename=name, media_type=XLSX, background=away, headers=headers)


def _head(asked: Asked, words: Words, columns: Sequence[Column], number: str) -> Head:
    unit = words.organisation(words.actor.organisation)
    return Head(
        title=words.say(asked.page.title), cover=words.say(N_("说明")),
        mark=f"{number} · {unit} · {words.actor.name} · {words.say(_INTERNAL)}",
        columns=tuple(words.say(one.title) for one in columns), numeric=tuple(one.numeric for one in columns),
    )  # fmt: skip


def _told(
    asked: Asked, words: Words, options: Options, columns: Sequence[Column], taken: Taken, number: str
) -> list[tuple[str, str]]:
    """The cover: whose, when, what was chosen, how much, and how to check it."""
    say = words.say
    chosen = "；".join(f"{title}：{value}" for title, value in said_of(asked, options, words))
    told = [
        (N_("导出编号"), number),
        (N_("单位"), words.organisation(words.actor.organisation)),
        (N_("导出人"), words.actor.name),
        (N_("导出时间"), at(utc_now()).full),
        (N_("筛选条件"), chosen or say(N_("无"))),
        (N_("列"), "、".join(say(one.title) for one in columns)),
        (N_("行数"), str(taken.rows)),
        (N_("内容摘要（SHA-256）"), taken.digest),
        (N_("摘要的算法"), say(N_("清单页自表头起各行写成 CSV：UTF-8，逗号分隔，每行以 LF 结尾。"))),
        (N_("掩码"), say(N_("与页面相同：页面上掩码的内容，本文件中同样掩码。"))),
    ]
    if taken.cut:
        most = say(N_("只含前 {most} 行，其余未导出，请缩小筛选范围。")).format(most=taken.rows)
        told.insert(7, (N_("不完整"), most))
    return [(say(label), value) for label, value in told]


def _note_taking(
    connection: Connection, asked: Asked, words: Words, columns: Sequence[Column], taken: Taken, number: str
) -> None:
    used = next((right for right in asked.page.rights if words.actor.may(right)), Right.SIGNED_IN)
    personal = asked.page.viewed.personal
    chosen = {name: mask_within(value) for name, value in asked.narrowed.items() if name not in personal}
    audit.record(
        connection, words.actor, used, f"list/{asked.page.code}",
        what="list-export", number=number, rows=taken.rows, digest=taken.digest, cut=taken.cut, filter=chosen,
        columns=[one.code for one in columns],
    )  # fmt: skip
