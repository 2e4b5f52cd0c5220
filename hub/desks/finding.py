"""What somebody may find by a word: receipts, record types, units, areas, subscriptions, requests, months, accounts, keys.

No person is found here: a name or an identity number belongs to the search for people, which asks for a purpose.
Every group is cut by what the actor may read, and by row security.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple
from urllib.parse import quote

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, select

from hub.casework.rounds import find_round, local_day
from hub.desks.initials import initials
from hub.exchange.receipt_number import read_receipt_number
from hub.registry.account_list import Wanted, list_accounts
from hub.registry.api_keys import list_keys
from hub.registry.area_history import find_areas
from hub.registry.masking import mask_within
from hub.registry.month_calendar import month_of
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Actor, Right
from hub.registry.scope import Scope, is_care_only
from hub.settings import Settings
from hub.sharing.backlog import list_backlogs
from hub.sharing.certificates import list_certificates
from hub.sharing.request_list import list_requests
from hub.tables import submission
from mappings.catalogue import Catalogue, RecordType

A_GROUP = 20
LONGEST = 60
_NUMBERED = re.compile(r"[A-Za-z]{2}\d{4,8}(-[0-9A-Za-z]{0,10})?")  # HR, ZM, SQ ...: the hub's own numbers
_MONTH = re.compile(r"(?:(20\d{2})[-./年]?)?(0?[1-9]|1[0-2])月?")
_SHARERS = (Right.READ_SHARING, Right.ASK_SLICE)
_KEEPERS = (Right.MANAGE_ACCOUNTS, Right.ASK_ACCESS, Right.ASK_OWN_ACCESS)


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was found, and its page; ``exact``: it is what was typed, and can be nothing else."""

    kind: str
    title: str
    path: str
    title_en: str = ""
    detail: str = ""
    act: str = ""  # which of its pages: sent upload entry month board round
    exact: bool = False


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one kind; ``more``: it was cut after twenty."""

    kind: str
    hits: tuple[Hit, ...]
    more: bool = False


class Looking(NamedTuple):
    """Who looks, and for what."""

    connection: Connection
    settings: Settings
    catalogue: Catalogue
    actor: Actor
    now: datetime
    typed: str

    def fits(self, *texts: str) -> bool:
        """It stands in one of these, or they are typed by their initials."""
        wanted = self.typed.casefold()
        return any(wanted in text.casefold() for text in texts) or any(
            wanted.isascii() and len(wanted) > 1 and initials(text).startswith(wanted) for text in texts
        )

    def may(self, *rights: Right) -> bool:
        return any(map(self.actor.may, rights))


def tidy(typed: str) -> str:
    """As it is looked for: full width made half, no spaces around."""
    return unicodedata.normalize("NFKC", typed).strip()[:LONGEST]


def names_a_person(typed: str) -> bool:
    """It holds the number of a person, or a telephone's: nothing that is looked up, or shown again, here."""
    return not _NUMBERED.fullmatch(typed) and mask_within(typed) != typed


def find(
    connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, typed: str, now: datetime
) -> list[Group]:
    """Everything the word finds, by kind; nothing for no word, or for one that names a person."""
    if not typed or names_a_person(typed):
        return []
    looking = Looking(connection, settings, catalogue, actor, now, typed)
    groups = (_group(kind, look(looking)) for kind, look in _KINDS.items())
    return [group for group in groups if group.hits]


def only_hit(groups: Iterable[Group]) -> Hit | None:
    """What was meant, where there is no doubt."""
    exact = [hit for group in groups for hit in group.hits if hit.exact]
    return exact[0] if len(exact) == 1 else None


def _group(kind: str, hits: Iterator[Hit]) -> Group:
    found = tuple(islice(hits, A_GROUP + 1))
    return Group(kind=kind, hits=found[:A_GROUP], more=len(found) > A_GROUP)


# ---- numbers ----


def _receipts(looking: Looking) -> Iterator[Hit]:
    if not looking.may(Right.READ_SUBMISSION, Right.READ_ALL_SUBMISSIONS):
        return
    whole, begun = read_receipt_number(looking.typed), looking.typed.upper()
    if whole is None and not re.fullmatch(r"(HR)?\d{6,8}(-[0-9A-Z]*)?", begun):
        return
    its, start = submission.c, begun if begun.startswith("HR") else f"HR{begun}"
    named = its.receipt_number == whole if whole else its.receipt_number.like(f"{start}%")
    mine = select(submission).where(named, its.kind != "system", Scope(actor=looking.actor).submissions(submission))
    for row in looking.connection.execute(mine.order_by(its.receipt_number).limit(A_GROUP + 1)):
        known = looking.catalogue.record_types.get(row.record_type)
        detail = " · ".join(filter(None, (known.title if known else "", row.period)))
        path = f"/submissions/{row.submission_id}"
        yield Hit(kind="receipt", title=row.receipt_number, detail=detail, path=path, exact=whole is not None)


def _certificates(looking: Looking) -> Iterator[Hit]:
    number = looking.typed.upper()
    if number.startswith("ZM") and looking.may(Right.READ_SHARING):
        for one in list_certificates(looking.connection, looking.actor):
            if one.certificate_no.upper().startswith(number):
                path, exact = f"/certificates/{quote(one.certificate_no)}", one.certificate_no.upper() == number
                yield Hit(
                    kind="certificate", title=one.certificate_no, detail=f"{one.subscription} · {one.period}",
                    path=path, exact=exact,
                )  # fmt: skip


