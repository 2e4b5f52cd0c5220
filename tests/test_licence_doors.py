"""Requests for slices through the pages, the interface of machines and the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from litestar.testing import TestClient
from typer.testing import CliRunner

from hub.__main__ import app
from hub.database import Database, run_sql, utc_now
from hub.demo.areas import make_district
from hub.demo.founding import found
from hub.demo.licences import ask_for_slices
from hub.errors import BadRequest
from hub.registry.api_keys import issue_key
from hub.registry.permissions import SYSTEM_ACTOR, Right
from hub.registry.scope import reach_of
from hub.registry.subscriptions import load_subscription
from hub.settings import Settings
from hub.sharing.answers import answer_request
from hub.sharing.requests import LicenceRequest, load_request
from mappings.catalogue import Catalogue
from tests.desk_visits import visitor
from tests.doors import Hub, founded_hub, open_account
from tests.licensed import NEXT_YEAR, POLICE, answer, ask, wanted


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as founded:
        yield founded


# ---- doors ----


def test_the_pages_lead_from_the_form_to_an_approval(hub: Hub, catalogue: Catalogue) -> None:
    with hub.served.begin() as connection:
        open_account(connection, "weishu", "health", "data_officer")
        open_account(connection, "gongshu", "public_security", "data_officer")
    with TestClient(hub.app, base_url="https://hub.test") as client:
        asks = visitor(hub, client, "weishu")
        chosen = asks.get("/licences/new?type-hukou_move_in=on").text
        assert 'name="field-hukou_move_in-move_date"' in chosen
        assert "antenatal" not in chosen
        half = asks.post("/licences/new?kind=new", **{"chosen-hukou_move_in": "1", "title": "迁入人员"})
        page = half.headers["location"]
        assert page.endswith("done=incomplete")
        assert "at least one field" in asks.get(page).text
        place = page.partition("?")[0]
        assert 'id="field-hukou_move_in-name"' in asks.get(f"{place}/edit").text
        fields = dict.fromkeys(("field-hukou_move_in-name", "field-hukou_move_in-move_date"), "on")
        only = {
            "only-hukou_move_in-0-field": "move_date", "only-hukou_move_in-0-op": "from",
            "only-hukou_move_in-0-values": "2026-01-01", "mask-hukou_move_in-name": "on",
        }  # fmt: skip
        whole = wanted() | fields | only
        del whole["definition"]
        assert asks.post(f"{place}/edit", **whole).headers["location"].endswith("done=submitted")
        again = asks.get(place).text
        assert ("遮盖" in again, "不早于或不小于" in again, "2026-01-01" in again) == (True, True, True)
        answers = visitor(hub, client, "gongshu")
        assert "还有" in answers.get("/licences").text
        assert 'id="preview"' in answers.get(place).text
        refused = answers.post(f"{place}/answer", outcome="refused", reason="不行")
        assert (refused.status_code, 'href="#reason-answer"' in refused.text) == (400, True)
        assert answers.post(f"{place}/answer", outcome="approved").headers["location"].endswith("done=answer")
        bureau = visitor(hub, client, "quju")
        assert bureau.post(f"{place}/suspend", reason="专项检查期间先行暂停").status_code == 303
        shown = asks.get(place, language="en").text
        assert "Suspended" in shown and "专项检查期间先行暂停" in shown
        assert asks.post(f"{place}/suspend", reason="专项检查期间先行暂停").status_code == 403
        forbidden = asks.post("/licences/new?kind=new", **{"chosen-antenatal_booking": "1"})
        assert forbidden.status_code == 403


def test_a_units_own_system_asks_by_the_api_and_a_person_answers(hub: Hub, catalogue: Catalogue) -> None:
    keys, scopes = {}, (Right.READ_SHARING, Right.PULL_SLICE)
    with hub.served.begin() as connection:
        for right in (Right.ANSWER_SLICE, Right.READ_DISCLOSURES, Right.OVERSEE_SHARING):
            with pytest.raises(BadRequest):
                issue_key(connection, SYSTEM_ACTOR, organisation="public_security", title="共享", scopes=(right,))
        for code, more in (("health", (Right.ASK_SLICE,)), ("public_security", ())):
            key = issue_key(connection, SYSTEM_ACTOR, organisation=code, title="共享", scopes=(*scopes, *more))
            keys[code] = {"Authorization": f"Bearer {key.text}"}
    with hub.worker.begin() as connection:  # a key from before: what it may is cut down to what keys may today
        run_sql(connection, "UPDATE admin.api_key SET scopes = scopes || '{answer-slice}'::text[]")
    with TestClient(hub.app, base_url="https://hub.test") as client:
        body = {"code": "weijian-qianru", "wanted": wanted(purpose="")}
        made = client.post("/v1/licence-requests", json=body, headers=keys["health"]).json()
        place = f"/v1/licence-requests/{made['request_id']}"
        told = client.post(f"{place}/submit", headers=keys["health"]).json()
        assert (told["state"], len(told["missing"])) == ("incomplete", 1)
        assert client.get(place, headers=keys["public_security"]).status_code == 404
        client.put(place, json={"wanted": wanted()}, headers=keys["health"])
        assert client.post(f"{place}/submit", headers=keys["health"]).json()["state"] == "submitted"
        listed = client.get("/v1/licence-requests?state=submitted", headers=keys["public_security"]).json()
        assert [one["request_no"] for one in listed["data"]] == [made["request_no"]]
        answered = client.post(f"{place}/answer", json={"outcome": "approved"}, headers=keys["public_security"])
        assert answered.status_code == 404
        with hub.served.begin(reach_of(POLICE)) as connection:
            answer_request(
                connection, hub.settings, catalogue, POLICE, UUID(made["request_id"]), "approved", "", utc_now()
            )
        assert client.get("/v1/subscriptions/weijian-qianru/changes", headers=keys["health"]).status_code == 200


def test_the_demo_has_a_request_that_is_approved_one_that_is_incomplete_and_one_that_waits(
    database: Database, settings: Settings, catalogue: Catalogue
) -> None:
    district = make_district()
    with database.begin() as connection:
        found(connection, settings, district)
        ask_for_slices(connection, settings, catalogue)
        listed = run_sql(connection, "SELECT state, subscription_code FROM {d}.licence_request ORDER BY state")
        assert load_subscription(connection, "shijian-residents").request_id is not None
    assert [str(state) for state, _ in listed] == ["approved", "incomplete", "submitted"]


def test_the_command_line_asks_answers_and_stops(settings: Settings, hub: Hub, tmp_path: Path) -> None:
    file = tmp_path / "moves.toml"
    file.write_text(
        f'kind = "new"\ncode = "weijian-moves"\ntitle = "迁入"\npurpose = "接种"\nlegal_basis = "疫苗管理法"\nscope = "本局"\n'
        f'expires_on = {NEXT_YEAR}\n[[definition.record_types]]\nrecord_type = "hukou_move_in"\nfields = ["name"]\n',
        "utf-8",
    )
    names = {"HUB_DATABASE_URL": "database_url", "HUB_OWNER_URL": "owner_url", "HUB_WORKER_URL": "worker_url"}
    environment = {key: str(getattr(settings, name)) for key, name in names.items()} | {"HUB_HOME": str(settings.home)}

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, list(arguments), env=environment)
        assert done.exit_code == 0, done.output
        return done.output

    number = run("licence", "ask", str(file), "--as", "health").split()[0]
    assert "public_security 10" in run("licence", "list") or "public_security 9" in run("licence", "list")
    same = CliRunner().invoke(app, ["licence", "answer", number, "--as", "public_security", "--outcome", "approved"],
                              env=environment)  # fmt: skip
    assert same.exit_code == 3  # the same person at the same machine
    with hub.worker.begin() as connection:
        run_sql(connection, "UPDATE {d}.licence_request SET asked_by = 'command:somebody-else'")
    assert "approved" in run("licence", "answer", number, "--as", "public_security", "--outcome", "approved")
    assert "weijian-moves  suspended" in run("licence", "suspend", "weijian-moves", "--reason", "专项检查期间先行暂停")
    assert "suspended" in run("subscription", "show", "weijian-moves")
    assert "weijian-moves  health  suspended" in run("subscription", "list")
    assert int(run("licence", "watch")) > 0
    assert number in run("licence", "show", number)


def test_the_command_line_extends_consents_escalates_and_sends_back(
    settings: Settings, hub: Hub, catalogue: Catalogue
) -> None:
    number = ask(hub, catalogue).request_no
    names = {"HUB_DATABASE_URL": "database_url", "HUB_OWNER_URL": "owner_url", "HUB_WORKER_URL": "worker_url"}
    environment = {key: str(getattr(settings, name)) for key, name in names.items()} | {"HUB_HOME": str(settings.home)}

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["licence", *arguments], env=environment)
        return done.exit_code, done.output

    provider, why = ("--provider", "public_security"), ("--reason", "涉及历史数据整理，需逐条核对")
    extended = run("extension", number, "--as", "public_security", "--days", "5", *why)
    assert extended[0] == 0 and "+5" in extended[1]
    assert run("consent", number, *provider)[0] == 3  # the same person at the same machine
    with hub.worker.begin() as connection:
        run_sql(connection, "UPDATE {d}.licence_answer SET extension_by = 'command:somebody-else'")
    consented = run("consent", number, *provider)
    assert consented[0] == 0 and consented[1] != extended[1]  # a later day
    assert run("remind", number) == (0, "1\n")
    assert run("escalate", number, "--level", "2", *why)[0] == 4  # not before the bureau itself
    assert run("escalate", number, "--level", "1", *why)[1].split()[2] == "1"
    assert run("escalate", number, "--level", "1", "--reason", "短")[0] != 0
    answer(hub, catalogue, POLICE, find(hub, number), "refused", "本局数据正在整理，暂不能提供")
    assert run("send-back", number, *provider, *why)[1].split()[1] == "submitted"
    assert run("withdraw", number, "--as", "labour")[0] == 3
    assert run("withdraw", number, "--as", "health")[1].split()[1] == "withdrawn"
    with hub.worker.begin() as connection:
        said = run_sql(
            connection, "SELECT facts ->> 'how' FROM {d}.audit WHERE object = :one ORDER BY at, audit_id",
            one=f"licence-request/{number}",
        )  # fmt: skip
    told = [str(how) for (how,) in said]
    assert told[-7:] == ["extension", "consent", "remind", "escalated", "refused", "sent-back", "withdrawn"]


def find(hub: Hub, number: str) -> LicenceRequest:
    with hub.worker.begin() as connection:
        found = run_sql(connection, "SELECT request_id FROM {d}.licence_request WHERE request_no = :one", one=number)
        return load_request(connection, UUID(str(found[0][0])))
