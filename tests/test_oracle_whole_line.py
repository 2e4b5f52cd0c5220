"""Stories told in files: received, parsed in the child, checked, merged and sliced; the same as the model in plain Python."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from hub import jobs
from hub.database import Database
from hub.embedded import Cluster
from hub.exchange import pipeline
from hub.exchange.area_submission import change_areas
from hub.exchange.slices import FeedContext
from hub.keyring import Keyring
from hub.registry.area_changes import merge_areas
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import Settings, load_settings
from hub.tables import organisation, submission
from mappings.catalogue import Catalogue
from tests.conftest import execute
from tests.factories import identity_number
from tests.fresh_databases import FreshDatabases
from tests.oracle import Oracle
from tests.test_oracle import TOWN_A, TOWN_B, VILLAGES, Merged, Sent, check_slices, prepare

EXAMPLES = int(os.environ.get("HUB_LINE_EXAMPLES", "50"))
PEOPLE = [identity_number(sequence=number) for number in range(4)]
WOMEN = [identity_number(sex="2", sequence=number) for number in range(2)]
CODES = {village: f"99900100{town - 1}{200 + village}" for village, town in VILLAGES.items()}
WORDS = {"作废": "void", "更正": "correct", "": "new"}
DAYS = ["2026-01-05", "2026-02-05", "2026-03-05"]

numbers = st.sampled_from(PEOPLE)
own_area = st.sampled_from([None, 5, 6, 7, 8])
names = st.sampled_from(["王芳", "李伟"])
days = st.sampled_from(DAYS)

ROWS = {
    "resident_roll": st.fixed_dictionaries({"id_no": numbers, "name": names, "person_area": own_area}),
    "hukou_move_in": st.fixed_dictionaries(
        {
            "id_no": numbers, "name": names, "move_date": days, "from_addr": st.just("邻区"),
            "person_area": st.sampled_from([5, 7, 8]),
        }
    ),
    "employment": st.fixed_dictionaries(
        {
            "id_no": numbers, "name": names, "employer": st.sampled_from(["甲厂", "乙厂"]), "start_date": days,
            "post": st.sampled_from(["甲", "乙"]),
        }
    ),
    "marriage": st.fixed_dictionaries(
        {
            "cert_no": st.sampled_from(["J999001-2026-000001", "J999001-2026-000002"]), "registered_on": days,
            "male_name": st.just("李伟"), "male_id_no": numbers, "female_name": st.just("王芳"),
            "female_id_no": st.sampled_from(WOMEN), "male_area": own_area, "female_area": own_area,
        }
    ),
}  # fmt: skip
SENDERS = {"resident_roll": ("999001001", "999001002"), "employment": ("labour",), "marriage": ("civil_affairs",)}


@st.composite
def sent(draw: st.DrawFn) -> Sent:
    code = draw(st.sampled_from(sorted(ROWS)))
    sender = draw(st.sampled_from(SENDERS.get(code, ("public_security",))))
    rows = draw(st.lists(ROWS[code], min_size=1, max_size=4))
    kinds = [draw(st.sampled_from(["new"] * 6 + ["correct", "void"])) for _ in rows]
    told = ({**row, "change_kind": kind} for row, kind in zip(rows, kinds, strict=True))
    return Sent(code, sender, tuple(tuple(row.items()) for row in told))


stories = st.lists(st.one_of(sent(), sent(), sent(), st.just(Merged(TOWN_B, TOWN_A))), min_size=2, max_size=4)


@pytest.fixture(scope="module")
def founded(cluster: Cluster, catalogue: Catalogue) -> Iterator[FreshDatabases]:
    """A template of a founded district; each story gets a copy as fresh as it."""
    name = f"founded_{os.getpid()}"
    execute(cluster, f"CREATE DATABASE {name} TEMPLATE hub_template OWNER hub_owner")
    database = Database(cluster.urls(name).owner, "d999001")
    with database.begin() as connection:
        prepare(connection, catalogue)
        for code, kind in (("999001001", "town"), ("999001002", "town"), ("labour", "department"),
                           ("civil_affairs", "department"), ("public_security", "department")):  # fmt: skip
            values = {"code": code, "district": "d999001", "name": code, "kind": kind}
            connection.execute(insert(organisation).values(values))
    database.close()
    yield FreshDatabases(cluster, name)
    execute(cluster, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.slow
@pytest.mark.timeout(1500)
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    report_multiple_bugs=False,
)  # fmt: skip
@seed(3)
@given(story=stories)
def test_files_end_as_the_model_says(
    cluster: Cluster,
    catalogue: Catalogue,
    founded: FreshDatabases,
    tmp_path_factory: pytest.TempPathFactory,
    story: list[Sent | Merged],
) -> None:
    name = founded.take()
    hub = _Hub(cluster, name, tmp_path_factory.mktemp("story"), catalogue)
    try:
        hub.live_through(story)
    finally:
        hub.database.close()
        founded.give_back(name)


class _Hub:
    """One district through one story, and the model beside it."""

    def __init__(self, cluster: Cluster, name: str, home: Path, catalogue: Catalogue) -> None:
        urls = cluster.urls(name)
        self.settings: Settings = load_settings(
            home, database_url=urls.worker, worker_url=urls.worker, fictitious_prefixes=("999001",), demo=True
        )
        self.database, self.catalogue = Database(urls.superuser, "d999001"), catalogue
        self.oracle = Oracle(catalogue, dict(VILLAGES))

    def live_through(self, story: list[Sent | Merged]) -> None:
        for month, happening in enumerate(story, 1):
            if isinstance(happening, Merged):
                self._merge(happening)
            else:
                self._send(happening, f"2026-{month:02d}")
        with self.database.begin() as connection:
            check_slices(connection, self.oracle, FeedContext(self.catalogue, Keyring.load(self.settings.home)))

    def _send(self, happening: Sent, period: str) -> None:
        record_type = self.catalogue.record_types[happening.record_type]
        rows = [_with_codes(record_type.people[0].role, dict(row)) for row in happening.rows]
        actor = msgspec.structs.replace(SYSTEM_ACTOR, organisation=happening.source)
        accepted = jobs.accept(
            self.database, self.settings, actor, stream=io.BytesIO(_as_csv(rows)), file_name="story.csv",
            record_type=record_type.code, organisation=happening.source, period=period, door="command",
            catalogue=self.catalogue,
        )  # fmt: skip
        assert pipeline.run(self.database, self.settings, accepted.submission_id, self.catalogue) == "merged"
        expected = self.oracle.submit(happening.source, record_type, rows)
        with self.database.begin() as connection:
            ledger = connection.execute(
                select(submission).where(submission.c.submission_id == accepted.submission_id)
            ).one()
        assert (ledger.received, ledger.accepted, ledger.unchanged, ledger.held, ledger.refused) == (
            len(rows),
            sum(outcome in ("new", "update", "void", "restore") for outcome in expected),
            expected.count("unchanged"),
            expected.count("hold"),
            expected.count("refuse"),
        )

    def _merge(self, happening: Merged) -> None:
        if happening.absorbed in self.oracle.successor:
            return
        change_areas(
            self.database, self.settings, self.catalogue, SYSTEM_ACTOR,
            lambda connection: merge_areas(
                connection, SYSTEM_ACTOR, [happening.absorbed], happening.into, date(2026, 1, 1)
            ),
        )  # fmt: skip
        self.oracle.successor[happening.absorbed] = happening.into
        moved = {village: happening.into for village, town in self.oracle.parent.items() if town == happening.absorbed}
        self.oracle.parent |= moved
        self.oracle.change_areas()


def _with_codes(main: str, row: dict[str, Any]) -> dict[str, Any]:
    """The row as the file has it: an area is written as its code; the model keeps both."""
    for name in [name for name in row if name.endswith("_area")]:
        role = name.removesuffix("_area")
        prefix = "" if role == "person" else f"{role}_"
        row[f"{prefix}live_div"] = CODES[row[name]] if row[name] is not None else None
    return row


def _as_csv(rows: list[dict[str, Any]]) -> bytes:
    fields = [name for name in rows[0] if not name.endswith("_area")]
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow("变动标识" if name == "change_kind" else name for name in fields)
    words = {kind: word for word, kind in WORDS.items()}
    for row in rows:
        writer.writerow(words[row[name]] if name == "change_kind" else row[name] for name in fields)
    return written.getvalue().encode()
