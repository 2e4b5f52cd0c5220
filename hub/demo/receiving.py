"""What has arrived at the receivers, and what stands open: one has fetched and not signed, one holds something else."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from hub.database import Database, utc_now
from hub.demo.founding import FOUNDER, colleague
from hub.demo.subscribers import WANTED, acknowledge_page, reader_of
from hub.exchange.cursors import encode_cursor
from hub.exchange.redelivery import list_deliveries
from hub.exchange.slices import LARGEST_PAGE, FeedContext, current_epoch, read_page
from hub.keyring import Keyring
from hub.registry.subscriptions import load_subscription
from hub.settings import Settings
from hub.sharing.certificates import issue_certificate
from hub.sharing.exports import Wish, make_export
from mappings.catalogue import Catalogue

_FETCHED = ("renshe-deaths-moves", "labour")
_DIFFERENT = ("gongan-vital", "public_security")
_TAKEN_AS_A_FILE = ("weijian-newborn", "health")
_NOT_WHAT_WAS_SENT = "0" * 64  # the digest over a copy that has changed on the way


def receive(database: Database, settings: Settings, catalogue: Catalogue) -> None:
    """Two of the three that did not sign do something; a certificate for every department, and a file for one."""
    month = utc_now().astimezone(ZoneInfo(settings.time_zone)).strftime("%Y-%m")  # in which all of it arrived
    context = FeedContext(catalogue, Keyring.load(settings.home), settings.page_window)
    with database.begin() as connection:
        _come_back(connection, context, *_FETCHED)
        _sign_for_something_else(connection, context, *_DIFFERENT)
    for one in WANTED:
        with database.begin() as connection:
            issue_certificate(connection, FOUNDER, context, one.code, month, settings.time_zone)
    _take_a_file(database, settings, catalogue, context.keyring)


def _come_back(connection: Connection, context: FeedContext, code: str, organisation: str) -> None:
    """A reader that asks for what comes behind a page has that page."""
    known = load_subscription(connection, code)
    epoch = current_epoch(connection, known)
    last = list_deliveries(connection, known, epoch, limit=1)[0].to_seq
    cursor = encode_cursor(context.keyring.digest_key, known.subscription_id, epoch, last)
    read_page(connection, reader_of(organisation), context, code, cursor, LARGEST_PAGE)


def _sign_for_something_else(connection: Connection, context: FeedContext, code: str, organisation: str) -> None:
    reader = reader_of(organisation)
    page = read_page(connection, reader, context, code, None, LARGEST_PAGE)
    acknowledge_page(connection, reader, code, page, _NOT_WHAT_WAS_SENT)


def _take_a_file(database: Database, settings: Settings, catalogue: Catalogue, keyring: Keyring) -> None:
    """As on /subscriptions: the whole slice as a workbook, with its number."""
    code, organisation = _TAKEN_AS_A_FILE
    path = settings.home / "demo" / f"{code}.xlsx"
    clerk = colleague(organisation, "department_clerk")
    make_export(database, settings, catalogue, keyring, clerk, code, Wish(), path)
