"""``make faults``, the delivery half: receivers killed at every point, webhooks unheard, SFTP lines cut in the middle.

    python -m tests.faults.delivery_campaign [--trials 50] [--cuts 50] [--seed 1]

A receiver must miss nothing and do nothing twice, never have acknowledged what it does not hold, and its completeness
certificate must close afterwards.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog
import uvicorn

from hub.app import create_app
from hub.channels.run import ChannelFailed
from hub.database import Database, run_sql
from hub.embedded import Urls
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.exchange.slices import query_slice
from hub.keyring import Keyring
from hub.registry.api_keys import issue_key
from hub.registry.permissions import ROLES, SYSTEM_ACTOR
from hub.registry.subscriptions import create_subscription
from hub.settings import load_settings
from hub.sharing.certificates import Certificate, issue_certificate
from mappings.catalogue import Catalogue, load_catalogue
from tests.channel_hub import SLICE, TERMS, ChannelHub
from tests.conftest import execute
from tests.district import GUANGMING
from tests.doors import identity_number
from tests.faults.delivery_receiver import POINTS, Receivers, open_copy
from tests.faults.tally import Tally
from tests.peer_servers import Answering, SftpPeer, http_peer, sftp_peer
from tests.staged import stage

KILLED = -9
_NEW, _CHANGED = 5, 1  # people a trial brings, and people it changes: three pages
_MANY = 50  # changes a page, where pages are not the point
_ZONE = "Asia/Shanghai"


class DeliveryHub:
    """A served hub, its slice, and receivers at work."""

    def __init__(self, urls: Urls, home: Path, catalogue: Catalogue, receivers: Receivers) -> None:
        settings = load_settings(
            home, database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker, fictitious_prefixes=("999001",),
            demo=True, requests_per_minute=1_000_000,
        )  # fmt: skip
        self.worker, self.served = Database(urls.worker, settings.district), Database(urls.app, settings.district)
        self.district = ChannelHub(self.worker, settings, catalogue)
        self.catalogue, self.receivers, self.folder, self.people = catalogue, receivers, home, 0
        self.url = ""
        with self.served.begin() as connection:
            self.key = issue_key(
                connection, SYSTEM_ACTOR, organisation="labour", title="接口", scopes=ROLES["integrator"]
            ).text

    @contextmanager
    def serving(self) -> Iterator[None]:
        """The web application on a free port, until the end; then the databases are let go."""
        listening = socket.create_server(("127.0.0.1", 0))
        settings = self.district.settings
        application = create_app(settings, self.served, self.catalogue, Keyring.load(settings.home))
        server = uvicorn.Server(uvicorn.Config(application, log_level="critical", lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        yield
        server.should_exit = True
        thread.join(10)
        self.worker.close()
        self.served.close()

    def subscribe(self, code: str) -> None:
        with self.worker.begin() as connection:
            create_subscription(
                connection, SYSTEM_ACTOR, self.catalogue, code=code, organisation="labour", title="迁入",
                definition=SLICE, terms=TERMS,
            )  # fmt: skip

    def allow(self, host: str) -> None:
        self.district.allow(*self.district.settings.outbound_hosts, host)

    def bring_changes(self) -> None:
        """People new to the slice, and one of those before under another name."""
        record_type = self.catalogue.record_types["hukou_move_in"]
        serials = [*range(max(self.people - _CHANGED, 0), self.people), *range(self.people, self.people + _NEW)]
        rows = [self._row(serial, changed=serial < self.people) for serial in serials]
        self.people += _NEW
        with self.worker.begin() as connection:
            submission_id = stage(connection, record_type, rows)
            apply_staged(connection, submission_id, "public_security", record_type, self.catalogue)
            number_changes(connection, submission_id)

    def _row(self, serial: int, *, changed: bool) -> dict[str, Any]:
        number = identity_number(serial % 1_000, f"19{50 + serial // 1_000}0307")
        name = "王小军" if changed else "王小明"
        return {"name": name, "id_no": number, "move_date": "2026-11-01", "person_area": GUANGMING}

    def receive(self, subscription: str, **how: Any) -> int:
        return self.receivers.run(self.url, self.key, subscription, self.copy_of(subscription), **how)

    def copy_of(self, subscription: str) -> Path:
        return self.folder / f"{subscription}.db"

    # ---- what must be true ----

    def wrong_now(self, subscription: str) -> list[str]:
        """At every moment: each number once and in order, and nothing acknowledged that the receiver does not hold."""
        kept = open_copy(self.copy_of(subscription))
        numbers = [number for (number,) in kept.execute("SELECT delivery_no FROM history ORDER BY rowid")]
        kept.close()
        told = self._query(
            "SELECT coalesce(max(d.first_delivery_no + d.count - 1), 0) FROM {d}.delivery d JOIN {d}.subscription s"
            " USING (subscription_id) WHERE s.code = :code AND d.acknowledged_at IS NOT NULL",
            code=subscription,
        )
        wrong = [] if numbers == list(range(1, len(numbers) + 1)) else [f"missed or doubled: {numbers[-8:]}"]
        acknowledged = int(str(told[0][0]))
        return wrong + ([f"acknowledged {acknowledged}, held {len(numbers)}"] if acknowledged > len(numbers) else [])

    def wrong_at_the_end(self, subscription: str) -> list[str]:
        """The copy is the slice, every change had its effect once, and the certificate closes over just as many."""
        kept = open_copy(self.copy_of(subscription))
        records = {name: json.loads(fields) for name, fields in kept.execute("SELECT id, fields FROM record")}
        effects = kept.execute(
            "SELECT coalesce(sum(effects), 0), (SELECT count(*) FROM history) FROM record"
        ).fetchone()
        kept.close()
        with self.worker.begin() as connection:
            truth = {
                str(one["record_id"]): one["after"] for one in query_slice(connection, self.district.tools.feed, SLICE)
            }
        one = self.certificate(subscription)
        wrong = [] if records == truth else [f"copy: {len(records)} records, slice: {len(truth)}"]
        if effects[0] != effects[1] or effects[1] != one.expected:
            wrong.append(f"effects {effects[0]}, numbers {effects[1]}, expected {one.expected}")
        figures = (one.expected, one.sent, one.fetched, one.acknowledged)
        return self.wrong_now(subscription) + wrong + ([] if one.closed else [f"certificate open: {figures}"])

    def certificate(self, subscription: str) -> Certificate:
        month = datetime.now(ZoneInfo(_ZONE)).strftime("%Y-%m")
        with self.worker.begin() as connection:
            return issue_certificate(connection, SYSTEM_ACTOR, self.district.tools.feed, subscription, month, _ZONE)

    def _query(self, statement: str, **values: object) -> list[tuple[object, ...]]:
        with self.worker.begin() as connection:
            return run_sql(connection, statement, **values)


# ---- the faults ----


def kill_receivers(
    hub: DeliveryHub, trials: int, chance: random.Random, subscription: str = "renshe-moves"
) -> list[Tally]:
    """Each trial: new changes, a receiver that dies at the point, on a page of the three; the next life goes on."""
    tallies = []
    for point in POINTS:
        tally = Tally(f"receiver {point.replace('_', ' ')}")
        for _ in range(trials):
            hub.bring_changes()
            tally.trials += 1
            tally.kills += hub.receive(subscription, place=point, number=chance.randrange(1, 4)) == KILLED
            tally.damaged += hub.wrong_now(subscription)
        started = time.monotonic()
        if hub.receive(subscription) != 0:
            tally.damaged.append("the receiver did not come through")
        tally.recovery.append(time.monotonic() - started)
        tally.damaged += hub.wrong_at_the_end(subscription)
        tallies.append(_told(tally))
    return tallies


def unheard_webhooks(hub: DeliveryHub, trials: int, subscription: str = "hooked") -> Tally:
    """The receiver's ear is shut for a while; what it is told when it hears again leads it to everything."""
    tally, deaf = Tally("webhook receiver away"), True

    def hear(asked: Any) -> Answering:
        return Answering(503 if deaf else 204, b"")

    hub.subscribe(subscription)
    with http_peer(hear) as peer:
        hub.allow(peer.url)
        hub.district.declare(
            "hook",
            f'kind = "webhook"\norganisation = "labour"\nsubscription = "{subscription}"\nurl = "{peer.url}/hook"\n'
            "every_seconds = 60\n",
        )
        for _ in range(trials):
            deaf = True
            for _ in range(3):
                hub.bring_changes()
                tally.kills += not _announced(hub)
            deaf, started = False, time.monotonic()
            for _ in range(2):  # the message that was pending, then what happened since
                if _announced(hub):
                    hub.receive(subscription, limit=_MANY)
            tally.recovery.append(time.monotonic() - started)
            tally.trials += 1
            tally.damaged += hub.wrong_at_the_end(subscription)
    return _told(tally)


