"""The unit's own doors: keys, folder and channels, how they stand, what to do, and what came through which."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency

from admin.access_words import KEY_KINDS, RIGHTS
from admin.desk_forms import Asking
from admin.language import N_
from admin.pages import show
from admin.running_words import CHANNEL_KINDS, CHANNEL_STATES
from admin.uploads import recent_months, today_of
from admin.words import DOORS
from hub.database import Database, utc_now
from hub.desks.own_doors import DAYS, DoorKey, see_own_doors
from hub.desks.stopped_uploads import list_stopped_uploads
from hub.registry.organisations import find_organisation
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_KEY_STATES = {"usable": N_("可用"), "ending": N_("快到期"), "expired": N_("已过期"), "revoked": N_("已撤销")}
_ADVICE = {
    "failing": N_("枢纽会按下次时间自动再试；连续失败请核对本单位的服务器、账号和网络，并告知信息中心。"),
    "alarm": N_("很久没有成功：请核对本单位的服务器、账号和目录，修好后告知信息中心。"),
    "disabled": N_("本单位的系统答复不再接收：修好后请信息中心重新启用。"),
    "off": N_("目前停用；需要启用请联系信息中心。"),
    "new": N_("刚登记，还没有运行过。"),
}


class DoorsController(Controller):
    """/doors."""

    @get("/doors", opt={"right": Right.READ_OWN_DOORS}, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
    ) -> Response[Any]:
        now = utc_now()
        with database.begin(reach_of(request.user)) as connection:
            doors = see_own_doors(connection, settings, catalogue, request.user, now)
            unit = find_organisation(connection, request.user.organisation)
        return show(
            request,
            "doors.html",
            doors=doors,
            stopped=list_stopped_uploads(settings, request.user, now),
            unit=unit,
            days=DAYS,
            month=recent_months(today_of(settings), 1)[0],
            sftp=settings.sftp,
            rights_of=rights_of,
            record_types=catalogue.record_types,
            key_kinds=KEY_KINDS,
            key_states=_KEY_STATES,
            channel_kinds=CHANNEL_KINDS,
            channel_states=CHANNEL_STATES,
            advice=_ADVICE,
            door_words=DOORS,
        )


def rights_of(one: DoorKey) -> list[str]:
    """The rights of a key in words; one that no page speaks of by its own name."""
    known = {str(right): title for right, title in RIGHTS.items()}
    return [known.get(scope, scope) for scope in one.key.scopes if scope != Right.SIGNED_IN]
