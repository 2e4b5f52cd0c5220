"""The year in its full form: ``python -m tests.year --people 20000`` founds a hub, lives through it and prints the figures."""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from hub.database import Database
from hub.embedded import Cluster
from hub.operations.provisioning import provision
from hub.settings import load_settings
from mappings.catalogue import load_catalogue
from tests.fresh_databases import execute
from tests.year import proofs
from tests.year.loop import Year, begin_year
from tests.year.register import Register
from tests.year.world import MONTHS, World, live


def main() -> int:
    """0 when everything that must be true is."""
    asked = _arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    world = live(asked.people, asked.seed, asked.months, asked.villages)
    with tempfile.TemporaryDirectory(prefix="hub-year-") as folder, _hub(Path(folder), world) as register:
        started = time.monotonic()
        year = begin_year(register, seed=asked.seed, share=asked.share, months=asked.months)
        year.on_paper = {(town, month) for town in range(0, 12, 5) for month in range(asked.months)}
        if asked.merge is not None:
            year.midway[asked.merge] = lambda: year.merge_towns(5, 4)
        print(f"{asked.people} people, rolls {time.monotonic() - started:.1f} s", flush=True)
        for month in range(asked.months):
            year.pass_month(month)
            print(f"{time.monotonic() - started:7.1f} s  {year.told[-1]}", flush=True)
        return _report(year, time.monotonic() - started)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=600)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--months", type=int, default=len(MONTHS))
    parser.add_argument("--villages", type=int, default=3, help="of a town")
    parser.add_argument("--share", type=float, default=1.0, help="of their lines the towns answer")
    parser.add_argument("--merge", type=int, help="the month (0 is the first) in whose round two towns merge")
    return parser.parse_args()


@contextmanager
def _hub(home: Path, world: World) -> Iterator[Register]:
    """A PostgreSQL and a hub of its own, gone again afterwards."""
    catalogue, cluster = load_catalogue(), Cluster(home, {"fsync": "off"})
    cluster.start()
    try:
        execute(cluster, "CREATE DATABASE year OWNER hub_owner")
        urls = cluster.urls("year")
        settings = load_settings(
            home, database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker, audit_url=urls.audit,
            fictitious_prefixes=("999001",), demo=True, rounds={"automatic": False},
        )  # fmt: skip
        provision(urls.owner, settings, catalogue)
        worker, served = (Database(url, settings.district) for url in (urls.worker, urls.app))
        yield Register(worker, served, settings, catalogue, world)
        worker.close()
        served.close()
    finally:
        cluster.stop()
        if cluster.base.parent == Path("/var/lib/hub-postgres"):
            shutil.rmtree(cluster.base, ignore_errors=True)


def _report(year: Year, seconds: float) -> int:
    """Figures first, then whatever is not as it must be."""
    events = sum(len(each) for each in year.world.events.values())
    print(f"{events} events, {year.register.sent} files, {seconds:.1f} s")
    print("verdicts", dict(year.verdicts), "faults", sum(year.departments.faults.values()))
    wrong: dict[str, list[Any]] = {
        "refused": year.register.errors(),
        "waiting": year.register.waiting(),
        "apart": proofs.differences(year),
        "wrong counts": proofs.wrong_counts(year),
        "out of balance": proofs.out_of_balance(year),
        "let pass": sorted(year.excuses.items()),
        "lost": proofs.lost_changes(year),
        "unsettled": proofs.unsettled(year),
        "open": sorted(proofs.open_lines(year) ^ year.unanswered),
    }
    expected = ("apart", "wrong counts") if year.share < 1 else ()
    for what, found in wrong.items():
        print(f"{what}: {len(found)}", *map(str, found[:20]), sep="\n    ")
    return int(any(found for what, found in wrong.items() if what not in expected))


if __name__ == "__main__":
    sys.exit(main())
