"""A town's month on paper: the list and the cards to take along as workbooks, to print, and a slip for one person."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from admin.downloads import XLSX
from admin.pages import show
from admin.visits import Visit
from hub.casework.change_notice import read_notice
from hub.casework.list_lines import CHANGES, code_words, kind_words, no_name, print_lines
from hub.casework.round_papers import PRINTED, Paper, cards_paper, list_paper, paper_context, take_cards, take_list
from hub.database import Database
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

Asking = Request[Actor, Visit, Any]


class RoundFileController(Controller):
    """/rounds/{month}/list.xlsx, cards.xlsx, print, cards and notice/{item}."""

    path = "/rounds/{month:str}"

    @get("/list.xlsx", opt={"right": Right.READ_CHANGE_LIST}, sync_to_thread=True)
    def list_workbook(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        month: FromPath[str],
    ) -> Response[bytes]:
        with database.begin(reach_of(request.user)) as connection:
            return _handed_out("list", list_paper(connection, settings, catalogue, request.user, month))

    @get("/cards.xlsx", opt={"right": Right.READ_CHANGE_LIST}, sync_to_thread=True)
    def cards_workbook(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        month: FromPath[str],
    ) -> Response[bytes]:
        with database.begin(reach_of(request.user)) as connection:
            return _handed_out("cards", cards_paper(connection, settings, catalogue, request.user, month))

    @get("/print", opt={"right": Right.READ_CHANGE_LIST}, sync_to_thread=True)
    def print_list(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        month: FromPath[str],
    ) -> Response[str]:
        with database.begin(reach_of(request.user)) as connection:
            context = paper_context(connection, settings, catalogue, request.user)
            listed = take_list(connection, context, month, PRINTED)
        lines = print_lines(catalogue, context.areas, listed, context.printing)
        return show(request, "round_print.html", month=month, lines=lines, printing=context.printing)

    @get("/cards", opt={"right": Right.READ_CHANGE_LIST}, sync_to_thread=True)
    def print_cards(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        month: FromPath[str],
    ) -> Response[str]:
        with database.begin(reach_of(request.user)) as connection:
            context = paper_context(connection, settings, catalogue, request.user)
            _, cards = take_cards(connection, context, month, PRINTED)
        words = _words(catalogue)
        return show(request, "round_cards.html", month=month, cards=cards, printing=context.printing, **words)

    @get("/notice/{item_id:uuid}", opt={"right": Right.READ_CHANGE_LIST}, sync_to_thread=True)
    def notice(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        month: FromPath[str],
        item_id: FromPath[UUID],
    ) -> Response[str]:
        with database.begin(reach_of(request.user)) as connection:
            context = paper_context(connection, settings, catalogue, request.user)
            told = read_notice(connection, catalogue, context.scope, context.areas, month, item_id, purpose=PRINTED)
        return show(request, "round_notice.html", told=told, printing=context.printing, **_words(catalogue))


def _words(catalogue: Catalogue) -> dict[str, Any]:
    """Papers are Chinese, like the lists they go with."""
    return {
        "changes": CHANGES,
        "verdicts": code_words(catalogue, "verdict"),
        "kind_of": lambda item: kind_words(catalogue, item),
        "name_of": lambda item: item.name or no_name(catalogue, item),
    }


def _handed_out(plain: str, paper: Paper) -> Response[bytes]:
    named = f"attachment; filename=\"{plain}.xlsx\"; filename*=UTF-8''{quote(paper.name)}"
    return Response(paper.content, media_type=XLSX, headers={"Content-Disposition": named})
