"""Is the hub alive, and how much is it doing: for watchdogs and Prometheus. Counts only, nobody's data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from hub.database import Database, utc_now
from hub.exchange.listing import FINAL_STATES
from hub.registry.permissions import Right
from hub.registry.scope import COUNTERS
from hub.sharing.alarms import count_alarms
from hub.tables import feed_head, submission

PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class HealthController(Controller):
    """/healthz and /metrics."""

    @get("/healthz", opt={"right": Right.PUBLIC}, sync_to_thread=True)
    def healthz(self, database: NamedDependency[Database]) -> Response[dict[str, str]]:
        try:
            with database.begin() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return Response({"status": "database unavailable"}, status_code=503)
        return Response({"status": "ok"})

    @get("/metrics", opt={"right": Right.PUBLIC}, sync_to_thread=True)
    def metrics(self, database: NamedDependency[Database]) -> Response[bytes]:
        registry = CollectorRegistry()
        registry.register(HubCollector(database))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        return Response(generate_latest(registry), media_type=PROMETHEUS_TEXT)


class HubCollector(Collector):
    """What the database says at the moment of asking."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Any]:
        with self._database.begin(COUNTERS) as connection:
            states = connection.execute(select(submission.c.state, func.count()).group_by(submission.c.state)).all()
            waiting = submission.c.state.not_in(FINAL_STATES)
            oldest = connection.execute(select(func.min(submission.c.received_at)).where(waiting)).scalar_one()
            head = connection.execute(select(feed_head.c.last_seq)).scalar_one_or_none()
            alarms = count_alarms(connection)
        yield _submissions_by_state(states)
        age = (utc_now() - oldest).total_seconds() if oldest else 0.0
        yield GaugeMetricFamily("hub_oldest_unfinished_seconds", "age of the oldest unfinished submission", value=age)
        yield GaugeMetricFamily("hub_feed_last_seq", "last number of the change log", value=float(head or 0))
        yield from _alarms_by_kind(alarms)


def _submissions_by_state(states: Any) -> GaugeMetricFamily:
    family = GaugeMetricFamily("hub_submissions", "submissions by state", labels=["state"])
    for state, count in states:
        family.add_metric([state], count)
    return family


def _alarms_by_kind(alarms: list[tuple[str, int, datetime]]) -> Iterator[GaugeMetricFamily]:
    counts = GaugeMetricFamily("hub_freshness_alarms", "open alarms of freshness by kind", labels=["kind"])
    ages = GaugeMetricFamily("hub_freshness_alarm_seconds", "since when the oldest of them stands", labels=["kind"])
    for kind, count, since in alarms:
        counts.add_metric([kind], count)
        ages.add_metric([kind], (utc_now() - since).total_seconds())
    yield counts
    yield ages
