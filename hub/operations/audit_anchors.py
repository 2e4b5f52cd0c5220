"""The audit's head leaves the database: appended to a file of anchors, sent to syslog, retried until it was sent."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from logging.handlers import SysLogHandler
from pathlib import Path

from hub import audit
from hub.database import Database
from hub.errors import HubError
from hub.keyring import Keyring
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.settings import Settings

log = logging.getLogger("hub.audit")


class NothingSealed(HubError):
    """审计尚无存证，无锚点可写。 The audit has no seal yet: there is nothing to anchor."""

    status, problem = 409, "nothing-sealed"


def anchor(database: Database, settings: Settings, keyring: Keyring, actor: Actor, now: datetime) -> audit.Anchored:
    """Seal, and anchor the head: once a day, or when somebody asks for it."""
    require(actor, Right.OPERATE, Right.SYSTEM)
    with database.begin() as connection:
        audit.record(connection, actor, Right.OPERATE, "audit/anchor")
    return keep(database, settings, keyring, now) or _anchor_head(database, settings, keyring, now)


def keep(database: Database, settings: Settings, keyring: Keyring, now: datetime) -> audit.Anchored | None:
    """Seal what waits; when there was something, anchor the new head. What syslog missed is sent again either way."""
    with database.begin() as connection:
        sealed = audit.seal(connection, now)
    anchored = _anchor_head(database, settings, keyring, now) if sealed else None
    send_to_syslog(settings)
    return anchored


def _anchor_head(database: Database, settings: Settings, keyring: Keyring, now: datetime) -> audit.Anchored:
    with database.begin(isolation="REPEATABLE READ") as connection:
        head, lines = audit.head(connection), audit.lines_sealed(connection)
    if head is None:
        raise NothingSealed()
    anchored = audit.sign_anchor(keyring, seal_no=head[0], link=head[1], lines=lines, now=now)
    _append(anchors_file(settings), anchored.written() + b"\n")
    return anchored


def anchors_file(settings: Settings) -> Path:
    return settings.audit_anchor or settings.home / "audit" / "anchors.log"


def written_anchors(settings: Settings) -> Iterator[bytes]:
    """The lines of the anchors' file; none when there is no file yet."""
    try:
        with anchors_file(settings).open("rb") as file:
            yield from (line for line in file if line.strip())
    except FileNotFoundError:
        return


def _append(path: Path, written: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "wb", buffering=0) as file:
        file.write(written)
        os.fsync(file.fileno())


# ---- syslog ----


def send_to_syslog(settings: Settings) -> bool:
    """Send every anchor not yet sent, in order; False, and a line in the log, when that failed."""
    if not settings.audit_syslog:
        return True
    try:
        _send_from(settings, _sent(settings))
    except OSError as wrong:
        log.error("audit anchors not sent to syslog %s: %s; retried with the next", settings.audit_syslog, wrong)
        return False
    return True


def _send_from(settings: Settings, sent: int) -> None:
    path = anchors_file(settings)
    if not path.exists() or path.stat().st_size <= sent:
        return
    with path.open("rb") as file, closing(_Syslog(_address(settings.audit_syslog))) as syslog:
        file.seek(sent)
        for line in file:
            syslog.send(line.decode().strip())
            sent += len(line)
            _sent_file(settings).write_text(str(sent), "utf-8")


def _sent(settings: Settings) -> int:
    """How many bytes of the anchors' file syslog has."""
    try:
        return int(_sent_file(settings).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return 0


def _sent_file(settings: Settings) -> Path:
    path = anchors_file(settings)
    return path.with_name(path.name + ".sent")


def _address(written: str) -> str | tuple[str, int]:
    if written.startswith("/"):
        return written
    host, _, port = written.rpartition(":")
    if not host or not port.isdigit():
        raise OSError(f"audit_syslog: /dev/log or host:port, not {written!r}")
    return host, int(port)


class _Syslog(SysLogHandler):
    """One that says when it could not send. The standard one prints the error and goes on."""

    append_nul = False
    socket: socket.socket  # made by createSocket

    def createSocket(self) -> None:  # noqa: N802 -- logging's own name
        super().createSocket()
        if not isinstance(self.address, str):
            self.socket.connect(self.address)

    def send(self, message: str) -> None:
        self.emit(logging.makeLogRecord({"msg": f"hub-audit: {message}", "levelno": logging.INFO, "levelname": "INFO"}))
        self._refused()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's own name
        raise

    def _refused(self) -> None:
        """A datagram is refused after it was sent; a connected socket learns of it."""
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
