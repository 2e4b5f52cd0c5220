"""What the hub refuses, asked for at every door: clinical facts outside care, slices that hunt people. Nothing lifts it."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import openpyxl
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from drops.scan import Drops
from hub import jobs
from hub.app import create_app
from hub.commands.opening import operator
from hub.database import Database, run_sql
from hub.embedded import Urls
from hub.errors import BadRequest, ClinicalBoundary, HubError, NotAllowed
from hub.exchange.slices import FeedContext, snapshot
from hub.keyring import Keyring
from hub.registry import requests
from hub.registry.hunting_rules import HUNTING_RULES, broken_hunting_rule
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor
from hub.registry.scope import reach_of
from hub.registry.slice_definition import Condition, SliceDefinition, SliceType, refuse_hunting
from hub.registry.subscriptions import Terms, change_subscription, create_subscription
from hub.settings import AccountPolicy, BadSettings, Settings, load_settings
from mappings.catalogue import Catalogue
from tests.doors import THIS_MONTH, Hub, founded_hub, open_account
from tests.hub_command import run_hub
from tests.source import functions_of, sources
from tests.test_clinical import SENDERS, everything_kept, found_in, markers, planted, send
from tests.test_panel import OWN
from tests.test_unmasking import ask, enter

ROOT = Path(__file__).parent.parent
TERMS = Terms(purpose="核对", legal_basis="条例")
KEEPER = reach_of(SYSTEM_ACTOR)
HARMLESS = SliceDefinition((SliceType("death_certificate", ("cert_no",)),))
OUTSIDE = ("labour", "health", "public_security")
OUTSIDERS = ("gongan", "renshe", "qingxi", "bailu", "quju", "lingdao", "shenji")
CARE_TYPES = ("antenatal_booking", "postnatal_visit")


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        with app_database.begin() as connection:
            open_account(connection, "lingdao", "bureau", "bureau_leader")
        yield hub


def of(record_type: str, *fields: str, **conditions: tuple[str, ...]) -> SliceDefinition:
    asked = tuple(Condition(name, "in" if values else "not_empty", values) for name, values in conditions.items())
    return SliceDefinition((SliceType(record_type, fields, asked),))


CLINICAL = {
    "a clinical field": of("birth_certificate", "cert_no", "weight_g"),
    "a clinical field alone": of("death_certificate", "underlying_icd10"),
    "a type that tells by existing": of("antenatal_booking", "woman_name"),
    "a condition on a clinical field": of("birth_certificate", "cert_no", gest_weeks=()),
}
HUNTING = {
    "births-by-marriage": SliceDefinition(
        (
            SliceType("newborn_hukou", ("child_name",)),
            SliceType("marriage", ("female_name",), (Condition("female_prior_marital", "in", ("10",)),)),
        )
    ),
    "births-by-parent": of("birth_certificate", "cert_no", mother_id_no=()),
    "childbearing": of("divorce", "male_name", children_n=("3",)),
    "sex-by-marriage": of("resident_roll", "name", sex=("2",), marital=("10",)),
    "sex-by-age": of("resident_roll", "name", sex=("2",), birth_date=()),
}
REFUSED = CLINICAL | HUNTING


def create(connection: Any, catalogue: Catalogue, definition: SliceDefinition, organisation: str, code: str) -> None:
    create_subscription(
        connection, SYSTEM_ACTOR, catalogue, code=code, organisation=organisation, title="订阅",
        definition=definition, terms=TERMS,
    )  # fmt: skip


def force(owner: Database, code: str, definition: SliceDefinition) -> None:
    """Into the table itself, past everything that would refuse it."""
    written = json.dumps(msgspec.to_builtins(definition))
    with owner.begin(KEEPER) as connection:
        run_sql(
            connection,
            "UPDATE {d}.subscription_version v SET definition = CAST(:written AS jsonb) FROM {d}.subscription s"
            " WHERE s.subscription_id = v.subscription_id AND s.code = :code",
            written=written,
            code=code,
        )


def run(settings: Settings, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    settings.home.mkdir(parents=True, exist_ok=True)
    (settings.home / "hub.toml").write_text('fictitious_prefixes = ["999001"]\n')
    urls = {"DATABASE": settings.database_url, "WORKER": settings.worker_url, "OWNER": settings.owner_url}
    named = {f"HUB_{name}_URL": str(url) for name, url in urls.items()}
    environment = {**os.environ, **named, "HUB_HOME": str(settings.home), **more}
    return run_hub(environment, *arguments)


# ---- 1. definitions ----


@pytest.mark.parametrize("organisation", OUTSIDE)
def test_no_refused_slice_is_subscribed_by_creating_or_by_changing(
    hub: Hub, catalogue: Catalogue, organisation: str
) -> None:
    with hub.served.begin(KEEPER) as connection:
        create(connection, catalogue, HARMLESS, organisation, "mine")
        for definition in REFUSED.values():
            with pytest.raises((ClinicalBoundary, NotAllowed)):
                create(connection, catalogue, definition, organisation, "another")
            with pytest.raises((ClinicalBoundary, NotAllowed)):
                change_subscription(connection, SYSTEM_ACTOR, catalogue, "mine", definition=definition, terms=TERMS)
        kept = run_sql(connection, "SELECT definition::text FROM {d}.subscription_version")
    assert len(kept) == 1 and "cert_no" in str(kept)


def test_nobody_hunts_not_even_care(hub: Hub, catalogue: Catalogue) -> None:
    with hub.served.begin(KEEPER) as connection:
        for rule, definition in HUNTING.items():
            with pytest.raises(NotAllowed) as refused:
                create(connection, catalogue, definition, "mch_station", rule)
            assert refused.value.facts["rule"] == rule


def test_every_hunting_rule_refuses_something() -> None:
    """Contraception is told by clinical fields alone so far: the rule is asked directly."""
    asked = frozenset({"contraceptive_method"})
    broken = broken_hunting_rule([("resident_roll", asked)])
    assert broken and {*HUNTING, broken.name} == {rule.name for rule in HUNTING_RULES}


def test_there_is_no_other_way_to_a_subscription(hub: Hub, catalogue: Catalogue) -> None:
    calling = {
        module
        for module in sources()
        for act in functions_of(module)
        if act.calls & {"create_subscription", "change_subscription"}
    }
    assert calling == {"hub/demo/subscribers.py", "hub/sharing/answers.py"}  # the latter when all providers approved
    officer = Actor(
        name="officer", organisation="labour", kind="department", door="panel", rights=ROLES["data_officer"]
    )
    with hub.served.begin(reach_of(officer)) as connection:
        for act in ("create_subscription", "change_subscription", "subscribe"):
            with pytest.raises(BadRequest):
                requests.ask(connection, officer, act, "mine", {"definition": {}}, "需要")
    definition = msgspec.to_builtins(CLINICAL["a clinical field"])
    with TestClient(hub.app) as client:
        for method, path in (("POST", ""), ("PUT", "/mine"), ("PATCH", "/mine")):
            answer = client.request(method, f"/v1/subscriptions{path}", json=definition, headers=hub.key_of("labour"))
            assert answer.status_code in (404, 405)


def test_without_the_rules_the_same_slices_would_be_subscribed(
    hub: Hub, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rule in ("refuse_clinical", "refuse_hunting", "refuse_closed_types"):
        monkeypatch.setattr(f"hub.registry.slice_definition.{rule}", lambda *given: None)
    with hub.served.begin(KEEPER) as connection:
        for number, definition in enumerate(REFUSED.values()):
            create(connection, catalogue, definition, "labour", f"slice-{number}")


# ---- 2. pulling what somebody put into the table ----


def stricter(catalogue: Catalogue, code: str, name: str) -> Catalogue:
    """The catalogue of a later day, which classes one more field as clinical."""
    its = catalogue.record_types[code]
    fields = tuple(
        msgspec.structs.replace(one, sensitivity="clinical") if one.name == name else one for one in its.fields
    )
    types = catalogue.record_types | {code: msgspec.structs.replace(its, fields=fields)}
    return msgspec.structs.replace(catalogue, record_types=types)


@pytest.mark.parametrize("what", ["changes", "snapshot"])
def test_a_forced_definition_is_refused_at_the_api(
    hub: Hub, catalogue: Catalogue, owner_database: Database, what: str
) -> None:
    sheets = planted(catalogue)
    send(hub, catalogue, sheets)
    with hub.served.begin(KEEPER) as connection:
        create(connection, catalogue, HARMLESS, "labour", "mine")
    with TestClient(hub.app) as client:
        for name, definition in REFUSED.items():
            force(owner_database, "mine", definition)
            answer = client.get(f"/v1/subscriptions/mine/{what}", headers=hub.key_of("labour"))
            assert answer.status_code == 403, name
            assert answer.json()["type"].endswith(("clinical-boundary", "not-allowed"))
            assert found_in(answer.text, markers(sheets)) == []


@pytest.mark.parametrize("what", ["changes", "snapshot"])
def test_a_field_classed_clinical_later_is_refused_at_the_api(
    hub: Hub, catalogue: Catalogue, app_database: Database, what: str
) -> None:
    with hub.served.begin(KEEPER) as connection:
        create(connection, catalogue, HARMLESS, "labour", "mine")
    later = stricter(catalogue, "death_certificate", "cert_no")
    app = create_app(hub.settings, app_database, later, Keyring.load(hub.settings.home))
    for asked, status in ((hub.app, 200), (app, 403)):
        with TestClient(asked) as client:
            answer = client.get(f"/v1/subscriptions/mine/{what}", headers=hub.key_of("labour"))
            assert answer.status_code == status


@pytest.mark.parametrize("what", ["changes", "snapshot"])
def test_a_forced_definition_is_refused_at_the_command_line(
    hub: Hub, catalogue: Catalogue, owner_database: Database, what: str
) -> None:
    sheets = planted(catalogue)
    send(hub, catalogue, sheets)
    with hub.served.begin(KEEPER) as connection:
        create(connection, catalogue, HARMLESS, "labour", "mine")
    for definition in (CLINICAL["a clinical field"], CLINICAL["a type that tells by existing"], HUNTING["sex-by-age"]):
        force(owner_database, "mine", definition)
        done = run(hub.settings, what, "mine")
        assert (done.returncode, done.stdout) == (3, ""), done.stderr
        assert found_in(done.stderr, markers(sheets)) == []


def test_without_the_rule_the_command_line_would_give_it_away(
    hub: Hub, catalogue: Catalogue, owner_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's role passes row security: there this one rule stands between a clinical field and its reader."""
    send(hub, catalogue, planted(catalogue))
    with hub.served.begin(KEEPER) as connection:
        create(connection, catalogue, HARMLESS, "labour", "mine")
    force(owner_database, "mine", CLINICAL["a clinical field"])
    context = FeedContext(catalogue, Keyring.load(hub.settings.home))

    def pulled() -> str:
        with hub.worker.begin(isolation="REPEATABLE READ") as connection:
            return "".join(snapshot(connection, operator("hub"), context, "mine"))

    with pytest.raises(ClinicalBoundary):
        pulled()
    monkeypatch.setattr("hub.registry.slice_definition.refuse_clinical", lambda *given: None)
    assert found_in(pulled(), ["3917"]) == ["3917"]


