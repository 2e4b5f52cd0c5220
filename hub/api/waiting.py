"""Readers that wait for the feed to move: one look at its head, twice a second, serves them all."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from weakref import WeakKeyDictionary

from litestar.concurrency import sync_to_thread
from sqlalchemy.exc import SQLAlchemyError

from hub.database import Database, run_sql
from hub.exchange.slices import Page

LONGEST_WAIT_SECONDS = 30
LOOK_SECONDS = 0.5
_AT_A_TIME = 4  # readers that look for their page at once: the others' threads and connections stay free

_stopping = threading.Event()

Head = tuple[str, int]
Read = Callable[[str], Awaitable[Page]]


def let_waiting_go() -> None:
    """The server stops: whoever waits is answered within half a second with the empty page they have."""
    _stopping.set()


async def wait_for_page(database: Database, page: Page, seconds: float, read: Read) -> Page:
    """The first page with something in it, read from the end of this empty one; empty still when the time is over."""
    watch, until = _watch_of(database), time.monotonic() + seconds
    while not page.count and not page.more and not _stopping.is_set() and (left := until - time.monotonic()) > 0:
        if await watch.moved(page, left):
            async with watch.readers:
                page = await read(page.next)
    return page


class FeedWatch:
    """The feed's head as it was last seen; it is looked at for as long as somebody waits."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.readers = asyncio.Semaphore(_AT_A_TIME)
        self._head: Head | None = None
        self._waiting = 0
        self._looking: asyncio.Task[None] | None = None
        self._told = asyncio.get_running_loop().create_future()

    async def moved(self, page: Page, seconds: float) -> bool:
        """Whether there is something behind the page, or a new epoch, before so many seconds are over."""
        until = time.monotonic() + seconds
        self._waiting += 1
        try:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            while not (_is_behind(page, self._head) or _stopping.is_set()) and (left := until - time.monotonic()) > 0:
                await asyncio.wait({self._told}, timeout=left)
        finally:
            self._waiting -= 1
        return _is_behind(page, self._head)

    async def _look(self) -> None:
        self._head = None
        while self._waiting:
            head = await sync_to_thread(_read_head, self.database)
            if _stopping.is_set() or (head is not None and head != self._head):
                self._head = head or self._head
                self._told.set_result(None)
                self._told = asyncio.get_running_loop().create_future()
            await asyncio.sleep(LOOK_SECONDS)


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, FeedWatch] = WeakKeyDictionary()


def _watch_of(database: Database) -> FeedWatch:
    """The serving loop's own: one process serves one hub."""
    loop = asyncio.get_running_loop()
    watch = _watches.get(loop)
    if watch is None or watch.database is not database:
        watch = _watches[loop] = FeedWatch(database)
    return watch


def _is_behind(page: Page, head: Head | None) -> bool:
    return head is not None and (head[1] > page.to_seq or head[0] != page.epoch.rpartition(".")[0])


def _read_head(database: Database) -> Head | None:
    """None while the database is away: whoever waits is then answered with an empty page."""
    try:
        with database.begin() as connection:
            epoch, last_seq = run_sql(connection, "SELECT epoch, last_seq FROM {d}.feed_head")[0]
    except SQLAlchemyError:
        return None
    return str(epoch), int(str(last_seq))