def _requests(looking: Looking) -> Iterator[Hit]:
    if looking.may(*_SHARERS, Right.OVERSEE_SHARING):
        for one in list_requests(looking.connection, looking.settings, looking.actor, looking.now):
            its = one.request
            if looking.fits(its.request_no, its.wanted.title):
                path, exact = f"/licences/{its.request_id}", its.request_no.upper() == looking.typed.upper()
                yield Hit(kind="request", title=its.request_no, detail=its.wanted.title, path=path, exact=exact)


def _months(looking: Looking) -> Iterator[Hit]:
    month = _read_typed_month(looking)
    if month is None:
        return
    if looking.may(Right.READ_SUBMISSION):
        yield Hit(kind="month", act="month", title=month, path=f"/month?month={month}")
    if looking.may(Right.READ_ALL_SUBMISSIONS, Right.READ_MEASURES):
        yield Hit(kind="month", act="board", title=month, path=f"/board?month={month}")
    if looking.may(Right.READ_ROUND) and find_round(looking.connection, month) is not None:
        yield Hit(kind="month", act="round", title=month, path=f"/rounds/{month}")


def _read_typed_month(looking: Looking) -> str | None:
    """2026-10, 2026年10月, 202610, 10月; a month without its year is the last of that name."""
    found = _MONTH.fullmatch(looking.typed)
    if found is None or not (found[1] or looking.typed.endswith("月")):
        return None
    current = month_of(local_day(looking.settings, looking.now), looking.settings.rounds)
    year, number = int(current[:4]), int(found[2])
    if found[1]:
        year = int(found[1])
    elif number > int(current[5:]):
        year -= 1
    return f"{year:04d}-{number:02d}"


# ---- names ----


def _record_types(looking: Looking) -> Iterator[Hit]:
    own = {looking.actor.organisation, looking.actor.kind}
    for one in looking.catalogue.record_types.values():
        known = one.enabled and (looking.actor.kind == "care" or not is_care_only(one))
        if known and looking.fits(one.title, one.title_en, one.code):
            yield from _of_record_type(looking, one, bool(own & {*one.sources}))


def _of_record_type(looking: Looking, one: RecordType, is_own: bool) -> Iterator[Hit]:
    hit = Hit(kind="record_type", title=one.title, title_en=one.title_en, path="")
    if looking.may(Right.READ_ALL_SUBMISSIONS) or (is_own and looking.may(Right.READ_SUBMISSION)):
        yield replace(hit, act="sent", path=f"/submissions?record_type={one.code}")
    if is_own and looking.may(Right.SUBMIT):
        yield replace(hit, act="upload", path=f"/submissions/new?record_type={one.code}")
    if looking.may(*_SHARERS):
        yield replace(hit, act="entry", path=f"/catalogue/{one.code}")


def _organisations(looking: Looking) -> Iterator[Hit]:
    if looking.may(Right.READ_REGISTRY):
        for one in list_organisations(looking.connection, looking.settings.district):
            if looking.fits(one.name, one.name_en, one.code):
                path = f"/organisations/{quote(one.code)}"
                yield Hit(kind="organisation", title=one.name, title_en=one.name_en, detail=one.code, path=path)


def _areas(looking: Looking) -> Iterator[Hit]:
    if looking.may(Right.READ_REGISTRY):
        for one in find_areas(looking.connection, looking.actor, looking.typed):
            detail = " · ".join(filter(None, (one.parent, one.code)))
            yield Hit(kind="area", title=one.name, detail=detail, path=f"/areas/{one.area_id}")


def _subscriptions(looking: Looking) -> Iterator[Hit]:
    if looking.may(Right.READ_SHARING):
        for one in list_backlogs(looking.connection, looking.actor, looking.catalogue):
            if looking.fits(one.code, one.title):
                path, exact = f"/subscriptions/{quote(one.code)}", one.code == looking.typed
                yield Hit(kind="subscription", title=one.title, detail=one.code, path=path, exact=exact)


def _accounts(looking: Looking) -> Iterator[Hit]:
    if looking.may(*_KEEPERS) and len(looking.typed) > 1:
        for one in list_accounts(looking.connection, looking.actor, Wanted(text=looking.typed)):
            yield Hit(kind="account", title=one.login, detail=one.name, path=f"/accounts/{quote(one.login)}")


def _keys(looking: Looking) -> Iterator[Hit]:
    start = looking.typed.removeprefix("hub_")
    if looking.may(Right.MANAGE_ACCOUNTS, Right.ASK_OWN_ACCESS) and len(start) > 1:
        for one in list_keys(looking.connection, looking.actor):
            if one.kind == "secret" and (one.prefix.startswith(start) or looking.fits(one.title)):
                yield Hit(kind="key", title=one.name, detail=one.title, path=f"/keys/{quote(one.prefix)}")


_KINDS: dict[str, Callable[[Looking], Iterator[Hit]]] = {
    "receipt": _receipts,
    "month": _months,
    "record_type": _record_types,
    "organisation": _organisations,
    "area": _areas,
    "subscription": _subscriptions,
    "request": _requests,
    "certificate": _certificates,
    "account": _accounts,
    "key": _keys,
}
