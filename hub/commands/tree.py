"""``hub up``: PostgreSQL, migration, then the parts as children that know where the database is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.commands.opening import migrate, usable_settings, with_urls
from hub.commands.verbs import say
from hub.embedded import Cluster
from hub.errors import Conflict, HubError
from hub.keyring import Keyring
from hub.settings import Settings
from hub.up import Part, Stopping, keep_up, parts_of_the_hub
from mappings.catalogue import load_catalogue


class AlreadyUp(Conflict):
    """此数据文件夹的枢纽已在运行。 The hub of this home is already up."""

    problem = "already-up"


def run_tree(home: Path | None) -> None:
    """Everything, until a signal says stop; then nothing of it is left."""
    until = Stopping()
    with held_database(home) as (settings, keep_database):
        migrate_if_possible(settings)
        Keyring.load(settings.home)
        say(f"枢纽已启动。 The hub is up: http://{settings.host}:{settings.port}/")
        keep_up(_parts(settings), until, keep_database)
    say("枢纽已停止。 The hub has stopped.")


def run_demo(home: Path | None, *, people: int, once: bool, as_json: bool) -> None:
    """Load the fictitious district, then, unless ``once``, keep the whole hub up over it."""
    from hub.demo.run import run

    with held_database(home) as (settings, keep_database):
        migrate_if_possible(settings)
        run(settings, people, once=once, as_json=as_json)
        if not once:
            keep_up(_parts(settings), Stopping(), keep_database)


@contextmanager
def held_database(home: Path | None) -> Iterator[tuple[Settings, Callable[[], None]]]:
    """Settings with URLs, and what to call now and then to keep an embedded server running."""
    settings = usable_settings(home)
    with _alone_in(settings.home):
        if settings.database_url is not None:
            yield settings, lambda: None
            return
        cluster = Cluster(settings.home)
        cluster.start()
        try:
            yield with_urls(settings, cluster.urls()), lambda: _keep_database(cluster)
        finally:
            cluster.stop()


@contextmanager
def _alone_in(home: Path) -> Iterator[None]:
    """One tree a home; the lock goes with this process, however it ends."""
    home.mkdir(mode=0o711, parents=True, exist_ok=True)
    with (home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyUp(str(home)) from None
        yield


def migrate_if_possible(settings: Settings) -> None:
    """Embedded, or with the owner's URL: migrate now. Otherwise the parts refuse to start on a pending migration."""
    if settings.owner_url is not None:
        migrate(settings, load_catalogue())


def _keep_database(cluster: Cluster) -> None:
    """A server that was killed is started again; a start that fails is tried at the next call."""
    if cluster.process is None or cluster.process.poll() is None:
        return
    try:
        cluster.start()
    except HubError as wrong:
        say(str(wrong))


def _parts(settings: Settings) -> list[Part]:
    declared = any(settings.channels.glob("*.toml"))
    return parts_of_the_hub(_environment(settings), sftp=settings.sftp.enabled, channels=declared)


def _environment(settings: Settings) -> dict[str, str]:
    urls = {
        "HUB_DATABASE_URL": settings.database_url,
        "HUB_OWNER_URL": settings.owner_url,
        "HUB_WORKER_URL": settings.worker_url,
        "HUB_AUDIT_URL": settings.audit_url,
    }
    return {**os.environ, "HUB_HOME": str(settings.home), **{name: url for name, url in urls.items() if url}}