def test_without_the_rule_row_security_still_holds_at_the_api(
    hub: Hub, catalogue: Catalogue, owner_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheets = planted(catalogue)
    send(hub, catalogue, sheets)
    with hub.served.begin(KEEPER) as connection:
        create(connection, catalogue, HARMLESS, "labour", "mine")
    monkeypatch.setattr("hub.registry.slice_definition.refuse_clinical", lambda *given: None)
    monkeypatch.setattr("hub.registry.slice_definition.refuse_closed_types", lambda *given: None)
    with TestClient(hub.app, raise_server_exceptions=False) as client:
        for definition in CLINICAL.values():
            force(owner_database, "mine", definition)
            answer = client.get("/v1/subscriptions/mine/snapshot", headers=hub.key_of("labour"))
            assert found_in(answer.text, markers(sheets)) == []
            assert not any(number in answer.text for number in care_numbers(sheets))


# ---- 3. looking at everything one has pages for ----


def care_numbers(sheets: dict[str, list[dict[str, str]]]) -> set[str]:
    """Identity numbers in records that are clinical by existing."""
    rows = [row for code in CARE_TYPES for row in sheets[code]]
    return {value for row in rows for name, value in row.items() if name.endswith("id_no")}


def everything_seen(app: Litestar, hub: Hub, login: str) -> str:
    """All that an account's pages say, forms for unmasking filled in wherever there could be one."""
    with hub.worker.begin() as connection:
        sent = run_sql(connection, "SELECT submission_id, receipt_number FROM {d}.submission")
        last = int(str(run_sql(connection, "SELECT last_seq FROM {d}.feed_head")[0][0]))
    with TestClient(app, base_url="https://hub.test", raise_server_exceptions=False) as client:
        client.headers.update(OWN)
        enter(client, login)
        paths = [
            "/",
            f"/board?month={THIS_MONTH}",
            "/board?month=2026-10",
            "/submissions",
            f"/changes?month={THIS_MONTH}",
        ]
        for submission_id, number in sent:
            place = f"/submissions/{submission_id}"
            paths += [place, f"{place}/rows", f"{place}/progress", f"/receipts/{number}"]
        seen = [client.get(path).text for path in paths]
        forms = [f"/unmask/changes/{seq}" for seq in range(1, last + 1, 3)]
        for submission_id, _ in sent:
            forms += [f"/unmask/rows/{submission_id}/{row}" for row in (1, 2)]
            forms += [f"/unmask/errors/{submission_id}/{row}/1" for row in (2, 3)]
        return "\n".join([*seen, *(ask(client, form).text for form in forms), workbook_of(client)])


def workbook_of(client: TestClient[Litestar]) -> str:
    answer = client.get(f"/changes.xlsx?month={THIS_MONTH}")
    if answer.status_code != 200:
        return ""
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).active
    return "\n".join(str(cell.value) for row in sheet.iter_rows() for cell in row)


