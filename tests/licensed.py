"""Asking for slices and answering, in a sentence each: for every test of licences."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hub.database import run_sql, utc_now
from hub.exchange.slices import FeedContext, Page, read_page
from hub.keyring import Keyring
from hub.registry.permissions import Actor
from hub.registry.scope import reach_of
from hub.sharing.answers import (
    answer_request,
)
from hub.sharing.requests import (
    LicenceRequest,
    draft_request,
    submit_request,
)
from hub.sharing.subscription_life import work_subscription
from hub.sharing.terms_watch import make_licence_notices
from mappings.catalogue import Catalogue
from tests.district import actor
from tests.doors import Hub

HEALTH = actor("health", "data_officer", name="weishu")
POLICE = actor("public_security", "data_officer", name="gongshu")
LABOUR = actor("labour", "data_officer", name="renshu")
BUREAU = actor("bureau", "bureau_operator", name="quju")
READER = actor("health", "integrator", name="weijian-xitong")
MONDAY = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)  # ten in the morning
NEXT_YEAR = (utc_now() + timedelta(days=300)).date().isoformat()
MOVES = {"record_type": "hukou_move_in", "fields": ["name", "id_no", "move_date"]}
JOBS = {"record_type": "employment", "fields": ["name", "id_no", "start_date"]}
SHOPS = {"record_type": "business_licence", "fields": ["uscc", "business_name"]}


def wanted(*types: dict[str, Any], **changes: Any) -> dict[str, Any]:
    whole = {"definition": {"record_types": list(types or (MOVES,))}, "title": "迁入人员", "expires_on": NEXT_YEAR}
    terms = {
        "purpose": "预防接种衔接",
        "legal_basis": "疫苗管理法第四十七条",
        "scope": "本局接种服务",
        "mode": "interface",
    }
    return whole | terms | changes


def ask(
    hub: Hub, catalogue: Catalogue, *types: dict[str, Any], who: Actor = HEALTH, kind: str = "new", code: str = "",
    now: datetime | None = None, **changes: Any,
) -> LicenceRequest:  # fmt: skip
    """Drafted and handed in."""
    now = now or utc_now()
    with hub.served.begin(reach_of(who)) as connection:
        drafted = draft_request(connection, hub.settings, catalogue, who, kind, code, wanted(*types, **changes), now)
        return submit_request(connection, hub.settings, catalogue, who, drafted.request_id, now)


def answer(
    hub: Hub, catalogue: Catalogue, who: Actor, asked: LicenceRequest, outcome: Any = "approved", reason: str = "",
    now: datetime | None = None,
) -> LicenceRequest:  # fmt: skip
    with hub.served.begin(reach_of(who)) as connection:
        return answer_request(
            connection, hub.settings, catalogue, who, asked.request_id, outcome, reason, now or utc_now()
        )


def pull(hub: Hub, catalogue: Catalogue, code: str, cursor: str | None = None, who: Actor = READER) -> Page:
    context = FeedContext(catalogue, Keyring.load(hub.settings.home))
    with hub.served.begin(reach_of(who)) as connection:
        return read_page(connection, who, context, code, cursor)


def granted(hub: Hub, catalogue: Catalogue, **changes: Any) -> str:
    """A subscription of the health bureau that its provider approved; its code."""
    asked = ask(hub, catalogue, **changes)
    return answer(hub, catalogue, POLICE, asked).subscription_code


def work(hub: Hub, who: Actor, code: str, act: str, reason: str = "专项检查期间先行暂停") -> Any:
    with hub.served.begin(reach_of(who)) as connection:
        return work_subscription(connection, who, code, act, reason)


def watch(hub: Hub, now: datetime) -> set[tuple[str, str]]:
    """Every notice there is after the hourly look: (organisation, kind)."""
    with hub.worker.begin() as connection:
        make_licence_notices(connection, hub.settings, now)
        assert make_licence_notices(connection, hub.settings, now) == 0
        rows = run_sql(connection, "SELECT organisation, kind FROM {d}.notice")
    return {(str(organisation), str(kind)) for organisation, kind in rows}
