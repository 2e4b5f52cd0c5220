"""Clinical facts never cross the care boundary: a planted value is in no table, log, answer or page but a care unit's."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Literal

import psycopg
import pytest
from litestar.testing import TestClient
from psycopg import sql

from hub import jobs
from hub.commands.opening import operator
from hub.database import Database, run_sql
from hub.embedded import Urls
from hub.errors import ClinicalBoundary
from hub.exchange.receipts import read_receipt
from hub.exchange.slices import FeedContext, read_page, snapshot
from hub.keyring import Keyring
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition, SliceType, check_definition
from hub.registry.subscriptions import Terms, create_subscription
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.doors import ORGANISATIONS, PASSWORD, THIS_MONTH, TOWN, VILLAGE, Hub, founded_hub
from tests.factories import row_values

SENDERS = {
    "birth_certificate": "mch_station", "death_certificate": "health", "antenatal_booking": "mch_station",
    "postnatal_visit": "mch_station",
}  # fmt: skip
ACCEPTED = {
    "birth_certificate": {"weight_g": "3917"},
    "death_certificate": {"underlying_icd10": "PLANTEDI219"},
    "antenatal_booking": {"lmp": "2026-02-13"},
    "postnatal_visit": {"findings": "PLANTEDFINDINGS", "advice": "PLANTEDADVICE"},
}
OUTSIDE = ("public_security", "labour")
TERMS = Terms(purpose="核对", legal_basis="条例")
KEEPER = reach_of(SYSTEM_ACTOR)


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


@pytest.fixture
def context(catalogue: Catalogue, settings: Settings) -> FeedContext:
    return FeedContext(catalogue, Keyring.load(settings.home))


def planted(catalogue: Catalogue) -> dict[str, list[dict[str, str]]]:
    """Per type one row that is accepted with clinical values, and one row for each clinical field with a marker in it."""
    sheets: dict[str, list[dict[str, str]]] = {}
    for number, (code, values) in enumerate(ACCEPTED.items()):
        rows = [_row(catalogue, code, 10 * number) | values]
        for place, one in enumerate(catalogue.record_types[code].clinical_fields, 1):
            rows.append(_row(catalogue, code, 10 * number + place) | {one.name: f"PLANTED{number}{place:02d}"})
        sheets[code] = rows
    return sheets


def _row(catalogue: Catalogue, code: str, sequence: int) -> dict[str, str]:
    """A good row that says nothing clinical and lives in a village of the district."""
    clinical = {one.name for one in catalogue.record_types[code].clinical_fields}
    values = row_values(catalogue, code, sequence)
    areas = {name: VILLAGE for name in values if name.endswith(("live_div", "hukou_div"))}
    return {name: value for name, value in (values | areas).items() if name not in clinical}


def markers(sheets: dict[str, list[dict[str, str]]]) -> list[str]:
    texts = {value for rows in sheets.values() for row in rows for value in row.values() if value.startswith("PLANTED")}
    return sorted(texts | {value for values in ACCEPTED.values() for value in values.values()})


def found_in(text: str, wanted: list[str]) -> list[str]:
    """Markers in a text, plain or as the hexadecimal of a bytea; never inside a longer run of digits or letters."""
    spelled = {spelling: one for one in wanted for spelling in (one, one.encode().hex())}
    either = "|".join(map(re.escape, spelled))
    plain = {spelled[hit] for hit in re.findall(rf"(?<![0-9A-Za-z])(?:{either})(?![0-9A-Za-z])", text)}
    long = {one for spelling, one in spelled.items() if len(spelling) > 12 and spelling in text}
    return sorted(plain | long)


def send(hub: Hub, catalogue: Catalogue, sheets: dict[str, list[dict[str, str]]]) -> list[str]:
    """Every sheet through the gate and the whole line; the receipt numbers."""
    numbers = []
    for code, rows in sheets.items():
        lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
        accepted = jobs.accept(
            hub.served, hub.settings, operator(SENDERS[code]), stream=io.BytesIO(lines), file_name=f"{code}.ndjson",
            record_type=code, organisation=SENDERS[code], period="2026-10", door="command", catalogue=catalogue,
        )  # fmt: skip
        numbers.append(accepted.receipt_number)
    hub.work()
    return numbers


def everything_kept(urls: Urls) -> str:
    """Every row of every table of every schema, as text."""
    with psycopg.connect(urls.superuser.replace("+psycopg", "")) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        assert len(tables) > 60
        rows = []
        for schema, table in tables:
            statement = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(schema, table))
            rows += [f"{schema}.{table}: {row[0]}" for row in connection.execute(statement)]
    return "\n".join(rows)


def definition_of(catalogue: Catalogue, codes: tuple[str, ...], *, clinical: bool) -> SliceDefinition:
    """Every field of the types; with or without the clinical ones."""
    kinds = [catalogue.record_types[code] for code in codes]
    return SliceDefinition(
        tuple(
            SliceType(kind.code, tuple(one.name for one in kind.fields if clinical or not one.clinical))
            for kind in kinds
        )
    )


def test_a_planted_clinical_value_is_in_no_table_receipt_log_or_answer(
    hub: Hub, catalogue: Catalogue, urls: Urls, context: FeedContext, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    open_types = ("birth_certificate", "death_certificate")
    with hub.served.begin(KEEPER) as connection:
        for organisation in OUTSIDE:
            create_subscription(
                connection, SYSTEM_ACTOR, catalogue, code=organisation, organisation=organisation, title="非照护",
                definition=definition_of(catalogue, open_types, clinical=False), terms=TERMS,
            )  # fmt: skip
    sheets = planted(catalogue)
    numbers = send(hub, catalogue, sheets)
    wanted = markers(sheets)
    assert len(wanted) > 20
    with hub.served.begin(KEEPER) as connection:
        languages: tuple[Literal["zh", "en"], ...] = ("zh", "en")
        told = [read_receipt(connection, number, each, catalogue=catalogue) for number in numbers for each in languages]
        values = run_sql(connection, "SELECT value, params FROM {d}.row_error")
    assert [one["state"] for one in told[::2]] == ["merged"] * 4
    kept_out = [one["counts"]["refused"] + one["counts"]["held"] for one in told[::2]]
    assert all(one["counts"]["accepted"] >= 1 for one in told) and all(kept_out), [one["counts"] for one in told[::2]]
    assert found_in(json.dumps(told, ensure_ascii=False, default=str), wanted) == []
    assert found_in(str(values), wanted) == []
    assert found_in(everything_kept(urls), wanted) == []
    assert found_in(answers_outside_care(hub), wanted) == []
    logged = capfd.readouterr()
    assert found_in(logged.out + logged.err + caplog.text, wanted) == []


def answers_outside_care(hub: Hub) -> str:
    """All that departments and a town read over HTTP: slices, submissions, receipts, the change list."""
    told = [town_change_list(hub)]
    with TestClient(hub.app) as client:
        for organisation in (*OUTSIDE, "health"):
            key = hub.key_of(organisation)
            listed = client.get("/v1/submissions", headers=key)
            told.append(listed.text)
            told += [client.get(one["receipt_url"], headers=key).text for one in listed.json()["data"]]
            for what in ("changes", "snapshot") if organisation in OUTSIDE else ():
                answer = client.get(f"/v1/subscriptions/{organisation}/{what}", headers=key)
                assert answer.status_code == 200
                assert '"after"' in answer.text
                told.append(answer.text)
    return "\n".join(told)


def town_change_list(hub: Hub) -> str:
    """The one page on which a town sees people, as its officer sees it."""
    with TestClient(hub.app, base_url="https://hub.test") as client:
        client.headers.update({"Sec-Fetch-Site": "same-origin", "Accept": "text/html"})
        token = re.findall(r'name="token" value="([^"]+)"', client.get("/sign-in").text)[0]
        form = {"token": token, "login": "qingxi", "password": PASSWORD}
        assert client.post("/sign-in", data=form, follow_redirects=False).status_code == 303
        page = client.get(f"/changes?month={THIS_MONTH}")
        assert page.status_code == 200
        assert "王芳" in page.text
        return page.text


def test_a_care_unit_pulls_what_was_planted(hub: Hub, catalogue: Catalogue, context: FeedContext) -> None:
    with hub.served.begin(KEEPER) as connection:
        create_subscription(
            connection, SYSTEM_ACTOR, catalogue, code="care", organisation="mch_station", title="照护",
            definition=definition_of(catalogue, tuple(SENDERS), clinical=True), terms=TERMS,
        )  # fmt: skip
    send(hub, catalogue, planted(catalogue))
    with hub.served.begin(KEEPER) as connection:
        page = read_page(connection, SYSTEM_ACTOR, context, "care")
    wanted = [value for values in ACCEPTED.values() for value in values.values()]
    assert found_in(page.changes, wanted) == sorted(wanted)
    with hub.served.begin(KEEPER, isolation="REPEATABLE READ") as connection:
        assert found_in("".join(snapshot(connection, SYSTEM_ACTOR, context, "care")), wanted) == sorted(wanted)


@pytest.mark.parametrize("code", SENDERS)
def test_nobody_outside_care_subscribes_to_a_clinical_field(catalogue: Catalogue, code: str) -> None:
    for kind in sorted({kind for _, kind, _, _ in ORGANISATIONS}):
        for one in catalogue.record_types[code].clinical_fields:
            definition = SliceDefinition((SliceType(code, (one.name,)),), areas=(1,))
            if kind == "care":
                check_definition(definition, catalogue, kind, [1])
            else:
                with pytest.raises(ClinicalBoundary):
                    check_definition(definition, catalogue, kind, [1])


@pytest.mark.parametrize("code", SENDERS)
@pytest.mark.parametrize("organisation", ["labour", TOWN])
def test_a_clinical_definition_forced_into_the_table_is_refused_at_the_pull(
    hub: Hub, catalogue: Catalogue, context: FeedContext, owner_database: Database, code: str, organisation: str
) -> None:
    send(hub, catalogue, {code: planted(catalogue)[code]})
    harmless = SliceDefinition(
        (SliceType("death_certificate", ("cert_no",)),), areas=(2,) if organisation == TOWN else None
    )
    clinical = catalogue.record_types[code].clinical_fields[0].name
    with owner_database.begin() as connection:
        create_subscription(
            connection, SYSTEM_ACTOR, catalogue, code="forced", organisation=organisation, title="非照护",
            definition=harmless, terms=TERMS,
        )  # fmt: skip
        wanted = {"record_type": code, "fields": [clinical], "conditions": []}
        forced = json.dumps({"record_types": [wanted], "areas": harmless.areas})
        run_sql(connection, "UPDATE {d}.subscription_version SET definition = CAST(:forced AS jsonb)", forced=forced)
    with hub.served.begin(KEEPER) as connection, pytest.raises(ClinicalBoundary):
        read_page(connection, SYSTEM_ACTOR, context, "forced")
    with hub.served.begin(KEEPER) as connection, pytest.raises(ClinicalBoundary):
        list(snapshot(connection, SYSTEM_ACTOR, context, "forced"))
    if organisation in hub.keys:
        with TestClient(hub.app) as client:
            assert client.get("/v1/subscriptions/forced/changes", headers=hub.key_of(organisation)).status_code == 403


def test_the_search_itself_finds_a_leak(hub: Hub, catalogue: Catalogue, urls: Urls, owner_database: Database) -> None:
    """One clinical value in clear, as text and as bytes, is found wherever it is."""
    send(hub, catalogue, {"postnatal_visit": planted(catalogue)["postnatal_visit"][:1]})
    with owner_database.begin() as connection:
        run_sql(connection, "UPDATE {d}.submission SET facts = jsonb_build_object('leak', 'PLANTEDFINDINGS')")
        run_sql(connection, "UPDATE {d}.rec_postnatal_visit SET content_digest = CAST('PLANTEDADVICE' AS bytea)")
    assert found_in(everything_kept(urls), ["PLANTEDADVICE", "PLANTEDFINDINGS"]) == ["PLANTEDADVICE", "PLANTEDFINDINGS"]
