"""A subscription's pages as files, on the other side's SFTP server or in the organisation's own out folder.

A page once given comes back word for word, and its name is made of its numbers: after a crash the same file is
written again. The cursor moves on when the file and its digest have their names.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection

from adapters.channels.sftp_client import SftpFailed, WrongHostKey, visiting
from hub.channels.declarations import OutFolder, SftpDeliver
from hub.channels.fetching import server_of
from hub.channels.run import ChannelFailed, Ran, Tools, reader
from hub.channels.state import State, enter_item, keep_cursor
from hub.errors import CursorGone
from hub.exchange import slices
from hub.exchange.fetched import note_fetched
from hub.exchange.plain_cells import plain_cell
from hub.registry.permissions import Actor
from hub.registry.subscriptions import load_subscription

_LEADING = ("seq", "delivery_no", "op", "record_type", "record_id", "person_id", "version", "recorded_at", "source",
            "disputed")  # fmt: skip

Write = Callable[[str, bytes], None]
Change = dict[str, Any]


def deliver_by_sftp(tools: Tools, name: str, channel: SftpDeliver, state: State) -> Ran:
    """Everything new, page by page, in one visit."""
    try:
        with visiting(server_of(tools, channel)) as visit:
            return _deliver(
                tools, name, channel, state, lambda file, content: visit.write(channel.folder, file, content)
            )
    except WrongHostKey as wrong:
        raise ChannelFailed(str(wrong), alarm=True) from None
    except (SftpFailed, OSError) as wrong:
        raise ChannelFailed(str(wrong) if isinstance(wrong, SftpFailed) else type(wrong).__name__) from None


def deliver_to_folder(tools: Tools, name: str, channel: OutFolder, state: State) -> Ran:
    """The same into ``<home>/drops/<organisation>/out``."""
    folder = tools.settings.drops / channel.organisation / "out"
    folder.mkdir(parents=True, exist_ok=True)
    return _deliver(tools, name, channel, state, lambda file, content: _write_durably(folder / file, content))


def _deliver(tools: Tools, name: str, channel: SftpDeliver | OutFolder, state: State, write: Write) -> Ran:
    cursor, written, more = state.cursor.get("cursor"), 0, True
    with tools.database.begin() as connection:
        actor = reader(connection, name, channel.organisation)
    while more and written < channel.most_pages:
        page = _fetch_page(tools, name, channel, actor, cursor, write)
        if page.count:
            _lay_down(tools, name, channel, actor, page, write)
            written += 1
        cursor, more = page.next, page.more
        keep_cursor(tools.database, name, cursor=cursor)
    return Ran(taken=written, waiting=int(more), look_again=1.0 if more else None)


def _fetch_page(
    tools: Tools, name: str, channel: SftpDeliver | OutFolder, actor: Actor, cursor: str | None, write: Write
) -> slices.Page:
    """A cursor of an earlier epoch (rights changed, a backup restored) is answered with the whole slice first."""
    try:
        return _read_page(tools, channel, actor, cursor)
    except CursorGone:
        return _read_page(tools, channel, actor, _lay_down_whole(tools, name, channel, actor, write))


def _read_page(tools: Tools, channel: SftpDeliver | OutFolder, actor: Actor, cursor: str | None) -> slices.Page:
    with tools.database.begin() as connection:
        return slices.read_page(connection, actor, tools.feed, channel.subscription, cursor, channel.page_size)


def _lay_down_whole(tools: Tools, name: str, channel: SftpDeliver | OutFolder, actor: Actor, write: Write) -> str:
    """The snapshot as one file; where the feed goes on behind it."""
    with tools.database.begin(isolation="REPEATABLE READ") as connection:
        lines = list(slices.snapshot(connection, actor, tools.feed, channel.subscription))
    closing = json.loads(lines[-1])["snapshot"]
    stem = f"{_stem(channel, closing['epoch'], closing['first_delivery_no'])}-snapshot"
    content = "".join(lines).encode()
    if channel.format == "csv":
        content = write_csv([json.loads(line) | {"recorded_at": None} for line in lines[:-1]])
    _write_both(f"{stem}.{channel.format}", content, write)
    with tools.database.begin() as connection:
        _note_laid_down(connection, actor, channel, closing["epoch"], closing["seq"])
    keep_cursor(tools.database, name, cursor=closing["next"])
    return str(closing["next"])


def _lay_down(
    tools: Tools, name: str, channel: SftpDeliver | OutFolder, actor: Actor, page: slices.Page, write: Write
) -> None:
    changes = cast(list[Change], json.loads(f"[{page.changes}]"))
    content = write_csv(changes) if channel.format == "csv" else _write_lines(changes)
    stem = _stem(channel, page.epoch, page.first_delivery_no)
    digest = _write_both(f"{stem}.{channel.format}", content, write)
    with tools.database.begin() as connection:
        enter_item(connection, name, stem, digest, "")
        _note_laid_down(connection, actor, channel, page.epoch, page.to_seq)


def _note_laid_down(
    connection: Connection, actor: Actor, channel: SftpDeliver | OutFolder, epoch: str, to_seq: int
) -> None:
    """The file has its name on the other side: it has been fetched."""
    note_fetched(connection, actor, load_subscription(connection, channel.subscription), epoch, to_seq)


def _stem(channel: SftpDeliver | OutFolder, epoch: str, delivery_no: int) -> str:
    """Delivery numbers begin anew with every epoch: so the epoch is in the name."""
    return f"{channel.subscription}-{epoch.replace('.', '-')}-{delivery_no:010d}"


def _write_both(file: str, content: bytes, write: Write) -> str:
    """The file, then the digest that says it is whole."""
    digest = hashlib.sha256(content).hexdigest()
    write(file, content)
    write(f"{file}.sha256", f"{digest}  {file}\n".encode())
    return digest


def _write_lines(changes: list[Change]) -> bytes:
    return "".join(json.dumps(change, ensure_ascii=False) + "\n" for change in changes).encode()


def write_csv(changes: list[Change]) -> bytes:
    """One row a change, fields before and after side by side; nothing a spreadsheet would run."""
    fields = list(
        dict.fromkeys(name for change in changes for side in ("after", "before") for name in change[side] or ())
    )
    heading = [*_LEADING, *(f"{side}.{name}" for side in ("before", "after") for name in fields)]
    written = io.StringIO(newline="")
    table = csv.writer(written)
    table.writerow(heading)
    for change in changes:
        payload = ((change[side] or {}).get(name) for side in ("before", "after") for name in fields)
        table.writerow([plain_cell(value) for value in (*(change.get(name) for name in _LEADING), *payload)])
    return written.getvalue().encode("utf-8-sig")


def _write_durably(path: Path, content: bytes) -> None:
    """Whole or not at all, and still there after a power cut."""
    partial = path.with_name(f".{path.name}.part")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
