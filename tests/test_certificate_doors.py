"""Certificates through every door: the receiver's system issues one, people read and print it, the command line proves it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from typer.testing import CliRunner

from hub.__main__ import app
from hub.database import Database, run_sql
from hub.exchange.changelog import number_changes
from hub.exchange.deliver import acknowledge
from hub.exchange.pipeline import apply_staged
from hub.exchange.slices import FeedContext, current_epoch, read_page
from hub.keyring import Keyring
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription, load_subscription
from hub.settings import Settings
from hub.sharing.certificate_proof import compare_copy
from hub.sharing.certificates import issue_certificate
from mappings.catalogue import Catalogue
from tests.decisions import send
from tests.desk_visits import visitor
from tests.district import actor
from tests.doors import THIS_MONTH, Hub, csv_of, founded_hub, identity_number, move_in
from tests.staged import stage

MOVES = SliceDefinition((SliceType("hukou_move_in", ("name", "id_no")),))


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        with hub.served.begin(reach_of(SYSTEM_ACTOR)) as connection:
            create_subscription(
                connection, SYSTEM_ACTOR, catalogue, code="moves", organisation="labour", title="迁入",
                definition=MOVES, terms=Terms(purpose="核对", legal_basis="条例"),
            )  # fmt: skip
        yield hub


def test_a_certificate_goes_through_every_door(hub: Hub, catalogue: Catalogue, tmp_path: Path) -> None:
    send(hub, catalogue, csv_of(move_in(1), move_in(2)))
    with TestClient(hub.app) as client:
        base, key = "/v1/subscriptions/moves", hub.key_of("labour")
        where = f"{base}/certificate?period={THIS_MONTH}"
        assert client.get(where, headers=key).status_code == 404
        page = client.get(f"{base}/changes", headers=key).json()
        opened = client.post(where, headers=key).json()
        assert (opened["totals"]["expected"], opened["totals"]["fetched"], opened["closed"]) == (2, 0, False)
        said = {"to_delivery_no": 2, "digest": page["meta"]["digest"]}
        assert client.post(f"{base}/acks", json=said, headers=key).json()["matches"]
        closed = client.post(where, headers=key)
        assert (closed.status_code, closed.json()["closed"]) == (201, True)
        assert client.get(where, headers=key).json() == closed.json()
        assert client.get(where, headers=hub.key_of("health")).status_code == 404
        assert client.post(where, headers=hub.key_of("health")).status_code == 404
        assert client.post(f"{base}/certificate?period=x", headers=key).status_code == 400
        _people_read_it(hub, client, closed.json()["certificate"])
    _it_proves_itself(hub, closed.text, page["data"], tmp_path)


def _people_read_it(hub: Hub, client: TestClient[Litestar], number: str) -> None:
    for login in ("renshe", "quju", "gongan"):  # the receiver, the bureau, the provider
        who = visitor(hub, client, login)
        assert number in who.get("/certificates").text
        shown = who.get(f"/certificates/{number}").text
        assert "已闭合" in shown
        assert f"hub certificate verify {number}.json" in shown
        assert json.loads(who.get(f"/certificates/{number}/file").content)["certificate"] == number
    receiver = visitor(hub, client, "renshe")
    assert receiver.post("/certificates", code="moves", period="2099-01").status_code == 422
    assert receiver.post("/certificates", code="moves", period=THIS_MONTH).status_code == 303
    assert "Closed" in receiver.get(f"/certificates/{number}", "en").text
    assert visitor(hub, client, "qingxi").get(f"/certificates/{number}").status_code == 404


def test_the_command_line_issues_lists_shows_and_recomputes(
    hub: Hub, catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(hub, catalogue, csv_of(move_in(1)))
    for name in ("database_url", "worker_url", "owner_url"):
        monkeypatch.setenv(f"HUB_{name.upper()}", str(getattr(hub.settings, name)))
    monkeypatch.setenv("HUB_HOME", str(hub.settings.home))

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["certificate", *words])
        assert done.exit_code == 0, done.output
        return done.stdout

    file = tmp_path / "one.json"
    assert "未闭合" in run("make", "moves", THIS_MONTH, "-o", str(file))
    (one,) = json.loads(run("list", "--subscription", "moves", "--json"))
    assert (one["expected"], one["gap"], one["closed"]) == (1, 1, False)
    assert one["certificate_no"] in run("list")
    assert "1..1 never_delivered (1)" in run("show", one["certificate_no"])
    assert "The same figures" in run("recompute", one["certificate_no"])
    with hub.worker.begin() as connection:
        run_sql(connection, "UPDATE {d}.subscription_version SET definition = jsonb_set(definition, '{areas}', '[1]')")
    assert CliRunner().invoke(app, ["certificate", "recompute", one["certificate_no"]]).exit_code == 1


def test_a_care_organisation_has_its_own_certified_with_totals_alone(hub: Hub, catalogue: Catalogue) -> None:
    record_type = catalogue.record_types["postnatal_visit"]
    visit = {"woman_id_no": identity_number(1), "woman_name": "王小红", "visit_date": "2026-03-05", "kind": "1"}
    with hub.worker.begin() as connection:
        submission_id = stage(connection, record_type, [visit | {"woman_area": 2}])
        apply_staged(connection, submission_id, "mch_station", record_type, catalogue)
        number_changes(connection, submission_id)
    station = actor("mch_station", "care_worker", name="fuyou")
    context = FeedContext(catalogue, Keyring.load(hub.settings.home))
    with hub.served.begin(reach_of(SYSTEM_ACTOR)) as connection:
        create_subscription(
            connection, SYSTEM_ACTOR, catalogue, code="visits", organisation="mch_station", title="访视",
            definition=SliceDefinition((SliceType("postnatal_visit", ("visit_date", "findings")),)),
            terms=Terms(purpose="随访", legal_basis="条例"),
        )  # fmt: skip
    with hub.served.begin(reach_of(station)) as connection:
        page = read_page(connection, station, context, "visits")
    with hub.served.begin(reach_of(station)) as connection:
        own = load_subscription(connection, "visits")
        acknowledge(connection, station, own, current_epoch(connection, own), 1, page.digest)
        one = issue_certificate(connection, station, context, "visits", THIS_MONTH, hub.settings.time_zone)
    assert (one.expected, one.closed, one.content["segments"][0]["by_type"]) == (1, True, {})
    assert "postnatal" not in json.dumps(one.content)
    assert compare_copy(one.content, [page.changes]).counted == 1


def _it_proves_itself(hub: Hub, text: str, changes: list[object], folder: Path) -> None:
    file, copy, keys = folder / "certificate.json", folder / "copy.ndjson", hub.settings.keys / "public_keys.json"
    file.write_text(text, "utf-8")
    copy.write_text("".join(json.dumps(change) + "\n" for change in changes), "utf-8")
    run = CliRunner()
    words = ["certificate", "verify", str(file), "--keys", str(keys), "--copy", str(copy)]
    assert run.invoke(app, words).exit_code == 0
    copy.write_text(copy.read_text("utf-8").replace("enter", "leave"), "utf-8")
    assert run.invoke(app, words).exit_code == 1
    file.write_text(text.replace('"sent":2', '"sent":3'), "utf-8")
    assert run.invoke(app, words[:-2]).exit_code == 1
