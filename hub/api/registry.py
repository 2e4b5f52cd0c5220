"""What may be exchanged, and who is asking."""

from __future__ import annotations

from typing import Any

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from hub.errors import NotFound
from hub.registry.permissions import Actor, Right
from mappings.catalogue import Catalogue, Field, RecordType


class RegistryController(Controller):
    """/v1/record-types and /v1/whoami."""

    @get("/record-types", opt={"right": Right.READ_REGISTRY}, sync_to_thread=False)
    def list_record_types(self, catalogue: NamedDependency[Catalogue], actor: NamedDependency[Actor]) -> dict[str, Any]:
        known = [_describe(one, actor) for one in catalogue.record_types.values() if one.enabled]
        return {"data": known, "next": None, "meta": {"count": len(known), "catalogue_version": catalogue.version}}

    @get("/record-types/{code:str}", opt={"right": Right.READ_REGISTRY}, sync_to_thread=False)
    def read_record_type(
        self, catalogue: NamedDependency[Catalogue], actor: NamedDependency[Actor], code: FromPath[str]
    ) -> dict[str, Any]:
        record_type = catalogue.record_types.get(code)
        if record_type is None or not record_type.enabled:
            raise NotFound(code)
        fields = [_describe_field(field, record_type, catalogue) for field in record_type.fields]
        return {**_describe(record_type, actor), "fields": fields}

    @get("/whoami", opt={"right": Right.SIGNED_IN}, sync_to_thread=False)
    def whoami(self, actor: NamedDependency[Actor]) -> dict[str, Any]:
        return {
            "name": actor.name,
            "organisation": actor.organisation,
            "kind": actor.kind,
            "area_id": actor.area_id,
            "rights": sorted(actor.rights),
        }


def _describe(record_type: RecordType, actor: Actor) -> dict[str, Any]:
    return {
        "code": record_type.code,
        "title": record_type.title,
        "title_en": record_type.title_en,
        "natural_key": record_type.natural_key,
        "sources": record_type.sources,
        "may_send": actor.organisation in record_type.sources or actor.kind in record_type.sources,
        "all_or_nothing": record_type.all_or_nothing,
    }


def _describe_field(field: Field, record_type: RecordType, catalogue: Catalogue) -> dict[str, Any]:
    described = {
        "name": field.name,
        "title": field.title,
        "title_en": field.title_en,
        "type": field.type,
        "required": field.required,
        "sensitivity": field.sensitivity,
        "part_of_key": field.name in record_type.natural_key,
    }
    codes = catalogue.code_sets.get(field.code_set)
    return described | ({"codes": {code.value: code.title for code in codes.codes}} if codes else {})
