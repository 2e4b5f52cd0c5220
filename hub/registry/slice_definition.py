"""What a slice is: record types, their fields, conditions and areas; and which slices nobody may have. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import msgspec

from hub.errors import BadRequest, ClinicalBoundary, NotAllowed
from hub.registry.hunting_rules import CARE_ONLY_TYPES, broken_hunting_rule, implied_by
from hub.registry.slice_conditions import MOST_CONDITIONS, Op, condition_problems, is_upside_down
from mappings.catalogue import Catalogue, Field, RecordType

SUBSCRIBING_KINDS = frozenset({"department", "care", "town", "village", "upper"})  # the bureau gets measures
OWN_AREA_KINDS = frozenset({"town", "village"})
_WHETHER_FILLED = frozenset({"empty", "not_empty", "not_in"})


class Condition(msgspec.Struct, frozen=True):
    """One condition on a record; what each may ask of which field says hub.registry.slice_conditions."""

    field: str
    op: Op
    values: tuple[str, ...] = ()


class SliceType(msgspec.Struct, frozen=True):
    """What is wanted of one record type; conditions hold together; ``masked`` fields are given under a mask."""

    record_type: str
    fields: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    masked: tuple[str, ...] = ()


class SliceDefinition(msgspec.Struct, frozen=True):
    """Record types with fields and conditions, in these areas (stable ids); None is the whole district."""

    record_types: tuple[SliceType, ...]
    areas: tuple[int, ...] | None = None


def definition_digest(definition: SliceDefinition) -> str:
    """sha256 of the definition whatever the order it was written in; one without masks has the digest it always had."""
    types = sorted(definition.record_types, key=lambda one: one.record_type)
    canonical = [_canonical(one) for one in types]
    areas = None if definition.areas is None else sorted(definition.areas)
    return hashlib.sha256(msgspec.json.encode([canonical, areas])).hexdigest()


def _canonical(one: SliceType) -> list[object]:
    conditions = sorted([each.field, each.op, sorted(each.values)] for each in one.conditions)
    masks = [sorted(one.masked)] if one.masked else []
    return [one.record_type, sorted(one.fields), conditions, *masks]


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
            yield from _mask_problems(one)
            yield from _condition_problems(one, record_type, catalogue)


def _field_problems(one: SliceType, record_type: RecordType) -> Iterator[str]:
    if not one.fields:
        yield f"{one.record_type}: 至少选择一个字段 (name at least one field)"
    for name in sorted({*one.fields, *(each.field for each in one.conditions)}):
        if name not in record_type.by_name:
            yield f"{one.record_type}.{name}: 没有这个字段 (no such field)"
        elif one.fields.count(name) > 1:
            yield f"{one.record_type}.{name}: 字段重复 (field given twice)"


def _mask_problems(one: SliceType) -> Iterator[str]:
    for name in sorted(set(one.masked)):
        if name not in one.fields:
            yield f"{one.record_type}.{name}: 只能遮蔽所选字段，请先选择该字段 (mask chosen fields only)"
        if one.masked.count(name) > 1:
            yield f"{one.record_type}.{name}: 遮蔽重复，请保留一个 (masked twice: keep one)"
        if any(each.field == name for each in one.conditions):
            yield f"{one.record_type}.{name}: 遮蔽的字段不能作条件，请去掉遮蔽或条件 (no condition on a masked field)"


def _condition_problems(one: SliceType, record_type: RecordType, catalogue: Catalogue) -> Iterator[str]:
    if len(one.conditions) > MOST_CONDITIONS:
        yield f"{one.record_type}: 条件最多 {MOST_CONDITIONS} 个，请合并或减少 (at most {MOST_CONDITIONS} conditions)"
    for place in sorted({(each.field, each.op) for each in one.conditions}):
        named = [
            each for each in one.conditions if (each.field, each.op) == place and each.field in record_type.by_name
        ]
        if len(named) > 1:
            yield f"{one.record_type}.{named[0].field}: 条件 {named[0].op} 重复，请合并 (condition given twice: join them)"
        for each in named:
            problems = condition_problems(record_type.by_name[each.field], each.op, each.values, catalogue)
            yield from (f"{one.record_type}.{each.field}: {problem}" for problem in problems)
    yield from _range_problems(one, record_type)


def _range_problems(one: SliceType, record_type: RecordType) -> Iterator[str]:
    bounds = {(each.field, each.op): each.values[0] for each in one.conditions if len(each.values) == 1}
    for name in sorted({name for name, _ in bounds} & record_type.by_name.keys()):
        first, last = bounds.get((name, "from")), bounds.get((name, "to"))
        if first and last and is_upside_down(record_type.by_name[name], first, last):
            yield f"{one.record_type}.{name}: 起（{first}）晚于止（{last}），请对调 (the range ends before it begins)"


def refuse_clinical(definition: SliceDefinition, catalogue: Catalogue, organisation_kind: str) -> None:
    """The clinical floor. It has no setting, role or approval; it is looked at again on every pull."""
    for one in definition.record_types:
        record_type = catalogue.record_types[one.record_type]
        if organisation_kind != "care":
            _refuse_clinical_type(record_type)
            _refuse_clinical_fields(record_type, one.fields)
        _refuse_clinical_fields(record_type, [*(each.field for each in one.conditions), *one.masked])


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
            f"{record_type.title}：{titles} 不能订阅，不能遮蔽后提供，也不能用作条件。"
            f" {', '.join(clinical)} cannot be subscribed, masked or asked about.",
            record_type=record_type.code,
            fields=clinical,
        )


def _field(record_type: RecordType, name: str) -> Field:
    return record_type.by_name[name]


def refuse_hunting(definition: SliceDefinition, *others: SliceDefinition) -> None:
    """A slice that would single out people by marriage, childbearing or contraception is nobody's.

    ``others`` are what the organisation has besides: whoever holds several slices holds them against each other.
    """
    held = [one for each in (definition, *others) for one in each.record_types]
    asked = [(one.record_type, _picked_by(one)) for one in held]
    whether = frozenset(
        (one.record_type, each.field) for one in held for each in one.conditions if each.op in _WHETHER_FILLED
    )
    broken = broken_hunting_rule(asked, whether)
    if broken:
        raise NotAllowed(broken.reason, rule=broken.name)


def _picked_by(one: SliceType) -> frozenset[str]:
    names = {each.field for each in one.conditions}
    return frozenset(names.union(*(implied_by(one.record_type, name) for name in names)))


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
