"""The auditor checks with one press whether the audit was changed, and sees how far it is sealed and anchored."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency

from admin.desk_forms import FORM, Asking, Form
from admin.pages import show
from hub.database import Database
from hub.keyring import Keyring
from hub.operations.audit_checking import Checked, audit_standing, check_audit
from hub.registry.permissions import Right
from hub.settings import Settings

_READS = {"right": Right.READ_AUDIT}


class AuditVerificationController(Controller):
    """/audit/verification."""

    path = "/audit/verification"

    @get("/", opt=_READS, sync_to_thread=True)
    def standing(
        self,
        request: Asking,
        audit_database: NamedDependency[Database | None],
        settings: NamedDependency[Settings],
        keyring: NamedDependency[Keyring],
    ) -> Response[str]:
        return _page(request, audit_database, settings, keyring, None)

    @post("/", opt=_READS, dependencies=FORM, status_code=200, sync_to_thread=True)
    def check(
        self,
        request: Asking,
        audit_database: NamedDependency[Database | None],
        settings: NamedDependency[Settings],
        keyring: NamedDependency[Keyring],
        form: Form,
    ) -> Response[str]:
        checked = check_audit(audit_database, settings, keyring, request.user) if audit_database else None
        return _page(request, audit_database, settings, keyring, checked)


def _page(
    request: Asking, database: Database | None, settings: Settings, keyring: Keyring, checked: Checked | None
) -> Response[Any]:
    if database is None:
        return show(request, "audit_verification.html", status=503, standing=None, checked=None)
    with database.begin() as connection:
        standing = audit_standing(connection, settings, keyring, request.user)
    return show(request, "audit_verification.html", standing=standing, checked=checked)
