"""What waits in each slice, for whom to see: receiver, provider, bureau; and who is told before it is too late."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zipfile import ZipFile

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from hub.database import run_sql
from hub.embedded import Cluster
from hub.errors import NotFound
from hub.exchange.deliver import acknowledge
from hub.exchange.redelivery import load_own
from hub.exchange.slices import FeedContext, current_epoch, read_page
from hub.keyring import Keyring
from hub.registry.permissions import ROLES, Actor
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.sharing.backlog import Backlog, count_undelivered, list_backlogs, load_backlog, make_backlog_notices
from hub.sharing.subscription_view import view_subscription
from mappings.catalogue import Catalogue
from tests.doors import PASSWORD, Hub
from tests.sliced import head_of, move, sliced_hub, subscribe


def desk(organisation: str, kind: str = "department", role: str = "department_clerk") -> Actor:
    return Actor(name=f"desk-{organisation}", organisation=organisation, kind=kind, door="panel", rights=ROLES[role])


RECEIVER, PROVIDER, STRANGER = desk("labour"), desk("public_security"), desk("health")
BUREAU = desk("bureau", "bureau", "bureau_operator")
CARE = desk("mch_station", "care", "care_worker")


@pytest.fixture(scope="module")
def hub(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One hub for all: every test has a subscription of its own."""
    with sliced_hub(cluster, catalogue, tmp_path_factory.mktemp("backlog"), "backlog") as hub:
        move(hub, catalogue, 1, 9)
        yield hub


def read(hub: Hub, catalogue: Catalogue, code: str, cursor: str | None = None, by: Actor = RECEIVER) -> str:
    context = FeedContext(catalogue, Keyring.load(hub.settings.home))
    with hub.served.begin(reach_of(by)) as connection:
        return read_page(connection, by, context, code, cursor, 3).next


def seen(hub: Hub, catalogue: Catalogue, code: str, by: Actor) -> Backlog:
    with hub.served.begin(reach_of(by)) as connection:
        return load_backlog(connection, by, catalogue, code)


def test_what_waits_is_told_by_stage_and_shrinks_as_it_is_fetched_and_acknowledged(
    hub: Hub, catalogue: Catalogue
) -> None:
    code = subscribe(hub, catalogue, "by-stage")
    read(hub, catalogue, code, read(hub, catalogue, code))
    one = seen(hub, catalogue, code, RECEIVER)
    assert (one.unfetched, one.unfetched_changes, one.unacknowledged, one.unacknowledged_changes) == (1, 3, 1, 3)
    assert one.log_behind == head_of(hub) - 6 and one.oldest
    with hub.served.begin(reach_of(RECEIVER)) as connection:
        assert count_undelivered(connection, RECEIVER, catalogue, one) == 2
        own = load_own(connection, RECEIVER, code)
        epoch = current_epoch(connection, own)
        digest = run_sql(
            connection,
            "SELECT digest FROM {d}.delivery WHERE subscription_id = :id AND page_no = 2",
            id=own.subscription_id,
        )
        acknowledge(connection, RECEIVER, own, epoch, 6, "0" * 64)
        assert load_backlog(connection, RECEIVER, catalogue, code).mismatches == 1
        acknowledge(connection, RECEIVER, own, epoch, 6, str(digest[0][0]))
        after = load_backlog(connection, RECEIVER, catalogue, code)
    assert (after.unfetched, after.unacknowledged, after.mismatches, after.oldest) == (0, 0, 0, None)


def test_a_provider_sees_the_slices_that_name_its_types_and_counts_only_where_all_are_its_own(
    hub: Hub, catalogue: Catalogue
) -> None:
    alone = subscribe(hub, catalogue, "its-own")
    mixed = SliceDefinition((SliceType("hukou_move_in", ("name",)), SliceType("marriage", ("male_name",))), None)
    together = subscribe(hub, catalogue, "with-others", mixed)
    read(hub, catalogue, alone)
    read(hub, catalogue, together)
    assert seen(hub, catalogue, alone, PROVIDER).unfetched_changes == 3
    shared = seen(hub, catalogue, together, PROVIDER)
    assert (shared.unfetched, shared.unfetched_changes, shared.log_behind) == (1, None, None)
    assert seen(hub, catalogue, together, BUREAU).unfetched_changes == 3
    with hub.served.begin(reach_of(STRANGER)) as connection:
        assert alone not in {one.code for one in list_backlogs(connection, STRANGER, catalogue)}
        with pytest.raises(NotFound):
            load_backlog(connection, STRANGER, catalogue, alone)


