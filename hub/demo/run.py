"""``hub demo``: found the fictitious district, send its year through every door, and say what came of it."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec
import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from drops.scan import Drops
from hub.database import Database, run_sql
from hub.demo.areas import District, make_district
from hub.demo.doors import Doors, Sent, at_once, serving, sftp_open
from hub.demo.founding import SFTP_SENDER, Founded, already_founded, found, mark_as_demo, sftp_key_of
from hub.demo.licences import ask_for_slices
from hub.demo.month import answer_and_balance, open_month_of
from hub.demo.names import PREFIX
from hub.demo.plan import Parcel, Plan, make_plan
from hub.demo.receiving import receive
from hub.demo.reckoning import Reckoned, reckon
from hub.demo.settling import Settled, follow, settle_people
from hub.demo.subscribers import Replayed, replay, subscribe_all, subscription_codes
from hub.demo.summary import WIDTH, Summary, print_logins, print_summary
from hub.demo.truth import write_truth
from hub.demo.year import MONTHS
from hub.errors import Conflict, HubError
from hub.exchange.changelog import verify_feed
from hub.exchange.slices import FeedContext
from hub.keyring import Keyring
from hub.operations.provisioning import provision
from hub.settings import Settings
from mappings.catalogue import Catalogue, load_catalogue


class DemoDiffers(HubError):
    """演示结果与预期不符，详见上面的摘要。 The demo did not come out as it had to: see the summary above."""

    problem, exit_code = "demo-differs", 1


@contextmanager
def _speaking_softly() -> Iterator[None]:
    """The line's log is for operators; here the summary speaks. Warnings still come through."""
    before, disabled = structlog.get_config(), logging.root.manager.disable
    logging.disable(logging.INFO)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        yield
    finally:
        logging.disable(disabled)
        structlog.configure(**before)


@dataclass(slots=True)
class Timings:
    """Seconds by step, in the order they were taken."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 1)


def run(settings: Settings, people: int, *, once: bool, as_json: bool = False) -> Summary:
    """Load the district unless it is already there; print the summary, and the logins when the hub stays up."""
    settings = msgspec.structs.replace(settings, demo=True, fictitious_prefixes=(PREFIX,))
    mark_as_demo(settings.home)
    console = Console(file=sys.stderr if as_json else None, width=WIDTH)
    kept = settings.home / "demo" / "summary.json"
    if kept.exists():
        summary, founded = msgspec.json.decode(kept.read_bytes(), type=Summary), _founded_before(settings)
        console.print("演示区已在。 The district is already here.")
    else:
        with _speaking_softly():
            summary, founded = _load(settings, people, console)
        kept.write_bytes(msgspec.json.encode(summary))
    print_summary(summary, console)
    if not once:
        print_logins(founded, settings, console)
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(summary)).decode() + "\n")
    if once and not summary.right:
        raise DemoDiffers
    return summary


def _founded_before(settings: Settings) -> Founded:
    database = _worker(settings)
    try:
        with database.read() as connection:
            founded = already_founded(connection, settings)
    finally:
        database.close()
    if founded is None:
        raise Conflict("演示数据不在此数据库中。 The demo was loaded into another database.")
    return founded


def _worker(settings: Settings) -> Database:
    url, key = settings.worker_url or settings.database_url or "", Keyring.load(settings.home).audit_key
    return Database(url, settings.district, audit_key=key)


def _load(settings: Settings, people: int, console: Console) -> tuple[Summary, Founded]:
    catalogue, timings = load_catalogue(), Timings()
    if settings.owner_url:
        provision(settings.owner_url, settings, catalogue)
    database = _worker(settings)
    try:
        with timings.step("生成 generate"):
            plan = make_plan(catalogue, people, settings.home / "demo" / "files")
            write_truth(plan.truth, settings.home / "demo")
        founded = _found(database, settings, catalogue, plan.district)
        with timings.step("报送入库 send and merge"):
            sent = _send_all(database, settings, catalogue, plan, founded, console)
        with timings.step("核对 reckon"):
            with database.read() as connection:
                reckoned = reckon(connection, catalogue, plan.truth, sent)
            slices = _replay_all(database, settings, catalogue)
        with timings.step("人员与比对 people"):
            settled = settle_people(database, settings, catalogue)
        with timings.step("月度核对 rounds"):
            months = answer_and_balance(database, at_once(settings), catalogue, plan.district, list(MONTHS))
            follow(database, catalogue)
        with timings.step("收取签收 receive"):
            receive(database, settings, catalogue)
        with timings.step("校验 verify"):
            summary = _summary(database, catalogue, people, reckoned, slices, settled)
            summary.months = months
        summary.seconds = timings.seconds
        return summary, founded
    finally:
        database.close()


def _found(database: Database, settings: Settings, catalogue: Catalogue, district: District) -> Founded:
    """Found the district with its subscriptions, or find both there from a load that was cut short."""
    with database.begin() as connection:
        founded = already_founded(connection, settings)
        if founded is None:
            founded = found(connection, settings, district)
            subscribe_all(connection, catalogue, district)
            ask_for_slices(connection, settings, catalogue)
    return founded


def _send_all(
    database: Database, settings: Settings, catalogue: Catalogue, plan: Plan, founded: Founded, console: Console
) -> list[Sent]:
    """Month after month: everybody sends, the jobs run until none is left, the folders answer."""
    sent: list[Sent] = []
    settings = at_once(settings)
    folder = Drops(database, settings, catalogue)
    folder.lay_out()
    with (
        serving(settings, catalogue) as client,
        sftp_open(database, settings, catalogue, SFTP_SENDER, sftp_key_of(settings.home)) as sftp,
        _progress(console, len(plan.parcels)) as progress,
    ):
        doors = Doors(database, settings, catalogue, client, founded.keys, sftp)
        for month, parcels in _by_month(plan.parcels).items():
            progress.update(progress.task_ids[0], description=month)
            arrived = [doors.send(parcel) for parcel in parcels]
            doors.let_in(folder)
            doors.work_off()
            follow(database, catalogue)
            doors.collect(folder, arrived)
            if month in MONTHS:
                open_month_of(database, settings, catalogue, month)
            sent += arrived
            progress.advance(progress.task_ids[0], len(parcels))
    return sent


def _by_month(parcels: list[Parcel]) -> dict[str, list[Parcel]]:
    months: dict[str, list[Parcel]] = {}
    for parcel in parcels:
        months.setdefault(max(parcel.period, next(reversed(months), "")), []).append(parcel)
    return months


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task("", total=total)
        yield progress


def _replay_all(database: Database, settings: Settings, catalogue: Catalogue) -> list[Replayed]:
    context = FeedContext(catalogue, Keyring.load(settings.home), settings.page_window)
    return [replay(database, context, code, owner) for code, owner in subscription_codes(make_district())]


def _summary(
    database: Database, catalogue: Catalogue, people: int, reckoned: Reckoned, slices: list[Replayed], settled: Settled
) -> Summary:
    with database.read() as connection:
        changes = int(str(run_sql(connection, "SELECT last_seq FROM {d}.feed_head")[0][0]))
        problems = verify_feed(connection, catalogue)
    return Summary(
        people=people, seconds={}, reckoned=reckoned, slices=slices, changes=changes, feed_problems=problems, settled=settled
    )  # fmt: skip
