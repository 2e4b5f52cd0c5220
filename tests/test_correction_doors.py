"""Corrections and freshness at the doors: the source sees who has its record, a receiver what is its own, nobody a value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from litestar.testing import TestClient
from typer.testing import CliRunner

from hub.__main__ import app
from hub.casework.challenges import Raised, raise_challenges
from hub.database import Database, run_sql, utc_now
from hub.exchange.changelog import number_changes
from hub.exchange.dispute_submission import lift_settled
from hub.exchange.pipeline import apply_staged
from hub.exchange.slices import FeedContext, read_page
from hub.keyring import Keyring
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.desk_visits import visitor
from tests.doors import Hub, founded_hub, identity_number
from tests.staged import stage

NAMES = ("王小明", "王晓明")
MOVES = SliceType("hukou_move_in", ("name", "id_no"))
CARE = SliceType("postnatal_visit", ("woman_name",))
ROWS = {
    "hukou_move_in": {"id_no": identity_number(1), "name": NAMES[0], "move_date": "2026-10-01", "person_area": 3},
    "postnatal_visit": {
        "woman_id_no": identity_number(2), "woman_name": NAMES[0], "visit_date": "2026-10-01", "kind": "1", "woman_area": 3,
    },
}  # fmt: skip


@dataclass
class Corrected:
    """A hub in which a record was handed to two units, challenged and corrected; one has fetched it all."""

    hub: Hub
    client: TestClient  # type: ignore[type-arg]
    challenge: str
    mark: int  # numbers of the changes
    corrected: int
    care: int

    def page(self, login: str, path: str, language: str = "zh") -> str:
        answer = visitor(self.hub, self.client, login).get(path, language)
        return answer.text if answer.status_code == 200 else str(answer.status_code)


def _send(hub: Hub, catalogue: Catalogue, code: str, source: str, **changed: str) -> int:
    record_type = catalogue.record_types[code]
    with hub.worker.begin() as connection:
        submission_id = stage(connection, record_type, [ROWS[code] | changed])
        apply_staged(connection, submission_id, source, record_type, catalogue)
        return number_changes(connection, submission_id).to_seq


def _pull(hub: Hub, catalogue: Catalogue, code: str, cursor: str | None = None) -> str:
    context = FeedContext(catalogue, Keyring.load(hub.settings.home))
    with hub.worker.begin() as connection:
        return read_page(connection, SYSTEM_ACTOR, context, code, cursor).next


@pytest.fixture
def corrected(
    database: Database, app_database: Database, settings: Settings, catalogue: Catalogue
) -> Iterator[Corrected]:
    terms = Terms(purpose="核对", legal_basis="条例")
    with (
        founded_hub(database, app_database, settings, catalogue) as hub,
        TestClient(hub.app, base_url="https://hub.test") as client,
    ):
        with hub.worker.begin() as connection:
            for code, its in (("labour", MOVES), ("health", MOVES), ("mch_station", CARE)):
                create_subscription(
                    connection, SYSTEM_ACTOR, catalogue, code=f"of-{code}", organisation=code, title=code,
                    definition=SliceDefinition((its,)), terms=terms,
                )  # fmt: skip
        _send(hub, catalogue, "hukou_move_in", "public_security")
        _send(hub, catalogue, "postnatal_visit", "mch_station")
        cursor, *_ = [_pull(hub, catalogue, f"of-{code}") for code in ("labour", "health", "mch_station")]
        challenge = _challenge(hub, catalogue)
        mark = _head(hub)
        corrected = _send(hub, catalogue, "hukou_move_in", "public_security", name=NAMES[1])
        care = _send(hub, catalogue, "postnatal_visit", "mch_station", woman_name=NAMES[1])
        _pull(hub, catalogue, "of-labour", cursor)
        yield Corrected(hub, client, challenge, mark, corrected, care)


def _challenge(hub: Hub, catalogue: Catalogue) -> str:
    with hub.worker.begin() as connection:
        (record,) = run_sql(connection, "SELECT record_id FROM {d}.rec_hukou_move_in")[0]
        raised = Raised(
            kind="value", record_type="hukou_move_in", record_id=record, field="name", claimed=NAMES[1],  # type: ignore[arg-type]
            raised_by="labour", raised_by_name="人社局", against="public_security",
        )  # fmt: skip
        (made,) = raise_challenges(connection, hub.settings, utc_now(), [raised])
    lift_settled(hub.worker, hub.settings, catalogue)
    return str(made)


def _head(hub: Hub) -> int:
    with hub.worker.begin() as connection:
        return int(str(run_sql(connection, "SELECT last_seq FROM {d}.feed_head")[0][0]))


def test_each_sees_of_a_correction_what_is_its_own(corrected: Corrected) -> None:
    one, path = corrected, f"/corrections/{corrected.corrected}"
    source = one.page("gongan", path)
    assert "of-labour" in source and "of-health" in source and "经校核更正" in source
    assert "Not delivered yet" in one.page("gongan", path, "en")
    receiver = one.page("renshe", path)
    assert "of-labour" in receiver and "of-health" not in receiver
    overseer = one.page("quju", path)
    assert "of-health" in overseer and "记录编号" not in overseer
    assert one.page("qingxi", path) == "404"  # neither source nor receiver
    assert one.page("shenji", path) == "403"
    lists = [
        one.page("gongan", "/corrections?side=source"),
        one.page("renshe", "/corrections"),
        one.page("quju", "/corrections"),
    ]
    assert all(path in page for page in lists)
    assert path not in one.page("qingxi", "/corrections?everything=true")
    assert not [page for page in (source, receiver, overseer, *lists) for name in NAMES if name in page]


def test_what_is_clinical_by_existing_is_corrected_in_front_of_care_alone(corrected: Corrected) -> None:
    one, path = corrected, f"/corrections/{corrected.care}"
    assert "of-mch_station" in one.page("fuyou", path)
    assert [one.page(login, path) for login in ("gongan", "quju", "renshe")] == ["404"] * 3
    assert path not in one.page("quju", "/corrections") and "of-mch_station" not in one.page("quju", "/freshness")
    assert "of-mch_station" in one.page("fuyou", "/freshness")


def test_both_sides_of_a_challenge_see_how_far_it_has_come(corrected: Corrected) -> None:
    source = corrected.page("gongan", f"/challenges/{corrected.challenge}")
    told = source[source.index("已通知各使用单位") :]
    assert "标为存疑" in told and "更正" in told and "云岭区卫健局" in told and "尚未下发" in told
    asking = corrected.page("renshe", f"/challenges/{corrected.challenge}")
    assert "已通知各使用单位" in asking and "云岭区卫健局" not in asking  # how many, not who


def test_the_interface_and_the_command_line_say_the_same(corrected: Corrected) -> None:
    one, hub = corrected, corrected.hub
    got = one.client.get("/v1/corrections", headers=hub.key_of("labour")).json()
    assert [(line["seq"], line["fields"], line["receivers"][0]["state"]) for line in got["data"]] == [
        (one.corrected, ["name"], "delivered"), (one.mark, ["disputed"], "delivered"),
    ]  # fmt: skip
    single = one.client.get(f"/v1/corrections/{one.mark}", headers=hub.key_of("health")).json()
    assert [each["code"] for each in single["receivers"]] == ["of-health"]
    fresh = one.client.get("/v1/freshness", headers=hub.key_of("labour")).json()
    assert [(lag["code"], lag["waiting"]) for lag in fresh["lags"]] == [("of-labour", 3)]
    for command in (["corrections", "--older-than", "0", "--json"], ["freshness", "--json"]):
        said = CliRunner().invoke(app, [*command, "--home", str(hub.settings.home)], env=_urls(hub.settings))
        assert said.exit_code == 0, said.stderr
        json.loads(said.stdout)
    said = CliRunner().invoke(
        app, ["corrections", "--seq", str(one.mark), "--home", str(hub.settings.home)], env=_urls(hub.settings)
    )
    assert "of-health health  waiting" in said.stdout


def _urls(settings: Settings) -> dict[str, str]:
    return {
        "HUB_DATABASE_URL": settings.database_url or "", "HUB_OWNER_URL": settings.owner_url or "",
        "HUB_WORKER_URL": settings.worker_url or "",
    }  # fmt: skip
