"""What a town takes with it in a month: its list and its cards as workbooks, and what its printed pages say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from hub.casework.cards_workbook import write_cards
from hub.casework.item_list import RoundList, read_list, stamp_download
from hub.casework.list_lines import Printing
from hub.casework.list_workbook import write_list
from hub.casework.village_cards import VisitCard, read_cards
from hub.database import utc_now
from hub.keyring import Keyring
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Actor
from hub.registry.scope import Scope, scope_for
from hub.settings import Settings
from mappings.catalogue import Catalogue

WORKBOOK, PRINTED = "monthly-check/workbook", "monthly-check/print"


class Paper(msgspec.Struct, frozen=True, kw_only=True):
    """An .xlsx and the name to save it under."""

    name: str
    content: bytes


class PaperContext(msgspec.Struct, frozen=True, kw_only=True):
    """Who takes what from which district, and how it is told."""

    catalogue: Catalogue
    areas: AreaIndex
    scope: Scope
    printing: Printing


def paper_context(connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor) -> PaperContext:
    """Areas and names as they are now; the watermark says who takes it and when."""
    areas = load_area_index(connection)
    sources = {one.code: one.name for one in list_organisations(connection, settings.district)}
    printing = Printing(
        unit=sources.get(actor.organisation, actor.organisation),
        account=actor.name,
        at=utc_now().astimezone(ZoneInfo(settings.time_zone)),
        key=Keyring.load(settings.home).digest_key,
        sources=sources,
    )
    return PaperContext(catalogue=catalogue, areas=areas, scope=scope_for(actor, areas), printing=printing)


def list_paper(connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, month: str) -> Paper:
    """The change list to fill in and send back. The first time is remembered."""
    context = paper_context(connection, settings, catalogue, actor)
    listed = take_list(connection, context, month, WORKBOOK)
    return _paper(lambda path: write_list(path, catalogue, context.areas, listed, context.printing))


def cards_paper(connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, month: str) -> Paper:
    """The cards for the visit, a page a household."""
    context = paper_context(connection, settings, catalogue, actor)
    listed, cards = take_cards(connection, context, month, WORKBOOK)
    return _paper(lambda path: write_cards(path, catalogue, listed, cards, context.printing))


def take_list(connection: Connection, context: PaperContext, month: str, purpose: str) -> RoundList:
    """The list as it leaves the hub, on paper or as a file."""
    listed = read_list(connection, context.catalogue, context.scope, context.areas, month, purpose=purpose)
    stamp_download(connection, context.scope.actor, listed)
    return listed


def take_cards(
    connection: Connection, context: PaperContext, month: str, purpose: str
) -> tuple[RoundList, list[VisitCard]]:
    """The cards as they leave the hub, with the list they are made from."""
    listed = take_list(connection, context, month, purpose)
    return listed, read_cards(connection, context.catalogue, context.scope, context.areas, listed, purpose=purpose)


def _paper(write: Callable[[Path], str]) -> Paper:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "paper.xlsx"
        title = write(path)
        return Paper(name=f"{title}.xlsx", content=path.read_bytes())
