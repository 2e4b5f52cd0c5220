"""``hub sftp``: the SFTP door of a hub, and the looks that take what came through it and bring the answers back."""

from __future__ import annotations

import fcntl
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec

from adapters.sftp.door import Refusal
from adapters.sftp.host_key import fingerprint_of, load_host_key
from adapters.sftp.server import SftpServer
from drops.scan import Drops
from drops.sftp.door import HubDoor, host_key_of
from drops.sftp.evidence import Unwitnessed, Witness
from drops.sftp.uploads import Uploads
from drops.watcher import look_safely, stop_on_signal
from hub.database import Database, new_uuid, utc_now
from hub.errors import Conflict
from hub.settings import Settings
from mappings.catalogue import Catalogue

_TIDY_EVERY_LOOKS = 100
_ANSWER_SECONDS = 0.5
log = logging.getLogger("drops.sftp")


class SftpRunning(Conflict):
    """此数据文件夹的 SFTP 服务已在运行。 The SFTP door of this home is already open."""

    problem = "sftp-running"


class OpenDoor(msgspec.Struct, frozen=True):
    """A door that listens."""

    door: HubDoor
    server: SftpServer
    fingerprint: str

    @property
    def port(self) -> int:
        return self.server.port


def fingerprint(settings: Settings) -> str:
    return fingerprint_of(load_host_key(host_key_of(settings)))


@contextmanager
def open_door(worker: Database, served: Database, settings: Settings, catalogue: Catalogue) -> Iterator[OpenDoor]:
    """Listen and look until the block ends. ``served`` is the role that knows keys and writes evidence."""
    with _alone_in(settings.home):
        looking, stopping = threading.Event(), threading.Event()
        door = HubDoor(served, settings, catalogue, looking)
        key, policy = load_host_key(host_key_of(settings)), settings.sftp
        server = SftpServer(door, key, policy.host, policy.port, policy.idle_seconds)
        drops = Drops(worker, settings, catalogue)
        looks = threading.Thread(target=_keep_looking, args=(door, drops, looking, stopping), name="sftp-looks")
        server.start()
        looks.start()
        try:
            yield OpenDoor(door, server, fingerprint_of(key))
        finally:
            server.stop()
            stopping.set()
            looking.set()
            looks.join()
            door.close()


def serve(worker: Database, served: Database, settings: Settings, catalogue: Catalogue) -> None:
    """Until SIGTERM or SIGINT."""
    stopping = threading.Event()
    stop_on_signal(stopping)
    with open_door(worker, served, settings, catalogue) as opened:
        log.warning("SFTP %s:%s, host key %s", settings.sftp.host, opened.port, opened.fingerprint)
        stopping.wait()


def _keep_looking(door: HubDoor, drops: Drops, looking: threading.Event, stopping: threading.Event) -> None:
    """Take what is whole, accept what was taken, answer what is final; soon again while something is on its way."""
    count = 0
    while not stopping.is_set():
        looking.clear()
        waits = [_settle(uploads, door.settings.drop_quiet_seconds) for uploads in door.all_uploads()]
        looked = look_safely(drops)
        if count % _TIDY_EVERY_LOOKS == 0:
            _tidy_safely(door)
        count += 1
        busy = any(waits) or looked.waiting or looked.accepted
        looking.wait(min(_ANSWER_SECONDS, door.settings.drop_scan_seconds) if busy else door.settings.drop_scan_seconds)


def _settle(uploads: Uploads, quiet_seconds: float) -> bool:
    try:
        return uploads.settle(quiet_seconds)
    except Exception as wrong:  # whatever one sender sent: the others are served
        log.error("uploads of %s are left for later: %s", uploads.organisation, type(wrong).__name__)
        return True


def _tidy_safely(door: HubDoor) -> None:
    try:
        _tidy(door)
    except (Refusal, OSError) as wrong:  # gone or gone on with meanwhile
        log.info("not everything could be tidied: %s", type(wrong).__name__)


def _tidy(door: HubDoor) -> None:
    """Uploads nobody went on with are removed, each with its line of evidence."""
    earliest = utc_now() - timedelta(days=door.policy.incomplete_days)
    for uploads in door.all_uploads():
        uploads.forget_long_taken()
        witness = Witness(
            evidence=door.evidence, session=new_uuid(), address="", organisation=uploads.organisation, actor="hub"
        )
        for upload in uploads.older_than(earliest):
            try:
                witness.tell("remove", upload.place.name, size=upload.size, reason="incomplete")
            except Unwitnessed:
                return
            uploads.remove_left(upload)


@contextmanager
def _alone_in(home: Path) -> Iterator[None]:
    """One SFTP door a home: it alone knows which uploads are open. The lock goes with the process."""
    home.mkdir(mode=0o711, parents=True, exist_ok=True)
    with (home / "sftp.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SftpRunning(str(home)) from None
        yield
