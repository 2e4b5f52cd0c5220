"""Who received a person's data: asked with the number in the body, answered without any value."""

from __future__ import annotations

from typing import Any

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from hub.api.bodies import require_json
from hub.database import Database
from hub.registry.permissions import Actor, Right
from hub.settings import Settings
from hub.sharing.disclosure_doors import LedgerQuestion, answer_question
from hub.sharing.disclosures import CARE_NOTICE, CARE_NOTICE_EN
from mappings.catalogue import Catalogue


class DisclosureApiController(Controller):
    """/v1/disclosures."""

    path = "/disclosures"

    @post(
        opt={"right": Right.READ_DISCLOSURES}, guards=[require_json], status_code=200, sync_to_thread=True,
        summary="信息去向 / Who received a person's data",
    )  # fmt: skip
    def read_disclosures(
        self,
        database: NamedDependency[Database],
        audit_database: NamedDependency[Database | None],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        actor: NamedDependency[Actor],
        data: JSONBody[LedgerQuestion],
    ) -> dict[str, Any]:
        """By ``id_no`` or ``person_id``, with a purpose; the answer never holds a value."""
        ledger = answer_question(database, audit_database, settings, catalogue, actor, data).ledger
        meta = {
            "person_id": ledger.person_id, "id_no": ledger.number, "count": len(ledger.disclosures),
            "looks": ledger.looks_told, "notice": f"{CARE_NOTICE} {CARE_NOTICE_EN}",
        }  # fmt: skip
        return {"data": ledger.disclosures, "next": None, "meta": meta}
