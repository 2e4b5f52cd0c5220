"""The registry's organisations: the list, and one with what it sends and pulls; changes are asked for, not made here."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy import Connection

from admin.access_words import ACCOUNT_STATES, ACTS, KEY_KINDS, KEY_STATES, KINDS, REQUEST_STATES
from admin.desk_forms import Asking
from admin.keys_desk import address_of
from admin.keys_desk import state_of as key_state
from admin.language import N_
from admin.lists.answering import Door, Fetched, Source, answer_list, page_of
from admin.lists.asked import Asked, asked_of
from admin.lists.registry import ORGANISATIONS
from admin.pages import show
from admin.running_words import CHANNEL_KINDS, CHANNEL_STATES
from admin.words import ROLES
from hub.channels.declarations import BadChannel
from hub.channels.loop import Shown
from hub.channels.standing import channels_standing
from hub.database import Database, utc_now
from hub.desks.organisations import Unit, WantedUnits, list_units, see_unit
from hub.registry.account_list import state_of
from hub.registry.permissions import Right
from hub.registry.requests import Request as AccessRequest
from hub.registry.requests import list_requests
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_READ = {"right": Right.READ_REGISTRY}
_ASKERS = (Right.MANAGE_ACCOUNTS, Right.ASK_ACCESS, Right.ASK_OWN_ACCESS)
_ABOUT_UNITS = ("save_organisation", "enable_organisation", "disable_organisation")
SUBSCRIPTION_STATES = {"active": N_("使用中"), "suspended": N_("已暂停"), "ended": N_("已终止")}


class OrganisationController(Controller):
    """/organisations."""

    path = "/organisations"

    @get("/", opt=_READ, sync_to_thread=True)
    def read_all(self, door: NamedDependency[Door]) -> Response[Any]:
        asked = asked_of(ORGANISATIONS, door.query)
        return answer_list(door, asked, _source(door, asked), "organisations.html")

    @get("/{organisation:str}", opt=_READ, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        organisation: FromPath[str],
    ) -> Response[str]:
        with database.begin(reach_of(request.user)) as connection:
            unit = see_unit(connection, request.user, catalogue, organisation)
            channels = _channels(connection, request, settings, catalogue, organisation)
            asked = _requests(connection, request, organisation)
        return show(request, "organisation.html", unit=unit, channels=channels, requests=asked, **_words(unit))


def _source(door: Door, asked: Asked) -> Source:
    def rows(connection: Connection, after: str, size: int) -> Fetched:
        wanted = WantedUnits(
            text=asked["text"], kind=asked["kind"], state=asked["state"], sort=asked.order, after=after
        )
        found = list_units(connection, door.actor, door.settings.district, wanted, size + 1)
        return page_of(found, size, lambda one: str(one.code))

    def beside(connection: Connection) -> dict[str, Any]:
        channels = _channels(connection, door.request, door.settings, door.catalogue) or []
        return {"channels": [one.organisation for one in channels]}

    return Source(rows=rows, beside=beside)


def _channels(
    connection: Connection, request: Asking, settings: Settings, catalogue: Catalogue, organisation: str | None = None
) -> list[Shown] | None:
    """For who looks after the hub; a wrong declaration is told on the page of what runs."""
    if not request.user.may(Right.READ_RUNNING):
        return None
    try:
        return channels_standing(connection, settings, catalogue, organisation)
    except BadChannel:
        return []


def _requests(connection: Connection, request: Asking, organisation: str) -> list[AccessRequest]:
    """What was asked for concerning it, by whom, and who confirmed it."""
    if not any(map(request.user.may, _ASKERS)):
        return []
    found = list_requests(connection, request.user)
    return [one for one in found if one.act in _ABOUT_UNITS and one.object == organisation]


def _words(unit: Unit) -> dict[str, Any]:
    now = utc_now()
    return {
        "kinds": KINDS,
        "roles": ROLES,
        "account_states": ACCOUNT_STATES,
        "accounts": [(one, state_of(one, now)) for one in unit.accounts or []],
        "keys": [(one, address_of(one), key_state(one)) for one in unit.keys or []],
        "key_kinds": KEY_KINDS,
        "key_states": KEY_STATES,
        "subscription_states": SUBSCRIPTION_STATES,
        "channel_kinds": CHANNEL_KINDS,
        "channel_states": CHANNEL_STATES,
        "acts": ACTS,
        "request_states": REQUEST_STATES,
    }
