"""What an address asks of a list: filters, columns, order, page. Everything a list shows follows from its address."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import msgspec

from admin.lists.declared import OWN_NAMES, Column, Filter, ListPage, Words
from hub.errors import BadRequest

_FORMS = {
    "month": re.compile(r"(\d{4}-(0[1-9]|1[0-2]))?"),
    "day": re.compile(r"(\d{4}-\d{2}-\d{2})?"),
    "number": re.compile(r"\d{0,4}"),
    "flag": re.compile(r"(true)?"),
}
_OFF = ("false", "0")
Query = Mapping[str, Sequence[str]]  # an address's values: a name may come several times


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a list."""

    page: ListPage
    filters: dict[str, str]
    columns: tuple[str, ...] = ()  # none: those the list shows at first
    sort: str = ""
    after: str = ""
    export: bool = False
    bare: bool = False  # nothing was asked for: the reader's own first view may answer

    def __getitem__(self, name: str) -> str:
        return self.filters[name]

    @property
    def order(self) -> str:
        """The order that was asked for; else the list's usual one."""
        return self.sort or self.page.usual

    @property
    def narrowed(self) -> dict[str, str]:
        """Filters that differ from what the list shows at first."""
        return {one.name: self.filters[one.name] for one in self.page.filters if self.filters[one.name] != one.default}

    def query(self, **changes: str) -> dict[str, str]:
        """As an address keeps it; the place in the list only where it is asked for."""
        kept = self.filters | {name: value for name, value in changes.items() if name in self.filters}
        defaults = {one.name: one.default for one in self.page.filters}
        said = {name: value for name, value in kept.items() if value != defaults[name]}
        own = {"columns": ",".join(self.columns), "sort": self.sort} | changes
        return said | {name: value for name, value in own.items() if value and name not in kept}

    def link(self, **changes: str) -> str:
        """To this list as it is, but for what changes; ``?view=all`` where nothing is left to say."""
        return f"{self.page.path}?{urlencode(self.query(**changes)) or 'view=all'}"

    def shown_columns(self, words: Words) -> list[Column]:
        """In the list's own order."""
        mine = [one for one in self.page.columns if one.only is None or one.only(words)]
        if not self.columns:
            return [one for one in mine if one.always or one.shown]
        return [one for one in mine if one.always or one.code in self.columns]


def asked_of(page: ListPage, query: Query, **defaults: str) -> Asked:
    """Read and checked: an unknown value, column or order is refused, not passed over.

    ``defaults``: what this reader sees first; an address that says anything of the list says it all.
    """
    said = {*query} & {"view", "export", page.after, *OWN_NAMES, *(one.name for one in page.filters)}
    at_first = {one.name: one.default for one in page.filters} | ({} if said else defaults)
    return Asked(
        page=page,
        filters={one.name: _checked_filter(one, _said(query, one.name, at_first[one.name])) for one in page.filters},
        columns=_checked_columns(page, query.get("columns", ())), sort=_checked_sort(page, _said(query, "sort")),
        after=_said(query, page.after), export=_said(query, "export") == "xlsx", bare=not query,
    )  # fmt: skip


def _said(query: Query, name: str, otherwise: str = "") -> str:
    said = query.get(name, ())
    return said[-1] if said else otherwise


def fresh(page: ListPage) -> Asked:
    """The list as it is at first."""
    return Asked(page=page, filters={one.name: one.default for one in page.filters})


def kept_of(page: ListPage, query: Mapping[str, str]) -> Asked:
    """A saved view: what its list no longer knows is left out."""
    known = fresh(page)
    for name, value in query.items():
        try:
            known = asked_of(page, {each: [said] for each, said in (known.query() | {name: value}).items()})
        except BadRequest:
            continue
    return known


def _checked_filter(one: Filter, value: str) -> str:
    said = "" if one.kind == "flag" and value in _OFF else value.strip()
    if len(said) > one.longest or not said.isprintable():
        raise BadRequest(one.name)
    if one.words is not None and said and said not in one.words:
        raise BadRequest(one.name)
    if (form := _FORMS.get(one.kind)) and not form.fullmatch(said):
        raise BadRequest(one.name)
    return said


def _checked_columns(page: ListPage, given: Sequence[str]) -> tuple[str, ...]:
    chosen = {code for part in given for code in part.split(",") if code}
    known = [one.code for one in page.columns]
    if not chosen <= set(known):
        raise BadRequest("columns")
    return tuple(code for code in known if code in chosen)


def _checked_sort(page: ListPage, given: str) -> str:
    whole = {f"{sign}{one.code}" for one in page.columns if one.sort for sign in ("", "-")}
    if given and given not in whole | set(page.sorts):
        raise BadRequest("sort")
    return given