def test_no_page_of_any_role_says_anything_of_care(hub: Hub, catalogue: Catalogue) -> None:
    sheets = planted(catalogue)
    send(hub, catalogue, sheets)
    numbers = care_numbers(sheets)
    assert len(numbers) > 5
    for login in OUTSIDERS:
        seen = everything_seen(hub.app, hub, login)
        assert found_in(seen, markers(sheets)) == [], login
        assert [number for number in numbers if number in seen] == [], login
    assert found_in(everything_seen(hub.app, hub, "fuyou"), markers(sheets)) == []  # not even its own are on a page


def test_without_both_walls_a_page_would(
    hub: Hub, catalogue: Catalogue, urls: Urls, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheets = planted(catalogue)
    send(hub, catalogue, sheets)
    monkeypatch.setattr("hub.exchange.sent_rows.is_care_only", lambda record_type: False)
    above_row_security = Database(urls.superuser, hub.settings.district)
    unwalled = create_app(hub.settings, above_row_security, catalogue, Keyring.load(hub.settings.home))
    for app, leaks in ((hub.app, False), (unwalled, True)):
        seen = everything_seen(app, hub, "quju")
        assert any(number in seen for number in care_numbers(sheets)) is leaks
    above_row_security.close()


# ---- 4. receipts, dropped files, logs, the audit, problems ----


def test_receipts_and_checks_on_the_command_line_say_nothing_clinical(
    hub: Hub, catalogue: Catalogue, tmp_path: Path
) -> None:
    sheets = planted(catalogue)
    told = [run(hub.settings, "receipt", number, "--json").stdout for number in send(hub, catalogue, sheets)]
    for code, rows in sheets.items():
        file = tmp_path / f"{code}.ndjson"
        file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
        told.append(run(hub.settings, "check", str(file), "--type", code, "--as", SENDERS[code]).stdout)
    assert all(told)
    assert found_in("\n".join(told), markers(sheets)) == []


def test_the_answers_beside_a_drop_folder_say_nothing_clinical(hub: Hub, catalogue: Catalogue) -> None:
    sheets = planted(catalogue)
    drops = Drops(hub.worker, msgspec.structs.replace(hub.settings, drop_quiet_seconds=0.0), catalogue)
    drops.lay_out()
    for code, rows in sheets.items():
        inbox = hub.settings.drops / SENDERS[code] / "in" / code
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (inbox / "good.ndjson").write_text("\n".join(lines), "utf-8")
        (inbox / "bad.pdf").write_text("%PDF-1.4 PLANTEDADVICE", "utf-8")
    drops.look()
    jobs.work(hub.worker, hub.settings, wait=False)
    drops.look()
    answers = [path for path in hub.settings.drops.rglob("*") if path.suffix in (".json", ".txt")]
    assert len(answers) >= len(sheets)
    assert found_in("\n".join(path.read_text("utf-8") for path in answers), markers(sheets)) == []


def test_a_job_that_fails_at_a_clinical_row_logs_and_keeps_none_of_it(
    hub: Hub, catalogue: Catalogue, owner_database: Database, urls: Urls, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """The driver's own message would quote the row."""
    sheets = {code: rows for code, rows in planted(catalogue).items() if code in CARE_TYPES}
    with owner_database.begin() as connection:
        for code in sheets:
            run_sql(connection, f"ALTER TABLE {{d}}.rec_{code} ADD CONSTRAINT never CHECK (version < 0)")
    send(hub, catalogue, sheets)
    logged = capfd.readouterr()
    log = logged.out + logged.err + caplog.text
    assert "IntegrityError" in log
    assert [number for number in care_numbers(sheets) if number in log] == []
    assert found_in(log + everything_kept(urls), markers(sheets)) == []


def test_no_problem_document_quotes_what_was_sent(hub: Hub) -> None:
    row = {"findings": "PLANTEDFINDINGS", "woman_id_no": "999001199003070011"}
    bodies: list[dict[str, Any]] = [
        {"type": "postnatal_visit", "rows": [row]},
        {"type": "postnatal_visit", "rows": row},
        {"type": ["postnatal_visit"], "rows": [row]},
        {"rows": [row]},
        {"type": "family_planning_service", "rows": [row], "period": 3},
    ]
    with TestClient(hub.app, raise_server_exceptions=False) as client:
        for number, body in enumerate(bodies):
            key = {"Idempotency-Key": f"k{number}", **hub.key_of("labour")}
            answer = client.post("/v1/submissions", json=body, headers=key)
            assert answer.status_code in (400, 403, 422), answer.text
            assert "PLANTED" not in answer.text and "999001199003070011" not in answer.text


# ---- 5. no setting lifts it ----

WORDS = ("clinical", "care", "care_only", "hunting", "mask", "masking", "unmask", "sensitive", "refuse", "floor")
VERBS = ("", "allow_", "share_", "show_", "disable_", "skip_", "ignore_")
KEYS = [f"{verb}{word}" for verb in VERBS for word in WORDS] + ["care_only_types", "hunting_rules", "small_cells"]


@pytest.mark.parametrize("written", [lambda key: f"{key} = true\n", lambda key: f"[{key}]\nallow = true\n"])
def test_no_key_in_the_settings_file_lifts_it(tmp_path: Path, written: Callable[[str], str]) -> None:
    for key in KEYS:
        (tmp_path / "hub.toml").write_text(written(key))
        with pytest.raises(BadSettings, match=key):
            load_settings(tmp_path)
    (tmp_path / "hub.toml").write_text("[accounts]\nunmask = true\n")
    with pytest.raises(BadSettings, match="unmask"):
        load_settings(tmp_path)


def test_no_field_of_the_settings_speaks_of_it() -> None:
    fields = {*Settings.__struct_fields__, *AccountPolicy.__struct_fields__}
    assert not [name for name in fields if set(name.split("_")) & set(WORDS)]


def test_no_variable_lifts_it(catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hub.registry.slice_definition import check_definition

    for key in KEYS:
        monkeypatch.setenv(f"HUB_{key.upper()}", "1")
    assert load_settings(tmp_path) == load_settings(tmp_path, demo=False)
    for demo in (True, False):
        load_settings(tmp_path, demo=demo)
        for definition in REFUSED.values():
            with pytest.raises(HubError):
                check_definition(definition, catalogue, "department", None)
        for definition in HUNTING.values():
            with pytest.raises(NotAllowed):
                refuse_hunting(definition)
