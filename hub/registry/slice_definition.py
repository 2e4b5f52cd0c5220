"""What a slice is: record types, their fields, conditions and areas; and which slices nobody may have. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from hub.errors import BadRequest, ClinicalBoundary, NotAllowed
from hub.registry.hunting_rules import CARE_ONLY_TYPES, broken_hunting_rule
from mappings.catalogue import Catalogue, Field, RecordType

SUBSCRIBING_KINDS = frozenset({"department", "care", "town", "village", "upper"})  # the bureau gets measures
OWN_AREA_KINDS = frozenset({"town", "village"})


class Condition(msgspec.Struct, frozen=True):
    """One condition on a record: the field is one of the values, or is not empty."""

    field: str
    op: Literal["in", "not_empty"]
    values: tuple[str, ...] = ()


class SliceType(msgspec.Struct, frozen=True):
    """What is wanted of one record type; conditions hold together."""

    record_type: str
    fields: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()


class SliceDefinition(msgspec.Struct, frozen=True):
    """Record types with fields and conditions, in these areas (stable ids); None is the whole district."""

    record_types: tuple[SliceType, ...]
    areas: tuple[int, ...] | None = None


def definition_digest(definition: SliceDefinition) -> str:
    """sha256 of the definition whatever the order it was written in."""
    types = sorted(definition.record_types, key=lambda one: one.record_type)
    canonical = [
        [
            one.record_type,
            sorted(one.fields),
            sorted([each.field, each.op, sorted(each.values)] for each in one.conditions),
        ]
        for one in types
    ]
    areas = None if definition.areas is None else sorted(definition.areas)
    return hashlib.sha256(msgspec.json.encode([canonical, areas])).hexdigest()


def check_definition(
    definition: SliceDefinition,
    catalogue: Catalogue,
    organisation_kind: str,
    organisation_area_ids: Iterable[int] | None,
) -> None:
    """Refuse what is malformed (BadRequest), clinical outside care (ClinicalBoundary) or not theirs (NotAllowed).

    ``organisation_area_ids`` are the ids of the organisation's own area and below; None when it has no area.
    """
    refuse_malformed(definition, catalogue)
    refuse_clinical(definition, catalogue, organisation_kind)
    refuse_hunting(definition)
    refuse_closed_types(definition, catalogue, organisation_kind)
    refuse_foreign_areas(definition, organisation_kind, organisation_area_ids)


def refuse_malformed(definition: SliceDefinition, catalogue: Catalogue) -> None:
    """Everything unknown, empty, doubled or without values, in one answer."""
    problems = [*_shape_problems(definition), *_name_problems(definition, catalogue)]
    if problems:
        raise BadRequest("；".join(problems), problems=problems)


def _shape_problems(definition: SliceDefinition) -> Iterator[str]:
    names = [one.record_type for one in definition.record_types]
    if not names:
        yield "至少选择一个信息类别 (name at least one record type)"
    if definition.areas == ():
        yield "至少选择一个区划，或选全区 (name at least one area, or the whole district)"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name}: 信息类别重复 (record type given twice)"


def _name_problems(definition: SliceDefinition, catalogue: Catalogue) -> Iterator[str]:
    for one in definition.record_types:
        record_type = catalogue.record_types.get(one.record_type)
        if record_type is None:
            yield f"{one.record_type}: 没有这个信息类别 (no such record type)"
        else:
            yield from _field_problems(one, record_type)


def _field_problems(one: SliceType, record_type: RecordType) -> Iterator[str]:
    if not one.fields:
        yield f"{one.record_type}: 至少选择一个字段 (name at least one field)"
    for name in sorted({*one.fields, *(each.field for each in one.conditions)}):
        if name not in record_type.by_name:
            yield f"{one.record_type}.{name}: 没有这个字段 (no such field)"
        elif one.fields.count(name) > 1:
            yield f"{one.record_type}.{name}: 字段重复 (field given twice)"
    for each in one.conditions:
        if (each.op == "in") != bool(each.values):
            yield f"{one.record_type}.{each.field}: 条件 in 需要取值，not_empty 不需要 (values belong to `in` only)"


def refuse_clinical(definition: SliceDefinition, catalogue: Catalogue, organisation_kind: str) -> None:
    """The clinical floor. It has no setting, role or approval; it is looked at again on every pull."""
    for one in definition.record_types:
        record_type = catalogue.record_types[one.record_type]
        if organisation_kind != "care":
            _refuse_clinical_type(record_type)
            _refuse_clinical_fields(record_type, one.fields)
        _refuse_clinical_fields(record_type, [each.field for each in one.conditions])


def _refuse_clinical_type(record_type: RecordType) -> None:
    if record_type.code in CARE_ONLY_TYPES:
        raise ClinicalBoundary(
            f"{record_type.title} 只供医疗照护单位。 {record_type.code} is for care only.",
            record_type=record_type.code,
        )


def _refuse_clinical_fields(record_type: RecordType, names: Iterable[str]) -> None:
    clinical = [name for name in names if _field(record_type, name).clinical]
    if clinical:
        titles = "、".join(_field(record_type, name).title for name in clinical)
        raise ClinicalBoundary(
            f"{record_type.title}：{titles} 不能订阅，也不能用作条件。 {', '.join(clinical)} cannot be subscribed.",
            record_type=record_type.code,
            fields=clinical,
        )


def _field(record_type: RecordType, name: str) -> Field:
    return record_type.by_name[name]


def refuse_hunting(definition: SliceDefinition) -> None:
    """A slice that would single out people by marriage, childbearing or contraception is nobody's."""
    broken = broken_hunting_rule(
        (one.record_type, frozenset(each.field for each in one.conditions)) for one in definition.record_types
    )
    if broken:
        raise NotAllowed(broken.reason, rule=broken.name)


def refuse_closed_types(definition: SliceDefinition, catalogue: Catalogue, organisation_kind: str) -> None:
    """Types switched off, restricted or never shared; and organisations that get no individual facts at all."""
    if organisation_kind not in SUBSCRIBING_KINDS:
        raise NotAllowed("该单位只看统计，不订阅个人信息。 This organisation sees measures, never people.")
    for one in definition.record_types:
        reason = _closed(catalogue.record_types[one.record_type], organisation_kind)
        if reason:
            raise NotAllowed(f"{one.record_type}: {reason}", record_type=one.record_type)


def _closed(record_type: RecordType, organisation_kind: str) -> str:
    if not record_type.enabled:
        return "该信息类别未启用 (record type is off)"
    if record_type.restricted and organisation_kind != "care":
        return "该信息类别受限 (record type is restricted)"
    return "该信息类别不予共享 (record type is never shared)" if record_type.sharing == "none" else ""


def refuse_foreign_areas(
    definition: SliceDefinition, organisation_kind: str, organisation_area_ids: Iterable[int] | None
) -> None:
    """Towns and villages: their own area and below, named; never the whole district."""
    if organisation_kind not in OWN_AREA_KINDS:
        return
    own = frozenset(organisation_area_ids or ())
    if definition.areas is None or not own.issuperset(definition.areas):
        raise NotAllowed("只能订阅本辖区。 A town or a village subscribes to its own area only.")
