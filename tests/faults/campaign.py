"""``make faults``: the long run. Many kills at every named place, at random moments and of PostgreSQL itself; one table at the end.

    python -m tests.faults.campaign [--trials 50] [--random 200] [--postgres 50] [--cuts 1000] [--crowd 200]
                                    [--feed-seconds 60] [--seed 1]

PostgreSQL runs with the settings a district runs it with: every commit is on disk.
"""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psutil
import structlog

from hub.database import Database
from hub.embedded import Cluster
from hub.exchange.slices import FeedContext
from hub.keyring import Keyring
from hub.operations.provisioning import provision
from mappings.catalogue import Catalogue, load_catalogue
from tests.conftest import execute, test_settings
from tests.faults import delivery_campaign, feed_harness
from tests.faults.crowd import wrong_in_a_crowd
from tests.faults.cuts import Cuts
from tests.faults.forks import Forks
from tests.faults.kills import CLIENT_POINTS, KILLED, WORKER_POINTS, KilledHub, kill_sender, kill_worker
from tests.faults.tally import Tally
from tests.sftp_door import door_open, founded_door

_LONGEST_LIFE_SECONDS = 1.5
_TRIALS_A_HUB = 10
_LINES_AT_ONCE = 100


class Campaign:
    """One cluster, as many hubs on it as needed."""

    def __init__(self, cluster: Cluster, home: Path, forks: Forks, catalogue: Catalogue, seed: int) -> None:
        self.cluster, self.home, self.forks, self.catalogue = cluster, home, forks, catalogue
        self.chance = random.Random(seed)
        self._numbers = count()

    @contextmanager
    def hub(self) -> Iterator[KilledHub]:
        """A new hub in a new database; dropped afterwards."""
        name = f"campaign_{next(self._numbers)}"
        execute(self.cluster, f"CREATE DATABASE {name} TEMPLATE hub_template OWNER hub_owner")
        hub = KilledHub(self.cluster.urls(name), self.home / name, self.forks, self.catalogue)
        try:
            yield hub
        finally:
            hub.close()
            execute(self.cluster, f"DROP DATABASE {name} WITH (FORCE)")
            shutil.rmtree(self.home / name, ignore_errors=True)

    def repeat(self, fault: str, trials: int, trial: Callable[[KilledHub, Tally], None]) -> Tally:
        """Trials in hubs of a few files each; every hub is examined when its trials are over."""
        tally = Tally(fault)
        while tally.trials < trials:
            with self.hub() as hub:
                for _ in range(min(_TRIALS_A_HUB, trials - tally.trials)):
                    trial(hub, tally)
                    tally.trials += 1
                hub.recover()
                tally.damaged += hub.damage()
        print(tally.line(), file=sys.stderr, flush=True)
        return tally

    def at_worker_point(self, point: str, trials: int) -> Tally:
        def trial(hub: KilledHub, tally: Tally) -> None:
            ended, recovery = kill_worker(hub, point)
            tally.kills += ended == KILLED
            tally.recovery.append(recovery)

        return self.repeat(f"worker at {point}", trials, trial)

    def at_sender_point(self, point: str, trials: int) -> Tally:
        def trial(hub: KilledHub, tally: Tally) -> None:
            tally.kills += kill_sender(hub, point) == KILLED
            tally.recovery.append(hub.recover())

        return self.repeat(f"sender at {point}", trials, trial)

    def at_random(self, trials: int) -> Tally:
        """The worker dies at any moment: points nobody thought of."""

        def trial(hub: KilledHub, tally: Tally) -> None:
            hub.submit_here(hub.write())
            if hub.work(die_after=self.chance.uniform(0.02, _LONGEST_LIFE_SECONDS)) == KILLED:
                tally.kills += 1
                tally.recovery.append(hub.recover())

        return self.repeat("worker at a random moment", trials, trial)

    def of_postgres(self, trials: int) -> Tally:
        """The whole PostgreSQL dies under a worker; ``recovery`` includes its restart."""

        def trial(hub: KilledHub, tally: Tally) -> None:
            hub.submit_here(hub.write())
            working = threading.Thread(target=hub.work)
            working.start()
            time.sleep(self.chance.uniform(0.02, _LONGEST_LIFE_SECONDS))
            self._kill_postgres()
            tally.kills += 1
            started = time.monotonic()
            self.cluster.start()
            working.join()
            hub.recover()
            tally.recovery.append(time.monotonic() - started)

        return self.repeat("PostgreSQL, whole tree", trials, trial)

    def _kill_postgres(self) -> None:
        assert self.cluster.process is not None
        server = psutil.Process(self.cluster.process.pid)
        tree = [server, *server.children(recursive=True)]
        for process in tree:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.cluster.process.wait()
        psutil.wait_procs(tree, 30)

    def of_lines(self, trials: int, seed: int) -> Tally:
        """SFTP connections cut at a random byte, then resumed. A kill is a connection that broke."""
        tally = Tally("SFTP line at a random byte")
        name, folder = f"campaign_{next(self._numbers)}", self.home / "lines"
        execute(self.cluster, f"CREATE DATABASE {name} TEMPLATE hub_template OWNER hub_owner")
        with founded_door(self.cluster.urls(name), folder, self.catalogue) as door, door_open(door, self.catalogue):
            cuts = Cuts(door, seed)
            while tally.trials < trials:
                started = time.monotonic()
                verdict = cuts.run(min(_LINES_AT_ONCE, trials - tally.trials))
                tally.trials += verdict.sent
                tally.kills += verdict.cut
                tally.recovery.append(time.monotonic() - started)
                tally.damaged += [*verdict.partial, *verdict.lost, *verdict.doubled]
        execute(self.cluster, f"DROP DATABASE {name} WITH (FORCE)")
        print(tally.line(), file=sys.stderr, flush=True)
        return tally

    def of_crowd(self, size: int) -> Tally:
        """Nobody dies here: many files at the same moment through every door."""
        tally, name = Tally("files at the same moment, mixed doors", trials=size), f"campaign_{next(self._numbers)}"
        execute(self.cluster, f"CREATE DATABASE {name} TEMPLATE hub_template OWNER hub_owner")
        started, urls, folder = time.monotonic(), self.cluster.urls(name), self.home / "crowd"
        many = {"sessions": size, "sessions_of_one": size}
        with founded_door(urls, folder, self.catalogue, **many) as door, door_open(door, self.catalogue):
            tally.damaged += wrong_in_a_crowd(door, self.catalogue, size)
        tally.recovery.append(time.monotonic() - started)
        execute(self.cluster, f"DROP DATABASE {name} WITH (FORCE)")
        print(tally.line(), file=sys.stderr, flush=True)
        return tally

    def of_delivery(self, trials: int, seed: int) -> list[Tally]:
        """Receivers killed at every point, webhooks unheard, SFTP deliveries cut."""
        name = f"campaign_{next(self._numbers)}"
        execute(self.cluster, f"CREATE DATABASE {name} TEMPLATE hub_template OWNER hub_owner")
        tallies = delivery_campaign.run_all(
            self.cluster.urls(name), self.home / name, self.catalogue, trials, trials, seed
        )
        execute(self.cluster, f"DROP DATABASE {name} WITH (FORCE)")
        return tallies

    def feed(self, seconds: float, seed: int) -> feed_harness.Verdict:
        """The feed under sixteen writers, with its control."""
        with self.hub() as hub:
            feed_harness.prepare(hub.database, self.catalogue, with_health=False)
            many = Database(hub.urls.worker, hub.settings.district, pool_size=45)
            try:
                context = FeedContext(self.catalogue, Keyring.load(hub.home))
                return feed_harness.judge(feed_harness.Load(many, context, seconds, seed).run())
            finally:
                many.close()


