"""A list as its page shows it: columns and cells, chips and fields, what is filtered in words, views, links."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from admin.language import N_
from admin.lists.asked import Asked, kept_of
from admin.lists.declared import Cell, Column, Filter, Option, Words
from hub.desks.saved_views import SavedView

Options = Mapping[str, Sequence[Option]]


class ShownColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column's head; ``order`` for the eye and the ear, ``link`` to order by it."""

    column: Column
    title: str
    chosen: bool = True
    link: str = ""
    order: str = ""  # ascending, descending
    tag: str = "td"  # of its cells, as everything below
    css: str = ""
    data: bool = False


class Chip(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    link: str
    current: bool
    many: int | None = None
    data: bool = False


class Chips(msgspec.Struct, frozen=True, kw_only=True):
    """One filter as a row of chips; switches stand together in one row."""

    title: str
    chips: list[Chip]


class ShownField(msgspec.Struct, frozen=True, kw_only=True):
    """One filter as a field of the form."""

    its: Filter
    value: str
    options: Sequence[Option]


class ShownView(msgspec.Struct, frozen=True, kw_only=True):
    """A saved view with its address, and whether the list is just now what it says."""

    view: SavedView
    link: str
    current: bool


class Unsaved(msgspec.Struct, frozen=True, kw_only=True):
    """A view that was not saved: why, and the name that was typed for it."""

    error: str
    name: str


class ShownList(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the list's macros need."""

    asked: Asked
    columns: list[ShownColumn]
    choices: list[ShownColumn]
    rows: list[list[Cell]]
    chips: list[Chips]
    fields: list[ShownField]
    hidden: dict[str, str]
    said: list[tuple[str, str]]
    views: list[ShownView]
    older: str
    density: str
    made_at: datetime
    unsaved: Unsaved | None = None

    def seated(self, row: Sequence[Cell]) -> Iterator[tuple[ShownColumn, Cell]]:
        """Each cell of a row with its column."""
        return zip(self.columns, row, strict=True)


def cells_of(row: Any, columns: Sequence[Column], words: Words) -> list[Cell]:
    made = (one.cell(row, words) for one in columns)
    return [one if isinstance(one, Cell) else Cell(text=one) for one in made]


def heads_of(asked: Asked, columns: Sequence[Column], words: Words) -> list[ShownColumn]:
    return [_head(asked, one, words) for one in columns]


def choices_of_columns(asked: Asked, words: Words) -> list[ShownColumn]:
    """What the column chooser offers: all but those that are always there."""
    shown = {one.code for one in asked.shown_columns(words)}
    mine = [one for one in asked.page.columns if one.only is None or one.only(words)]
    return [
        ShownColumn(column=one, title=words.say(one.title), chosen=one.code in shown) for one in mine if not one.always
    ]


def chips_of(asked: Asked, options: Options, words: Words) -> list[Chips]:
    rows = [
        _chips(asked, one, options_for(one, options, words), words) for one in asked.page.filters if one.kind == "chips"
    ]
    switches = [_switch(asked, one, words) for one in asked.page.filters if one.kind == "flag"]
    return [one for one in rows if one.chips] + (
        [Chips(title=words.say(asked.page.title), chips=switches)] if switches else []
    )


def fields_of(asked: Asked, options: Options, words: Words) -> list[ShownField]:
    fields = [one for one in asked.page.filters if one.kind not in ("chips", "flag", "hidden")]
    shown = [ShownField(its=one, value=asked[one.name], options=options_for(one, options, words)) for one in fields]
    return [one for one in shown if one.its.kind != "choice" or one.options]


def hidden_of(asked: Asked, fields: Sequence[ShownField]) -> dict[str, str]:
    """What the filters' form takes along unseen."""
    typed = {one.its.name for one in fields} | {one.name for one in asked.page.filters if one.afresh}
    return {name: value for name, value in asked.query().items() if name not in typed}


def said_of(asked: Asked, options: Options, words: Words) -> list[tuple[str, str]]:
    """The filter in words: title and value, for the printed page and the file's cover."""
    narrowed = [(asked.page.filter_named(name), value) for name, value in asked.filters.items() if value]
    return [
        (words.say(one.title), _value_said(one, value, options_for(one, options, words), words))
        for one, value in narrowed
        if one.kind != "hidden" or one.words or one.name in options
    ]


def views_of(asked: Asked, views: Sequence[SavedView]) -> list[ShownView]:
    here, shown = asked.query(), []
    for one in views:
        its = kept_of(asked.page, one.query)
        shown.append(ShownView(view=one, link=its.link(), current=its.query() == here))
    return shown


def options_for(one: Filter, options: Options, words: Words) -> Sequence[Option]:
    """As the page found them; else the filter's own words."""
    if one.name in options:
        return options[one.name]
    return [Option(value=value, title=words.say(title)) for value, title in (one.words or {}).items()]


def _head(asked: Asked, one: Column, words: Words) -> ShownColumn:
    up, down = one.code, f"-{one.code}"
    orders = {each for each in (up, down) if one.sort or each in asked.page.sorts}
    order = {up: "ascending", down: "descending"}.get(asked.order, "")
    following = down if asked.order == up and down in orders else up if up in orders else down
    link = asked.link(sort=following) if orders else ""
    css = f"n {one.css}".rstrip() if one.numeric else one.css
    tag = "th" if one.leads else "td"
    return ShownColumn(column=one, title=words.say(one.title), link=link, order=order, tag=tag, css=css, data=one.data)


def _chips(asked: Asked, one: Filter, options: Sequence[Option], words: Words) -> Chips:
    now = asked[one.name]
    first = [Chip(title=words.say(N_("全部")), link=asked.link(**{one.name: ""}), current=not now)] if one.other else []
    chips = [
        Chip(
            title=each.title, link=asked.link(**{one.name: each.value}), current=now == each.value, many=each.many,
            data=each.data,
        )
        for each in options
        if each.many != 0 or now == each.value
    ]  # fmt: skip
    return Chips(title=words.say(one.title), chips=first + chips if chips else [])


def _switch(asked: Asked, one: Filter, words: Words) -> Chip:
    chosen = bool(asked[one.name])
    link = asked.link(**{one.name: "" if chosen else "true"})
    return Chip(title=words.say(one.title), link=link, current=chosen)


def _value_said(one: Filter, value: str, options: Sequence[Option], words: Words) -> str:
    if one.kind == "month":
        return words.month(value)
    if one.kind == "flag":
        return words.say(N_("是"))
    return next((each.title for each in options if each.value == value), value)
