"""Files on a department's SFTP server become its submissions: each once, however often the hub is killed.

In this order: seen, settled, fetched, accepted (the gate knows the same bytes), entered in the ledger, put aside there.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast
from zoneinfo import ZoneInfo

from adapters.channels.sftp_client import (
    Changed,
    Remote,
    Server,
    SftpFailed,
    TooMuch,
    Visit,
    WrongHostKey,
    read_private_key,
    visiting,
)
from adapters.outbound import CallRefused, listed_address
from hub import jobs
from hub.channels.declarations import SftpChannel, SftpFetch
from hub.channels.run import ChannelFailed, Ran, Tools, sender
from hub.channels.secret_files import read_secret
from hub.channels.state import State, enter_item, keep_cursor, taken
from hub.database import utc_now
from hub.errors import FileRefused, TooLarge
from hub.registry.permissions import Actor

UNFINISHED = (".part", ".tmp", ".filepart", ".uploading", ".crdownload", ".swp")
REJECTED = "rejected"


def server_of(tools: Tools, channel: SftpChannel) -> Server:
    """Where it is now, by a name that was looked up and addresses that were checked."""
    hosts, networks = tools.settings.outbound_hosts, tools.settings.outbound_networks
    try:
        address = listed_address("sftp", channel.host, channel.port, hosts, networks, tools.resolve)
    except CallRefused as refused:
        raise ChannelFailed(str(refused), alarm=True) from None
    except OSError as wrong:
        raise ChannelFailed(f"{channel.host}: {type(wrong).__name__}") from None
    key = _private_key(tools, channel.key_file) if channel.key_file else ""
    password = read_secret(tools.settings, channel.password_file) if channel.password_file else ""
    return Server(
        address=str(address),
        port=channel.port,
        user=channel.user,
        host_keys=channel.host_keys,
        private_key=key,
        password=password,
        seconds=channel.seconds,
    )


def _private_key(tools: Tools, name: str) -> str:
    text = read_secret(tools.settings, name) + "\n"
    try:
        read_private_key(text)
    except ValueError:
        raise ChannelFailed(f"{name}: 不是私钥 not a private key", alarm=True) from None
    return text


def fetch(tools: Tools, name: str, channel: SftpFetch, state: State) -> Ran:
    """One visit: take what has settled."""
    try:
        with visiting(server_of(tools, channel)) as visit:
            return _Fetching(tools, name, channel).take(visit, state)
    except WrongHostKey as wrong:
        raise ChannelFailed(str(wrong), alarm=True) from None
    except (SftpFailed, OSError) as wrong:
        raise ChannelFailed(_told(wrong)) from None


def _told(wrong: Exception) -> str:
    return str(wrong) if isinstance(wrong, SftpFailed) else type(wrong).__name__


class _Fetching:
    """One visit's work."""

    def __init__(self, tools: Tools, name: str, channel: SftpFetch) -> None:
        self.tools, self.name, self.channel = tools, name, channel
        self.zone = ZoneInfo(tools.settings.time_zone)
        self.receipts: list[str] = []
        self.refused: list[str] = []

    def take(self, visit: Visit, state: State) -> Ran:
        with self.tools.database.begin() as connection:
            known = taken(connection, self.name) if self.channel.after == "keep" else set()
            actor = sender(connection, self.name, self.channel.organisation, "sftp")
        there = [one for one in visit.list(self.channel.folder, self.channel.pattern) if self._is_new(one, known)]
        seen = self._look(there, state)
        settled = [one for one in there if utc_now() - seen[one.key] >= self._quiet]
        for one in settled[: self.channel.most_files]:
            self._take_one(visit, actor, one, seen[one.key])
        if self.refused:
            raise ChannelFailed("; ".join(self.refused[:3]))
        left = len(there) - len(self.receipts)
        again = self.channel.settle_seconds + 1 if left else None
        return Ran(taken=len(self.receipts), receipts=tuple(self.receipts), waiting=left, look_again=again)

    @property
    def _quiet(self) -> timedelta:
        return timedelta(seconds=self.channel.settle_seconds)

    def _is_new(self, one: Remote, known: set[str]) -> bool:
        return one.key not in known and not one.name.lower().endswith(UNFINISHED) and not one.name.startswith(".")

    def _look(self, there: list[Remote], state: State) -> dict[str, datetime]:
        """When each was first seen looking as it does; kept before anything is done with it."""
        before, now = state.cursor.get("seen", {}), utc_now()
        seen = {one.key: before.get(one.key, now.isoformat()) for one in there}
        if seen != before:
            keep_cursor(self.tools.database, self.name, seen=seen)
        return {key: datetime.fromisoformat(at) for key, at in seen.items()}

    def _take_one(self, visit: Visit, actor: Actor, one: Remote, first_seen: datetime) -> None:
        """What cannot be taken is told and tried again; it does not keep the others waiting."""
        folder = self.tools.settings.files / "tmp"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            period = self._period(one, first_seen)
            with TemporaryFile(dir=folder) as written:
                file = cast(BinaryIO, written)
                visit.read(self.channel.folder, one, file, self._largest)
                accepted = self._accept(actor, one, file, period)
        except (Changed, TooMuch, _NoPeriod) as wrong:
            self.refused.append(f"{wrong} {one.size} B")
            return
        if self.channel.after == "rename":
            visit.put_aside(self.channel.folder, one, self.channel.done_folder if accepted else REJECTED)

    @property
    def _largest(self) -> int:
        return min(self.channel.largest_bytes, self.tools.settings.max_file_bytes)

    def _accept(self, actor: Actor, one: Remote, file: BinaryIO, period: str | None) -> bool:
        """Whether the gate took it. A file it refuses is entered in the ledger too: it would be refused for ever.

        Any other refusal is the declaration's fault or the hub's: the file stays to come.
        """
        file.seek(0)
        try:
            receipt = self._through_the_gate(actor, one, file, period)
            self.receipts.append(receipt)
        except (FileRefused, TooLarge) as refused:
            self.refused.append(refused.sentence())
            receipt = ""
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        with self.tools.database.begin() as connection:
            enter_item(connection, self.name, one.key, digest, receipt)
        return bool(receipt)

    def _through_the_gate(self, actor: Actor, one: Remote, file: BinaryIO, period: str | None) -> str:
        return jobs.accept(
            self.tools.database,
            self.tools.settings,
            actor,
            stream=file,
            file_name=one.name,
            record_type=self.channel.record_type,
            organisation=actor.organisation,
            period=period,
            door="sftp",
            catalogue=self.tools.catalogue,
        ).receipt_number

    def _period(self, one: Remote, first_seen: datetime) -> str | None:
        """By the name, or the month in which the hub first saw it: the same again after a crash at midnight."""
        if self.channel.period == "none":
            return None
        if self.channel.period == "current":
            return first_seen.astimezone(self.zone).strftime("%Y-%m")
        found = re.search(self.channel.period_pattern, Path(one.name).stem)
        if found is None:
            raise _NoPeriod("文件名中没有所属期 no period in the name")
        return f"{int(found['year']):04d}-{int(found['month']):02d}"


class _NoPeriod(Exception):
    """文件名中没有所属期。 No period in the name."""
