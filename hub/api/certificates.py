"""A subscription's completeness certificate for its own system: the newest of a period, or a new one."""

from __future__ import annotations

from typing import Any

from litestar import Controller, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery

from hub.api.subscriptions import feed_context
from hub.database import Database
from hub.errors import NotFound
from hub.exchange.slices import FeedContext
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from hub.sharing.certificates import WantedCertificates, issue_certificate, list_certificates, load_certificate

_RIGHT = {"right": (Right.READ_SHARING, Right.PULL_SLICE)}


class CertificateController(Controller):
    """/v1/subscriptions/{code}/certificate."""

    path = "/subscriptions/{code:str}/certificate"

    @get(
        opt=_RIGHT,
        sync_to_thread=True,
        summary="完整性证明（最新一份） / The newest certificate of a period, signed",
    )
    def read_certificate(
        self,
        database: NamedDependency[Database],
        actor: NamedDependency[Actor],
        code: FromPath[str],
        period: FromQuery[str],
    ) -> dict[str, Any]:
        with database.begin(reach_of(actor)) as connection:
            found = list_certificates(connection, actor, WantedCertificates(code=code, period=period), limit=1)
            if not found:
                raise NotFound(f"{code} {period}: 尚未出具证明。 No certificate has been issued.")
            return load_certificate(connection, actor, found[0].certificate_no).content

    @post(
        opt=_RIGHT,
        dependencies={"context": Provide(feed_context, sync_to_thread=False)},
        status_code=201,
        sync_to_thread=True,
        summary="出具完整性证明 / Issue a certificate of a period",
    )
    def issue(
        self,
        database: NamedDependency[Database],
        actor: NamedDependency[Actor],
        settings: NamedDependency[Settings],
        context: NamedDependency[FeedContext],
        code: FromPath[str],
        period: FromQuery[str],
    ) -> dict[str, Any]:
        with database.begin(reach_of(actor)) as connection:
            return issue_certificate(connection, actor, context, code, period, settings.time_zone).content
