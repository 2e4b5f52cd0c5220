"""The doors to a person's ledger: page, file, API and command; a number in no address, a purpose and a note for each look."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from uuid import UUID

import openpyxl
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from typer.testing import CliRunner

from hub.__main__ import app
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.embedded import Cluster
from hub.errors import BadRequest
from hub.exchange.slices import FeedContext, read_page
from hub.keyring import Keyring
from hub.people.attributes import derive
from hub.registry.api_keys import issue_key
from hub.registry.areas import load_area_index
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor, Right
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from hub.settings import load_settings
from hub.sharing.disclosures import disclosures_of
from mappings.catalogue import Catalogue
from tests.desk_visits import Visitor, visitor
from tests.doors import THIS_MONTH, TOWN, Hub, csv_of, founded_hub, identity_number, move_in, open_account
from tests.fresh_databases import FreshDatabases

NUMBER, NAME, REASON = identity_number(1), "王小明", "本人申请查询去向"
SLICE = SliceDefinition((SliceType("hukou_move_in", ("name", "move_date"), masked=("name",)),))


@pytest.fixture(scope="module")
def hub(
    cluster: Cluster, fresh_databases: FreshDatabases, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    name = fresh_databases.take()
    urls = cluster.urls(name)
    settings = load_settings(
        tmp_path_factory.mktemp("ledger") / "home", database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker,
        audit_url=urls.audit, accounts={"second_factor_roles": []}, fictitious_prefixes=("999001",), demo=True,
    )  # fmt: skip
    worker, served = Database(urls.worker, settings.district), Database(urls.app, settings.district)
    with founded_hub(worker, served, settings, catalogue) as hub:
        yield hub
    worker.close()
    served.close()
    fresh_databases.give_back(name)


@pytest.fixture(scope="module")
def client(hub: Hub, catalogue: Catalogue) -> Iterator[TestClient[Litestar]]:
    """Somebody moved in, labour was told of it, a town opened the record."""
    with TestClient(hub.app, base_url="https://hub.test") as client:
        with hub.served.begin() as connection:
            for login, organisation in (("shuju", "public_security"), ("shuju2", "health")):
                open_account(connection, login, organisation, "data_officer")
        sender = visitor(hub, client, "gongan")
        form = {"token": sender.token, "record_type": "hukou_move_in", "period": THIS_MONTH}
        files = {"file": ("moves.csv", csv_of(move_in(1)), "application/octet-stream")}
        client.cookies.clear()
        client.post("/submissions/new", data=form, files=files, headers=sender.headers, follow_redirects=False)
        hub.work()
        with hub.worker.begin() as connection:
            create_subscription(
                connection, SYSTEM_ACTOR, catalogue, code="jiuye", organisation="labour", title="=就业", definition=SLICE,
                terms=Terms(purpose="就业帮扶", legal_basis="条例第五条", catalogue_no="MC-1"),
            )  # fmt: skip
            read_page(connection, SYSTEM_ACTOR, FeedContext(catalogue, Keyring.load(hub.settings.home)), "jiuye")
            derive(connection, catalogue, [UUID(person_of(hub))])
        opened = visitor(hub, client, "qingxi").get(f"/people/{person_of(hub)}?purpose=verify")
        assert NAME in opened.text, opened.text
        yield client


def person_of(hub: Hub) -> str:
    with hub.worker.begin() as connection:
        rows = run_sql(connection, "SELECT person_id FROM {d}.person_identifier WHERE value = :value", value=NUMBER)
    return str(rows[0][0])


def asked(who: Visitor, **given: str) -> str:
    form = {"id_no": NUMBER, "purpose": "inquiry", "reason": REASON, **given}
    return str(who.post("/disclosures", **form).text)


def notes(hub: Hub) -> list[Any]:
    with Database(str(hub.settings.audit_url), hub.settings.district).begin() as connection:
        statement = "SELECT object, facts FROM {d}.audit WHERE act = 'read-disclosures' ORDER BY at"
        return [*run_sql(connection, statement)]


@pytest.mark.parametrize("login", ["shenji", "quju"])
def test_who_oversees_is_told_who_received_which_fields(hub: Hub, client: TestClient[Litestar], login: str) -> None:
    before = len(notes(hub))
    page = asked(visitor(hub, client, login))
    for told in (
        "云岭区人社局",
        "=就业",
        "就业帮扶",
        "条例第五条",
        "MC-1",
        "户口迁入",
        "姓名（掩码）、",
        "清溪街道",
        "qingxi",
    ):
        assert told in page
    assert NUMBER not in page and NAME not in page and "9990" in page
    assert "医疗照护单位" in page
    about, facts = notes(hub)[before]
    assert about == f"person/{person_of(hub)}" and facts["reason"] == REASON and facts["disclosures"] >= 2
    assert NUMBER not in json.dumps(facts)


def test_a_data_officer_is_told_of_records_of_the_own_organisation_alone(
    hub: Hub, client: TestClient[Litestar]
) -> None:
    own = asked(visitor(hub, client, "shuju"))
    assert "云岭区人社局" in own and "qingxi" not in own and "单人查阅未列入" in own
    strange = asked(visitor(hub, client, "shuju2"))
    nobody = asked(visitor(hub, client, "shuju2"), id_no=identity_number(99))
    assert "没有找到可以查询的人员" in strange and "没有找到可以查询的人员" in nobody
    assert person_of(hub) not in strange


def test_without_a_purpose_or_a_person_nothing_is_told(hub: Hub, client: TestClient[Litestar]) -> None:
    auditor = visitor(hub, client, "shenji")
    assert 'name="id_no"' in auditor.get("/disclosures").text
    assert "Disclosures" in auditor.get("/disclosures", language="en").text
    assert "请选择查阅目的" in asked(auditor, purpose="")
    assert "请选择查阅目的" in asked(auditor, reason="")
    assert "请填写完整身份号码" in asked(auditor, id_no=" ")
    assert "没有找到可以查询的人员" in asked(auditor, id_no="王小明")


def test_the_file_has_a_cover_and_nothing_a_spreadsheet_runs(hub: Hub, client: TestClient[Litestar]) -> None:
    auditor = visitor(hub, client, "shenji")
    form = {"person_id": person_of(hub), "purpose": "inquiry", "reason": REASON}
    book = openpyxl.load_workbook(BytesIO(auditor.post("/disclosures/file", form="xlsx", **form).content))
    cells = [str(cell.value) for sheet in book for row in sheet for cell in row if cell.value]
    assert {"信息去向", REASON, "云岭区人社局"} <= {each.removeprefix("单位协查 ") for each in cells}
    assert not [cell for sheet in book for row in sheet for cell in row if cell.data_type == "f"]
    table = auditor.post("/disclosures/file", form="csv", **form).text
    assert "jiuye =就业 v1" in table and NUMBER not in table and "不显示" in table


def test_no_program_asks_whatever_its_key(hub: Hub, client: TestClient[Litestar]) -> None:
    with hub.served.begin() as connection, pytest.raises(BadRequest):
        issue_key(
            connection, SYSTEM_ACTOR, organisation="public_security", title="去向", scopes=frozenset({Right.READ_DISCLOSURES})
        )  # fmt: skip
    client.cookies.clear()
    question = {"id_no": NUMBER, "purpose": "inquiry", "reason": REASON}
    assert client.post("/v1/disclosures", json=question, headers=hub.key_of("labour")).status_code == 404


def test_the_command_reads_the_number_from_its_input(
    hub: Hub, client: TestClient[Litestar], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("database_url", "worker_url", "owner_url", "audit_url"):
        monkeypatch.setenv(f"HUB_{name.upper()}", str(getattr(hub.settings, name)))
    words = ["disclosures", "--reason", REASON, "--home", str(hub.settings.home)]
    told = CliRunner().invoke(app, words, input=f"{NUMBER}\n")
    assert told.exit_code == 0, told.output
    ledger = json.loads(told.stdout)
    assert {one["kind"] for one in ledger["disclosures"]} == {"page", "look"} and NUMBER not in told.stdout


def test_lists_repairs_and_searches_that_told_of_them_are_in_it(
    hub: Hub, client: TestClient[Litestar], catalogue: Catalogue
) -> None:
    person, town = UUID(person_of(hub)), visitor(hub, client, "qingxi")
    assert NAME in town.post("/people", id_no=NUMBER, purpose="verify").text
    with hub.worker.begin() as connection:
        told = {"id": new_uuid(), "now": utc_now(), "town": load_area_index(connection).codes["999001001000"]}
        for statement in _TOLD_OTHERWISE:
            run_sql(connection, statement, **{name: told[name] for name in told if f":{name}" in statement})
    audit_database = Database(str(hub.settings.audit_url), hub.settings.district)
    auditor = Actor(name="shenji", organisation="bureau", kind="bureau", door="panel", rights=ROLES["auditor"])
    with hub.served.begin() as connection, audit_database.read() as looks:
        found = disclosures_of(connection, auditor, catalogue, person, audit_connection=looks) or []
    audit_database.close()
    assert Counter(one.kind for one in found if one.kind != "look") == {"page": 1, "list": 1, "repair": 1}
    assert [one.by for one in found if one.kind == "look"] == ["qingxi", "qingxi"]  # the search, and the page opened
    (on_the_list,) = [one for one in found if one.kind == "list"]
    assert (on_the_list.receiver, on_the_list.number, on_the_list.roles) == (TOWN, "2026-10", ("person",))


_TOLD_OTHERWISE = (
    "INSERT INTO {d}.monthly_round (round_id, month, epoch, after_seq, up_to_seq, opened_at, opened_by, due_on)"
    " VALUES (:id, '2026-10', 'e', 0, 1, :now, 'quju', '2026-11-10')",
    "INSERT INTO {d}.round_town (round_id, town, organisation, downloaded_at) VALUES (:id, :town, '999001001', :now)",
    "INSERT INTO {d}.round_item (item_id, round_id, town, number, record_type, record_id, version, seq, change, source,"
    " due_on) SELECT :id, :id, :town, 1, 'hukou_move_in', record_id, 1, 1, 'enter', source, '2026-11-10'"
    " FROM {d}.rec_hukou_move_in",
    "INSERT INTO {d}.copy_check (check_id, subscription_id, epoch, definition_version, seq, records, repaired, begun_at,"
    " changed_at) SELECT :id, s.subscription_id, 'e', 1, h.last_seq, 1, ARRAY[r.record_id], :now, :now"
    " FROM {d}.subscription s, {d}.feed_head h, {d}.rec_hukou_move_in r",
)