def test_of_a_care_slice_nobody_outside_care_sees_a_count_or_the_types_name(hub: Hub, catalogue: Catalogue) -> None:
    visits = SliceDefinition(
        (SliceType("postnatal_visit", ("visit_date",)), SliceType("hukou_move_in", ("name",))), None
    )
    code = subscribe(hub, catalogue, "care-visits", visits, organisation="mch_station")
    read(hub, catalogue, code, by=CARE)
    with hub.served.begin(reach_of(BUREAU)) as connection:
        view = view_subscription(connection, BUREAU, catalogue, code)
    assert (view.types, view.countable, view.undelivered, view.exports) == (["hukou_move_in"], False, None, [])
    assert (view.backlog.unfetched, view.backlog.unfetched_changes, view.backlog.log_behind) == (1, None, None)
    assert seen(hub, catalogue, code, CARE).unfetched_changes == 3


def test_receiver_and_provider_are_warned_once_a_working_day_before_it_is_too_late(
    hub: Hub, catalogue: Catalogue
) -> None:
    code = subscribe(hub, catalogue, "too-late")
    read(hub, catalogue, code)
    friday = datetime(2026, 11, 6, 3, tzinfo=UTC)
    with hub.worker.begin() as connection:
        run_sql(connection, "UPDATE {d}.delivery SET delivered_at = :at, fetched_at = NULL WHERE subscription_id ="
                " (SELECT subscription_id FROM {d}.subscription WHERE code = :code)", at=friday, code=code)  # fmt: skip
        told = []
        for days in (5, 6, 7):  # Wednesday, Thursday, Friday: the fifth working day
            make_backlog_notices(connection, hub.settings, friday + timedelta(days=days), catalogue)
            told.append(
                run_sql(
                    connection,
                    "SELECT organisation, kind, facts ->> 'due_on' FROM {d}.notice"
                    " WHERE facts ->> 'number' = :code ORDER BY organisation",
                    code=code,
                )
            )
    warned = [
        ("labour", "deliveries_unfetched", "2026-11-13"),
        ("public_security", "deliveries_unfetched", "2026-11-13"),
    ]
    assert told == [[], warned, warned]


# ---- in the browser ----


def signed_in(client: TestClient[Litestar], login: str) -> str:
    """The token of the forms of whoever signed in."""
    client.headers.update({"Sec-Fetch-Site": "same-origin", "Accept": "text/html"})
    token = _token(client.get("/sign-in").text)
    client.post("/sign-in", data={"token": token, "login": login, "password": PASSWORD})
    return _token(client.get("/subscriptions").text)


def _token(page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found
    return found[1]


def test_a_clerk_takes_a_file_along_and_acknowledges_it_on_the_page(hub: Hub, catalogue: Catalogue) -> None:
    code = subscribe(hub, catalogue, "on-the-page")
    with TestClient(hub.app, base_url="https://hub.test") as client:
        token = signed_in(client, "renshe")
        assert code in client.get("/subscriptions").text
        page = client.get(f"/subscriptions/{code}")
        assert page.status_code == 200 and "户籍登记核对" in page.text and "生成并下载" in page.text
        wish = {"token": token, "wanted": "since", "form": "ndjson"}
        file = client.post(f"/subscriptions/{code}/exports", data=wish)
        assert file.headers["content-type"] == "application/zip"
        with ZipFile(io.BytesIO(file.content)) as archive:
            assert len(archive.read("rows.ndjson").splitlines()) == 8
        nothing = client.post(f"/subscriptions/{code}/exports", data=wish)
        assert nothing.status_code == 422 and "没有新的变动" in nothing.text
        number = client.get(f"/subscriptions/{code}").text.partition("/exports/DC")[2].partition("/")[0]
        done = client.post(f"/subscriptions/{code}/exports/DC{number}/acknowledge", data={"token": token})
        assert done.status_code == 200
    assert seen(hub, catalogue, code, RECEIVER).oldest is None
    assert not list((hub.settings.files / "tmp").glob("export-*"))


def test_who_provides_and_who_oversees_look_and_take_nothing(hub: Hub, catalogue: Catalogue) -> None:
    code = subscribe(hub, catalogue, "looked-at")
    with TestClient(hub.app, base_url="https://hub.test") as client:
        token = signed_in(client, "gongan")
        page = client.get(f"/subscriptions/{code}")
        assert page.status_code == 200 and "生成并下载" not in page.text
        wish = {"token": token, "wanted": "whole", "form": "xlsx"}
        assert client.post(f"/subscriptions/{code}/exports", data=wish).status_code == 404
    with TestClient(hub.app, base_url="https://hub.test") as client:
        token = signed_in(client, "quju")
        assert client.get(f"/subscriptions/{code}").status_code == 200
        assert client.post(f"/subscriptions/{code}/exports", data=wish | {"token": token}).status_code == 403
