"""``hub up``: PostgreSQL, migration, then the parts as children that know where the database is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.commands.opening import migrate, with_urls
from hub.commands.verbs import say
from hub.embedded import Cluster
from hub.errors import HubError
from hub.keyring import Keyring
from hub.settings import Settings, load_settings
from hub.up import Stopping, keep_up, parts_of_the_hub
from mappings.catalogue import load_catalogue


def run_tree(home: Path | None) -> None:
    """Everything, until a signal says stop; then nothing of it is left."""
    until = Stopping()
    with held_database(home) as (settings, keep_database):
        migrate_if_possible(settings)
        Keyring.load(settings.home)
        say(f"枢纽已启动。 The hub is up: http://{settings.host}:{settings.port}/")
        keep_up(parts_of_the_hub(_environment(settings)), until, keep_database)
    say("枢纽已停止。 The hub has stopped.")


def run_demo(home: Path | None, *, people: int, once: bool, as_json: bool) -> None:
    """Load the fictitious district, then, unless ``once``, keep the whole hub up over it."""
    from hub.demo.run import run

    with held_database(home) as (settings, keep_database):
        migrate_if_possible(settings)
        run(settings, people, once=once, as_json=as_json)
        if not once:
            keep_up(parts_of_the_hub(_environment(settings)), Stopping(), keep_database)


@contextmanager
def held_database(home: Path | None) -> Iterator[tuple[Settings, Callable[[], None]]]:
    """Settings with URLs, and what to call now and then to keep an embedded server running."""
    settings = load_settings(home)
    if settings.database_url is not None:
        yield settings, lambda: None
        return
    cluster = Cluster(settings.home)
    cluster.start()
    try:
        yield with_urls(settings, cluster.urls()), lambda: _keep_database(cluster)
    finally:
        cluster.stop()


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


def _environment(settings: Settings) -> dict[str, str]:
    urls = {
        "HUB_DATABASE_URL": settings.database_url,
        "HUB_OWNER_URL": settings.owner_url,
        "HUB_WORKER_URL": settings.worker_url,
    }
    return {**os.environ, "HUB_HOME": str(settings.home), **{name: url for name, url in urls.items() if url}}