@contextmanager
def own_cluster(home: Path, catalogue: Catalogue) -> Iterator[Cluster]:
    cluster = Cluster(home)
    cluster.start()
    try:
        execute(cluster, "CREATE DATABASE hub_template OWNER hub_owner")
        provision(cluster.urls("hub_template").owner, test_settings(home), catalogue)
        yield cluster
    finally:
        cluster.stop()
        if cluster.base.parent == Path("/var/lib/hub-postgres"):
            shutil.rmtree(cluster.base, ignore_errors=True)


def main() -> int:
    """Run it all; 1 if anything was damaged."""
    asked = _read_arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.disable(logging.ERROR)
    catalogue = load_catalogue()
    with (
        tempfile.TemporaryDirectory() as folder,
        Forks() as forks,
        own_cluster(Path(folder) / "cluster", catalogue) as cluster,
    ):
        campaign = Campaign(cluster, Path(folder), forks, catalogue, asked.seed)
        tallies = [campaign.at_worker_point(point, asked.trials) for point in WORKER_POINTS]
        tallies += [campaign.at_sender_point(point, asked.trials) for point in CLIENT_POINTS]
        tallies += [campaign.at_random(asked.random), campaign.of_postgres(asked.postgres)]
        tallies += [campaign.of_lines(asked.cuts, asked.seed), campaign.of_crowd(asked.crowd)]
        tallies += campaign.of_delivery(asked.trials, asked.seed)
        verdict = campaign.feed(asked.feed_seconds, asked.seed)
    print(_table(tallies, verdict, asked.seed))
    return 0 if verdict.is_clean and not any(tally.damaged for tally in tallies) else 1


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.campaign", description=__doc__)
    parser.add_argument("--trials", type=int, default=50, help="kills at each named place")
    parser.add_argument("--random", type=int, default=200, help="kills of a worker at a random moment")
    parser.add_argument("--postgres", type=int, default=50, help="kills of PostgreSQL under a worker")
    parser.add_argument("--cuts", type=int, default=1000, help="SFTP connections cut in the middle of a file")
    parser.add_argument("--crowd", type=int, default=200, help="files sent at the same moment through mixed doors")
    parser.add_argument("--feed-seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _table(tallies: list[Tally], verdict: feed_harness.Verdict, seed: int) -> str:
    named = Tally(f"all {len(CLIENT_POINTS) + len(WORKER_POINTS)} named places")
    for tally in tallies[: len(WORKER_POINTS) + len(CLIENT_POINTS)]:
        named.trials += tally.trials
        named.kills += tally.kills
        named.damaged += tally.damaged
        named.recovery += tally.recovery
    head = [
        "| fault | trials | kills | damaged | 95 % bound (3/n) | recovery p50 / p95 / max, s |",
        "|---|---|---|---|---|---|",
    ]
    lines = [tally.line() for tally in (*tallies, named)]
    damage = [f"DAMAGE {tally.fault}: {one}" for tally in tallies for one in tally.damaged]
    return "\n".join([*head, *lines, "", f"Feed, {feed_harness.WRITERS} writers: {verdict}", f"Seed {seed}.", *damage])


if __name__ == "__main__":
    sys.exit(main())
