"""What the receivers do at the end of the demo's year: most take and sign for what came since, three do otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from hub.database import Database, utc_now
from hub.demo.founding import FOUNDER, data_officer
from hub.demo.subscribers import WANTED, acknowledge_page, reader_of
from hub.exchange import slices
from hub.exchange.cursors import encode_cursor
from hub.exchange.redelivery import list_deliveries
from hub.keyring import Keyring
from hub.registry.scope import reach_of
from hub.registry.subscriptions import load_subscription
from hub.settings import Settings
from hub.sharing.certificates import issue_certificate
from hub.sharing.exports import Wish, make_export
from mappings.catalogue import Catalogue

Manner = Literal["signs", "takes", "differs", "leaves"]
MANNERS: Mapping[str, Manner] = MappingProxyType(
    {"renshe-deaths-moves": "takes", "gongan-vital": "differs", "minzheng-deaths": "leaves"}
)
_TAKEN_AS_A_FILE = ("weijian-newborn", "health")
_NOT_OURS = "0" * 64  # the digest of a copy that is not what was sent


def receive_the_rest(database: Database, settings: Settings, catalogue: Catalogue) -> None:
    """Everybody in their manner; then a certificate for every department, and a file for one."""
    month = utc_now().astimezone(ZoneInfo(settings.time_zone)).strftime("%Y-%m")  # in which all of it arrived
    context = slices.FeedContext(catalogue, Keyring.load(settings.home), settings.page_window)
    for one in WANTED:
        if MANNERS.get(one.code) != "leaves":
            _read_on(database, context, one.code, one.organisation, MANNERS.get(one.code, "signs"))
    for one in WANTED:
        with database.begin() as connection:
            issue_certificate(connection, FOUNDER, context, one.code, month, settings.time_zone)
    _take_a_file(database, settings, catalogue, context.keyring)


def _read_on(database: Database, context: slices.FeedContext, code: str, organisation: str, manner: Manner) -> None:
    actor, more = reader_of(organisation), True
    with database.begin() as connection:
        cursor = _where_it_stands(connection, context, code)
    while more:
        with database.begin() as connection:
            page = slices.read_page(connection, actor, context, code, cursor, slices.LARGEST_PAGE)
            if page.count and manner != "takes":
                digest = page.digest if manner == "signs" else _NOT_OURS
                acknowledge_page(connection, actor, code, page, digest)
        cursor, more = page.next, page.more or page.count > 0  # coming back with its end says that a page arrived


def _where_it_stands(connection: Connection, context: slices.FeedContext, code: str) -> str | None:
    known = load_subscription(connection, code)
    epoch = slices.current_epoch(connection, known)
    last = list_deliveries(connection, known, epoch, limit=1)
    if not last:
        return None
    return encode_cursor(context.keyring.digest_key, known.subscription_id, epoch, last[0].to_seq)


def _take_a_file(database: Database, settings: Settings, catalogue: Catalogue, keyring: Keyring) -> None:
    """As on /subscriptions: the whole slice as a workbook, with its number."""
    code, organisation = _TAKEN_AS_A_FILE
    path = settings.home / "demo" / f"{code}-{utc_now():%Y%m%d}.xlsx"
    make_export(database, settings, catalogue, keyring, data_officer(organisation), code, Wish(), path)
