"""Opening a home for one command: its settings, its database (started if embedded), its catalogue, its keys."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

import msgspec
import structlog

from hub import embedded
from hub.commands.logging import log_to_stderr
from hub.database import Database
from hub.errors import HubError, PendingMigration
from hub.keyring import Keyring
from hub.operations.backup import UNFINISHED
from hub.operations.provisioning import provision, require_current
from hub.registry.permissions import Actor, Right
from hub.settings import Settings, load_settings
from mappings.catalogue import Catalogue, load_catalogue


class MissingUrl(HubError):
    """缺少数据库地址，请设置 HUB_OWNER_URL。 The owner's database URL is missing: set HUB_OWNER_URL."""

    status, problem = 503, "missing-url"


class UnfinishedRestore(HubError):
    """此数据文件夹的恢复未完成，请删除后重新恢复。 The restore of this home was cut off: remove it and restore again."""

    problem = "unfinished-restore"


class Opened:
    """A hub that can be worked with."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self.settings, self.catalogue = settings, catalogue
        self.database = Database(
            settings.worker_url or settings.database_url or "",
            settings.district,
            lock_timeout_ms=settings.lock_timeout_ms,
            audit_key=self.keyring.audit_key,
        )

    @cached_property
    def keyring(self) -> Keyring:
        return Keyring.load(self.settings.home)

    @cached_property
    def served(self) -> Database:
        """The same hub as the web door sees it: accounts and keys are written by this role alone."""
        url, district = self.settings.database_url or "", self.settings.district
        return Database(url, district, audit_key=self.keyring.audit_key)

    @cached_property
    def audit_database(self) -> Database | None:
        """As the audit's own role sees it; None when the site gave no URL for it."""
        if self.settings.audit_url is None:
            return None
        return Database(self.settings.audit_url, self.settings.district, audit_key=self.keyring.audit_key)

    def close(self) -> None:
        for name in ("database", "served", "audit_database"):
            database: Database | None = vars(self).get(name)
            if database is not None:
                database.close()


@contextmanager
def opened(home: Path | None) -> Iterator[Opened]:
    """The hub of a home. An embedded database is started if it does not run, and made ready if it is new."""
    if not structlog.is_configured():
        log_to_stderr()
    with located(home) as settings:
        catalogue = load_catalogue()
        hub = Opened(settings, catalogue)
        try:
            _make_ready(hub, is_embedded=load_settings(home).database_url is None)
            yield hub
        finally:
            hub.close()


@contextmanager
def located(home: Path | None) -> Iterator[Settings]:
    """Settings with every database URL filled in, for as long as the embedded server is held."""
    settings = usable_settings(home)
    with ExitStack() as held:
        if settings.database_url is None:
            settings = with_urls(settings, held.enter_context(embedded.running(settings.home)))
        yield settings


def usable_settings(home: Path | None) -> Settings:
    """The home's settings; a home whose restore was cut off is not used."""
    settings = load_settings(home)
    if (settings.home / UNFINISHED).exists():
        raise UnfinishedRestore(str(settings.home))
    return settings


def with_urls(settings: Settings, urls: embedded.Urls) -> Settings:
    """The same settings, pointed at an embedded server."""
    return msgspec.structs.replace(
        settings, database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker, audit_url=urls.audit
    )


def operator(organisation: str) -> Actor:
    """Who works at the hub's own machine, for an organisation (``--as``) or for the hub."""
    rights = {
        Right.OPERATE,
        Right.SUBMIT,
        Right.READ_SUBMISSION,
        Right.PULL_SLICE,
        Right.READ_REGISTRY,
        Right.READ_AUDIT,
    }
    return Actor(
        name=f"command:{getpass.getuser()}",
        organisation=organisation,
        kind="hub",
        door="command",
        rights=frozenset(rights),
    )


def _make_ready(hub: Opened, *, is_embedded: bool) -> None:
    """Embedded: migrate when needed. Otherwise refuse to work on a pending migration."""
    try:
        require_current(hub.database, hub.catalogue)
    except PendingMigration:
        if not is_embedded:
            raise
        migrate(hub.settings, hub.catalogue)


def migrate(settings: Settings, catalogue: Catalogue) -> None:
    if settings.owner_url is None:
        raise MissingUrl()
    provision(settings.owner_url, settings, catalogue)
