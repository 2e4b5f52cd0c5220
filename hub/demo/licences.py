"""Requests in the demo, by the hub's own rules: one approved and in force, one that is incomplete, one that waits."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from hub.database import utc_now
from hub.demo.founding import data_officer
from hub.demo.subscribers import LAW, WANTED, Wanted
from hub.errors import Conflict
from hub.settings import Settings
from hub.sharing.answers import answer_request, answers_of
from hub.sharing.requests import LicenceRequest, draft_request, submit_request
from mappings.catalogue import Catalogue

_A_YEAR = timedelta(days=365)


def ask_for_slices(connection: Connection, settings: Settings, catalogue: Catalogue) -> None:
    """The slices that are asked for, and what has come of each so far."""
    now = utc_now()
    for one in (each for each in WANTED if each.requested):
        asked = _ask(connection, settings, catalogue, one.organisation, one.code, _written(one, now), now)
        _approve(connection, settings, catalogue, asked, now)
    shops = {"record_type": "business_licence", "fields": ["uscc", "business_name"]}
    unfinished = {"title": "市场主体登记", "definition": {"record_types": [shops]}, "purpose": "用工单位核对"}
    _ask(connection, settings, catalogue, "labour", "", unfinished, now)
    permits = {"record_type": "residence_registration", "fields": ["name", "live_div", "valid_to"]}
    waiting = _terms("居住登记", "流动儿童预防接种", now) | {"definition": {"record_types": [permits]}}
    _ask(connection, settings, catalogue, "health", "weijian-residents", waiting, now)


def _written(one: Wanted, now: datetime) -> dict[str, Any]:
    types = [{"record_type": code, "fields": list(fields)} for code, fields in one.types.items()]
    return _terms(one.title, one.purpose, now) | {"definition": {"record_types": types}}


def _terms(title: str, purpose: str, now: datetime) -> dict[str, Any]:
    expires_on = (now + _A_YEAR).date().isoformat()
    terms = {"title": title, "purpose": purpose, "legal_basis": LAW, "scope": "本单位业务系统"}
    return terms | {"mode": "interface", "expires_on": expires_on}


def _ask(
    connection: Connection,
    settings: Settings,
    catalogue: Catalogue,
    organisation: str,
    code: str,
    written: dict[str, Any],
    now: datetime,
) -> LicenceRequest:
    officer = data_officer(organisation)
    drafted = draft_request(connection, settings, catalogue, officer, "new", code, written, now)
    return submit_request(connection, settings, catalogue, officer, drafted.request_id, now)


def _approve(
    connection: Connection, settings: Settings, catalogue: Catalogue, asked: LicenceRequest, now: datetime
) -> None:
    """Every provider approves; what was not handed in whole cannot be, and then the demo says so."""
    done = asked
    for its in answers_of(connection, asked.request_id):
        answering = data_officer(its.provider)
        done = answer_request(
            connection, settings, catalogue, answering, asked.request_id, "approved", "仅限申请的使用场景", now
        )
    if done.state != "approved":
        raise Conflict(f"{asked.subscription_code}: {done.state} {'；'.join(done.missing)}")