def _announced(hub: DeliveryHub) -> bool:
    try:
        return bool(hub.district.run("hook").taken)
    except ChannelFailed:
        return False


def cut_lines(hub: DeliveryHub, trials: int, chance: random.Random, subscription: str = "laid-down") -> Tally:
    """Pages by SFTP, the line cut at a random byte; the next visit goes on, and every file there is whole."""
    tally = Tally("SFTP delivery at a random byte")
    hub.subscribe(subscription)
    with sftp_peer(hub.folder / "there") as peer, _relay(peer) as relay:
        _declare_delivery(hub, peer, relay, subscription)
        for _ in range(trials):
            hub.bring_changes()
            relay.left = chance.randrange(3_000, 12_000)
            try:
                hub.district.run("laid")
            except ChannelFailed:
                tally.kills += 1
            relay.left, started = float("inf"), time.monotonic()
            hub.district.run("laid")
            tally.recovery.append(time.monotonic() - started)
            tally.trials += 1
        tally.damaged += _wrong_files(hub, peer, subscription)
    return _told(tally)


def _declare_delivery(hub: DeliveryHub, peer: SftpPeer, relay: Relay, subscription: str) -> None:
    hub.allow(f"sftp://127.0.0.1:{relay.port}")
    hub.district.secret("laid.word", "a-shared-word")
    hub.district.declare(
        "laid",
        f'kind = "sftp_deliver"\norganisation = "labour"\nsubscription = "{subscription}"\nhost = "127.0.0.1"\n'
        f'port = {relay.port}\nuser = "hub"\npassword_file = "laid.word"\nhost_keys = ["{peer.host_key}"]\n'
        'folder = "."\npage_size = 2\nevery_seconds = 60\n',
    )


