"""A small district with channels: how a test declares one, runs it, and looks at what came of it."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import msgspec
from sqlalchemy import select

from hub import jobs
from hub.channels.declarations import load_channels
from hub.channels.loop import Channels
from hub.channels.run import Ran, Tools
from hub.channels.state import State, load_state
from hub.database import Database, run_sql
from hub.embedded import Urls
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.keyring import Keyring
from hub.registry.areas import import_areas
from hub.registry.organisations import Organisation, save_organisation
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from hub.settings import Settings
from hub.tables import submission
from mappings.catalogue import Catalogue
from tests.district import FOUNDED, GUANGMING
from tests.doors import AREAS, ORGANISATIONS, identity_number
from tests.staged import stage

TERMS = Terms(purpose="户籍登记核对", legal_basis="政务数据共享条例")
SLICE = SliceDefinition((SliceType("hukou_move_in", ("name", "id_no", "move_date")),), None)


class ChannelHub:
    """The hub of one test."""

    def __init__(self, database: Database, settings: Settings, catalogue: Catalogue) -> None:
        self.settings = settings
        self.tools = Tools(
            database=database, settings=settings, catalogue=catalogue, keyring=Keyring.load(settings.home)
        )
        with database.begin() as connection:
            import_areas(connection, SYSTEM_ACTOR, AREAS, FOUNDED)
            for code, kind, name, name_en in ORGANISATIONS:
                if kind != "town":
                    one = Organisation(code=code, district=settings.district, name=name, name_en=name_en, kind=kind)
                    save_organisation(connection, SYSTEM_ACTOR, one)
            for code in ("renshe-moves", "renshe-follow"):  # one reader each
                create_subscription(
                    connection, SYSTEM_ACTOR, catalogue, code=code, organisation="labour", title="迁入",
                    definition=SLICE, terms=TERMS,
                )  # fmt: skip

    def allow(self, *hosts: str) -> None:
        self.settings = msgspec.structs.replace(self.settings, outbound_hosts=hosts, outbound_networks=("127.0.0.0/8",))
        self.tools = msgspec.structs.replace(self.tools, settings=self.settings)

    def secret(self, name: str, text: str, mode: int = 0o600) -> None:
        folder = self.settings.keys / "channels"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
        (folder / name).chmod(mode)

    def declare(self, name: str, text: str) -> Channels:
        self.settings.channels.mkdir(parents=True, exist_ok=True)
        (self.settings.channels / f"{name}.toml").write_text(text, "utf-8")
        return self.channels()

    def channels(self) -> Channels:
        return Channels(self.tools, load_channels(self.settings, self.tools.catalogue))

    def run(self, name: str) -> Ran:
        return self.channels().run_once(name)

    def state(self, name: str) -> State:
        with self.tools.database.begin() as connection:
            return load_state(connection, name)

    def submissions(self) -> list[Any]:
        with self.tools.database.begin() as connection:
            return list(connection.execute(select(submission).order_by(submission.c.received_at)))

    def work(self) -> None:
        jobs.work(self.tools.database, self.settings, wait=False)

    def command(self, urls: Urls, *words: str) -> dict[str, Any]:
        """What subprocess needs to run a verb at this hub, with what hub.toml says of the outside."""
        lines = [
            f"{name} = {json.dumps(getattr(self.settings, name))}" for name in ("outbound_hosts", "outbound_networks")
        ]
        (self.settings.home / "hub.toml").write_text("\n".join(lines), "utf-8")
        place = {"HUB_HOME": str(self.settings.home), "HUB_DATABASE_URL": urls.app, "HUB_WORKER_URL": urls.worker}
        return {"args": [sys.executable, "-m", "hub", *words], "env": {**os.environ, **place}}

    def move(self, first: int, last: int) -> None:
        """People who moved in, as the line writes them behind its checks."""
        record_type = self.tools.catalogue.record_types["hukou_move_in"]
        rows = [
            {"name": "王小明", "id_no": identity_number(serial), "move_date": "2026-11-01", "person_area": GUANGMING}
            for serial in range(first, last)
        ]
        with self.tools.database.begin() as connection:
            submission_id = stage(connection, record_type, rows)
            apply_staged(connection, submission_id, "public_security", record_type, self.tools.catalogue)
            number_changes(connection, submission_id)


def query(database: Database, statement: str, **values: object) -> list[tuple[object, ...]]:
    with database.begin() as connection:
        return run_sql(connection, statement, **values)
