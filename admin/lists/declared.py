"""What a list declares: its columns with what stands in their cells, its filters, its order, who may read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from admin.language import N_, Language, titled, translator
from hub.desks.saved_views import ViewedList
from hub.registry.organisations import Organisation
from hub.registry.permissions import Actor, Right
from mappings.catalogue import Catalogue

_ZONE = ZoneInfo("Asia/Shanghai")
NOTHING = "—"
MOST_ROWS = 50_000
OWN_NAMES = ("columns", "sort")  # what every list keeps in its address beside its filters


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell: its text, and what belongs to it on the screen. The file has text, tags and further lines."""

    text: str = ""
    href: str = ""
    full: str = ""  # the exact form of what the text says in short: a tip on the screen, and what the file has
    look: str = ""  # of the text
    mark: str = ""  # of the whole cell
    tags: tuple[str, ...] = ()
    more: tuple[str, ...] = ()  # further lines
    number: int | None = None
    tick: str = ""  # name of a check box
    post: str = ""  # the text is a button that sends this form

    @property
    def plain(self) -> bool:
        """Text and nothing else: most cells are, and a page of them is quicker written without asking for the rest."""
        return not (self.href or self.full or self.look or self.tags or self.more or self.tick or self.post)


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """Who reads, in which language, and what names things: everything a cell needs beside its row."""

    actor: Actor
    language: Language
    catalogue: Catalogue
    organisations: Mapping[str, Organisation]
    beside: Mapping[str, Any] = {}

    def say(self, sentence: str) -> str:
        return translator(self.language)(sentence)

    def title(self, one: Any) -> str:
        """Of whatever the catalogue keeps in both languages."""
        return titled(one.title, one.title_en, self.language)

    def record_type(self, code: str) -> str:
        known = self.catalogue.record_types.get(code)
        return self.title(known) if known else code or NOTHING

    def organisation(self, code: str) -> str:
        known = self.organisations.get(code)
        return titled(known.name, known.name_en, self.language) if known else code or NOTHING

    def month(self, value: str | None) -> str:
        if not value:
            return NOTHING
        year, month = value.split("-")
        return f"{year}-{month}" if self.language == "en" else f"{year}年{int(month)}月"


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column. ``data``: what stands in it is nobody's to translate."""

    code: str
    title: str
    cell: Callable[[Any, Words], Cell | str]
    always: bool = False
    shown: bool = True
    numeric: bool = False
    leads: bool = False  # the row's header
    data: bool = False
    on_screen: bool = False  # check boxes and buttons: nothing for the file
    css: str = ""
    sort: Callable[[Any], Any] | None = None  # of a list that is read whole
    only: Callable[[Words], bool] | None = None


Kind = Literal["chips", "choice", "text", "month", "day", "number", "flag", "hidden"]


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """One filter: a name in the address. ``words``: the only values there are, with what they are called."""

    name: str
    title: str
    kind: Kind = "choice"
    words: Mapping[str, str] | None = None
    default: str = ""
    longest: int = 100
    personal: bool = False  # may hold somebody's name: never part of a saved view
    hint: str = ""
    other: bool = True  # chips: whether there is a chip for all of them
    afresh: bool = False  # chips: a search that is typed begins without what was chosen here


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a filter as it can be chosen now; ``many``: how many rows have it, None where that is not counted."""

    value: str
    title: str
    many: int | None = None
    data: bool = False


class ListPage(msgspec.Struct, frozen=True, kw_only=True):
    """A list of the panel: what its address may say, what stands in it, and who may read it."""

    code: str
    path: str
    title: str
    rights: tuple[Right, ...]
    columns: tuple[Column, ...]
    filters: tuple[Filter, ...] = ()
    after: str = "after"  # the address's name for that place
    older: str = N_("下一页")
    rows_a_page: int = 50
    sorts: tuple[str, ...] = ()  # orders the statement knows: columns by their code, "-" before it for downwards
    usual: str = ""  # the one it has where none is asked for
    most_rows: int = MOST_ROWS
    keeps_views: bool = True

    @property
    def viewed(self) -> ViewedList:
        names = frozenset(one.name for one in self.filters if one.kind != "hidden") | set(OWN_NAMES)
        personal = frozenset(one.name for one in self.filters if one.personal)
        return ViewedList(code=self.code, rights=self.rights, names=names, personal=personal)

    def filter_named(self, name: str) -> Filter:
        return next(one for one in self.filters if one.name == name)


def both_ways(names: Iterable[str]) -> tuple[str, ...]:
    """Orders that a statement knows, upwards and downwards."""
    return tuple(f"{sign}{name}" for name in names for sign in ("", "-"))


# ---- cells that many lists have ----


def at(value: datetime | None) -> Cell:
    """An instant on the district's clock: to the minute, the second in the tip and in the file."""
    if value is None:
        return Cell(text=NOTHING)
    here = value.astimezone(_ZONE)
    return Cell(text=f"{here:%Y-%m-%d %H:%M}", full=f"{here:%Y-%m-%d %H:%M:%S}")


def on(value: date | None) -> str:
    return str(value) if value else NOTHING


def counted(value: int, mark: str = "") -> Cell:
    return Cell(text=f"{value:,}", number=value, mark=mark)


def marked(value: int, mark: str) -> Cell:
    """A count that stands out when it is not nought."""
    return counted(value, mark if value else "")


def options_of(
    words: Mapping[str, str], say: Callable[[str], str], many: Mapping[str, int] | None = None
) -> list[Option]:
    return [
        Option(value=value, title=say(title), many=None if many is None else many.get(value, 0))
        for value, title in words.items()
    ]


def named_options(values: Sequence[str], name: Callable[[str], str]) -> list[Option]:
    """Codes with their titles, by title."""
    return sorted((Option(value=one, title=name(one), data=True) for one in values), key=lambda one: one.title)