def _wrong_files(hub: DeliveryHub, peer: SftpPeer, subscription: str) -> list[str]:
    """Each file is what its digest says, the numbers run on, and all that was expected counts as fetched."""
    wrong, numbers = [], list[int]()
    for name in sorted(name for name in peer.names() if name.endswith(".ndjson") and not name.startswith(".")):
        content = (peer.folder / name).read_bytes()
        if sha256(content).hexdigest() != (peer.folder / f"{name}.sha256").read_text("ascii").split()[0]:
            wrong.append(f"{name} is not whole")
        numbers += [json.loads(line)["delivery_no"] for line in content.splitlines()]
    one = hub.certificate(subscription)
    if numbers != list(range(1, one.expected + 1)):
        wrong.append(f"numbers in files: {len(numbers)} of {one.expected}")
    return wrong + ([] if one.fetched == one.expected == one.sent else [f"fetched {one.fetched} of {one.expected}"])


class Relay:
    """A line to the peer that breaks after so many bytes from the hub."""

    def __init__(self, port: int) -> None:
        self.to, self.left = port, float("inf")
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._socket.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self.to))
            threading.Thread(target=self._pass, args=(here, there, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(there, here, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        try:
            while content := source.recv(1024):
                if counted:
                    content = content[: int(min(self.left, len(content)))]
                    self.left -= len(content)
                target.sendall(content)
                if counted and self.left <= 0:
                    break
        except OSError:
            pass
        for one in (source, target):
            _shut(one)


def _shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@contextmanager
def _relay(peer: SftpPeer) -> Iterator[Relay]:
    relay = Relay(peer.port)
    yield relay
    relay.close()


def _told(tally: Tally) -> Tally:
    print(tally.line(), file=sys.stderr, flush=True)
    return tally


# ---- the long run ----


def run_all(urls: Urls, folder: Path, catalogue: Catalogue, trials: int, cuts: int, seed: int) -> list[Tally]:
    """Every fault of delivery at a hub of its own."""
    chance, receivers = random.Random(seed), Receivers()
    folder.mkdir(parents=True, exist_ok=True)
    hub = DeliveryHub(urls, folder, catalogue, receivers)
    with hub.serving():
        tallies = kill_receivers(hub, trials, chance)
        tallies += [unheard_webhooks(hub, max(trials // 5, 1)), cut_lines(hub, cuts, chance)]
    receivers.close()
    return tallies


def main() -> int:
    """This half alone; 1 if anything was damaged."""
    from tests.faults.campaign import own_cluster

    parser = argparse.ArgumentParser(prog="python -m tests.faults.delivery_campaign", description=__doc__)
    parser.add_argument("--trials", type=int, default=50, help="kills of a receiver at each point")
    parser.add_argument("--cuts", type=int, default=50, help="SFTP deliveries cut in the middle")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.disable(logging.ERROR)
    catalogue = load_catalogue()
    with tempfile.TemporaryDirectory() as folder, own_cluster(Path(folder) / "cluster", catalogue) as cluster:
        execute(cluster, "CREATE DATABASE delivered TEMPLATE hub_template OWNER hub_owner")
        tallies = run_all(
            cluster.urls("delivered"), Path(folder) / "home", catalogue, asked.trials, asked.cuts, asked.seed
        )
        shutil.rmtree(Path(folder) / "home", ignore_errors=True)
    for tally in tallies:
        for one in tally.damaged:
            print(f"DAMAGE {tally.fault}: {one}")
    return 1 if any(tally.damaged for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
