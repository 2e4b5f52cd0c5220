"""The columns of a template: an organisation's own headers, what may be written under each, and how to say so."""

from __future__ import annotations

from typing import Literal

import msgspec

from hub.exchange.check import CHANGE_KINDS
from hub.registry.areas import AreaIndex
from mappings.catalogue import Catalogue, ColumnRule, Field, Mapping, RecordType

Variant = Literal["words", "codes"]
CHANGE_KIND, CHANGE_KIND_HEADER = "change_kind", "操作"
MOST_AREAS = 1_000  # a longer list is no help in finding a village
KINDS = {  # none of them reads like a header
    "text": "填文字", "name": "填姓名，与证件一致", "id_no": "填公民身份号码，18 位", "code": "从下拉列表中选", "date": "填日期",
    "datetime": "填日期和时间", "month": "填年月", "integer": "填整数", "decimal": "填数字", "boolean": "从下拉列表中选",
    "area": "从下拉列表中选村居；外区的填地名", "division": "填区划代码或地名", "phone": "填电话号码", "certificate": "填证书编号",
    "uscc": "填统一社会信用代码，18 位", CHANGE_KIND: "从下拉列表中选，可不填",
}  # fmt: skip
EXAMPLES = {
    "text": "", "name": "王芳", "id_no": "99900119900307123X", "date": "2026-11-05", "datetime": "2026-11-05 09:30",
    "month": "2026-11", "integer": "3", "decimal": "12.5", "division": "430105", "phone": "13900001234",
    "certificate": "第2026-000123号", "uscc": "92999001000000019W", CHANGE_KIND: "更正",
}  # fmt: skip
_BIRTH_CERTIFICATE, _ADDRESS = "Z990000123", "松坪村1组1号"


class TemplateColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column: ``type`` is the field's, or change_kind."""

    header: str
    group: str
    field: str
    type: str
    required: bool
    choices: tuple[str, ...] = ()
    free: bool = False  # other values than the choices are taken too
    example: str = ""

    @property
    def shown(self) -> str:
        return f"{self.header}（必填）" if self.required else self.header

    @property
    def kind(self) -> str:
        return KINDS[self.type] if self.choices or self.type != "area" else "填村居名称或 12 位区划代码"

    @property
    def how(self) -> str:
        """The comment at the header."""
        lines = ["必填。" if self.required else "没有可不填。", f"{self.kind}。"]
        if self.choices and not self.free:
            lines.append("可填：" + shortened("、".join(self.choices), 200) + "。")
        if self.example:
            lines.append(f"例如：{self.example}")
        return "\n".join(lines)


def columns_of(
    catalogue: Catalogue,
    record_type: RecordType,
    mapping: Mapping,
    variant: Variant,
    areas: AreaIndex | None,
    own_area: int | None,
) -> list[TemplateColumn]:
    """In the mapping's order; how to correct or void a row is always the last one."""
    drawing = _Drawing(catalogue, record_type, variant, area_choices(areas, own_area, variant))
    rules = [rule for rule in mapping.columns if rule.field in record_type.by_name]
    change = next((rule for rule in mapping.columns if rule.field == CHANGE_KIND), None)
    return [*map(drawing.column, rules), _change_kind(change)]


class _Drawing:
    """What one record type needs said of each of its fields."""

    def __init__(self, catalogue: Catalogue, record_type: RecordType, variant: Variant, areas: tuple[str, ...]) -> None:
        self.catalogue, self.record_type, self.variant, self.areas = catalogue, record_type, variant, areas
        roles = record_type.people
        self.births = {one.field for role in roles for one in role.identifiers if one.kind == "birth_cert"}

    def column(self, rule: ColumnRule) -> TemplateColumn:
        field = self.record_type.by_name[rule.field]
        choices = self._choices(field)
        return TemplateColumn(
            header=rule.header,
            group=rule.group,
            field=field.name,
            type=field.type,
            required=is_required(self.record_type, field),
            choices=choices,
            free=field.type == "area",
            example=choices[0] if choices else self._example(field),
        )

    def _choices(self, field: Field) -> tuple[str, ...]:
        words = self.variant == "words"
        if field.type == "code":
            codes = self.catalogue.code_sets[field.code_set].codes
            return tuple(code.title if words else code.value for code in codes)
        if field.type == "boolean":
            return ("是", "否") if words else ("1", "0")
        return self.areas if field.type == "area" else ()

    def _example(self, field: Field) -> str:
        if field.name in self.births:
            return _BIRTH_CERTIFICATE
        return _ADDRESS if field.part.endswith("addr") else EXAMPLES.get(field.type, "")


def is_required(record_type: RecordType, field: Field) -> bool:
    """What the check refuses when it is empty."""
    key = field.name in record_type.natural_key
    return field.required or (key and not (record_type.no_id_allowed and bool(field.part)))


def area_choices(areas: AreaIndex | None, own_area: int | None, variant: Variant) -> tuple[str, ...]:
    """The villages of one's own area, or all of them; with the town's name where another village has the same."""
    if areas is None:
        return ()
    within = areas.code_of if own_area is None else areas.expand(own_area)
    villages = sorted((one for one in within if areas.kind.get(one) == "village"), key=areas.code_of.__getitem__)
    if not villages or len(villages) > MOST_AREAS:
        return ()
    if variant == "codes":
        return tuple(areas.code_of[one] for one in villages)
    return tuple(_village_name(areas, one, alone=own_area is not None) for one in villages)


def _village_name(areas: AreaIndex, village: int, *, alone: bool) -> str:
    name = areas.name_of[village]
    if alone and len(areas.named(name)) == 1:
        return name
    return areas.name_of.get(areas.town_of[village], "") + name


def _change_kind(rule: ColumnRule | None) -> TemplateColumn:
    return TemplateColumn(
        header=rule.header if rule else CHANGE_KIND_HEADER,
        group=rule.group if rule else "",
        field=CHANGE_KIND,
        type=CHANGE_KIND,
        required=False,
        choices=tuple(words[0] for words in CHANGE_KINDS.values()),
        example=EXAMPLES[CHANGE_KIND],
    )


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 2] + "……"
