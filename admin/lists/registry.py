"""The registry's lists: organisations, areas and their periods, mappings and their columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from admin.access_words import KINDS
from admin.language import N_, titled
from admin.lists.declared import NOTHING, Cell, Column, Filter, ListPage, Option, Words, at, counted, on
from admin.lists.shown import Options
from admin.mapping_words import FIELD_TYPES, ROW_FIELDS
from hub.desks.organisations import UNIT_ORDERS
from hub.registry.area_list import AREA_ORDERS, PERIOD_ORDERS
from hub.registry.list_order import both_ways
from hub.registry.permissions import Right
from mappings.catalogue import Catalogue, Field, Mapping

UNIT_STATES = {"on": N_("参加交换"), "off": N_("已停用")}
AREA_KINDS = {"district": N_("区县"), "town": N_("镇街"), "village": N_("村居")}
AREA_STATES = {"now": N_("现行"), "gone": N_("不再使用")}
REASONS = {
    "import": N_("导入名单"),
    "rename": N_("更名"),
    "recode": N_("代码变更"),
    "merge": N_("合并"),
    "split": N_("拆分"),
}
_READERS = (Right.READ_REGISTRY,)


# ---- organisations ----


def _unit(one: Any, words: Words) -> Cell:
    return Cell(text=titled(one.name, one.name_en, words.language), href=f"/organisations/{quote(one.code)}")


def _its_area(one: Any, words: Words) -> Cell:
    return Cell(text=one.area or str(one.area_id), href=f"/areas/{one.area_id}") if one.area_id else Cell(text=NOTHING)


def _takes_part(one: Any, words: Words) -> Cell:
    return Cell(text=words.say(UNIT_STATES["on" if one.enabled else "off"]), look="" if one.enabled else "level error")


def _sees_ledger(words: Words) -> bool:
    return words.actor.may(Right.READ_ALL_SUBMISSIONS)


ORGANISATIONS = ListPage(
    code="organisations", path="/organisations", title=N_("单位名录"), rights=_READERS, rows_a_page=100,
    columns=(
        Column(code="organisation", title=N_("单位"), cell=_unit, always=True, leads=True, data=True),
        Column(code="code", title=N_("代码"), cell=lambda one, words: one.code, data=True, css="nowrap"),
        Column(code="kind", title=N_("单位类别"), cell=lambda one, words: words.say(KINDS[one.kind]), css="nowrap"),
        Column(code="area", title=N_("区划"), cell=_its_area, data=True, css="nowrap"),
        Column(code="state", title=N_("状态"), cell=_takes_part, css="nowrap"),
        Column(code="accounts", title=N_("账号"), cell=lambda one, words: counted(one.accounts), numeric=True),
        Column(
            code="last_sent_at", title=N_("最近报送"), cell=lambda one, words: at(one.last_sent_at), css="nowrap",
            only=_sees_ledger,
        ),
        Column(
            code="subscriptions", title=N_("订阅"), cell=lambda one, words: counted(one.subscriptions or 0),
            numeric=True, only=_sees_ledger,
        ),
        Column(
            code="channels", title=N_("通道"), numeric=True, only=lambda words: words.actor.may(Right.READ_RUNNING),
            cell=lambda one, words: counted(words.beside["channels"].count(one.code)),
        ),
    ),
    filters=(
        Filter(name="state", title=N_("状态"), kind="chips", words=UNIT_STATES),
        Filter(name="text", title=N_("名称或代码"), kind="text"),
        Filter(name="kind", title=N_("单位类别"), words=KINDS),
    ),
    sorts=both_ways(UNIT_ORDERS), usual="kind",
)  # fmt: skip


# ---- areas ----


def _area(one: Any, words: Words) -> Cell:
    return Cell(text=one.name, href=f"/areas/{one.area_id}")


def _above(one: Any, words: Words) -> Cell:
    return Cell(text=one.parent, href=f"/areas/{one.parent_id}") if one.parent_id else Cell(text=NOTHING)


def _in_force(one: Any, words: Words) -> Cell:
    if one.valid_to:
        return Cell(text=words.say(N_("%(day)s 起不再使用")) % {"day": one.valid_to}, look="level error")
    return Cell(text=words.say(AREA_STATES["now"]))


AREAS = ListPage(
    code="areas", path="/areas", title=N_("区划名录"), rights=_READERS, rows_a_page=100,
    columns=(
        Column(code="name", title=N_("名称"), cell=_area, always=True, leads=True, data=True),
        Column(code="code", title=N_("代码"), cell=lambda one, words: one.code, data=True, css="nowrap"),
        Column(code="kind", title=N_("级别"), cell=lambda one, words: words.say(AREA_KINDS[one.kind]), css="nowrap"),
        Column(code="parent", title=N_("上级"), cell=_above, data=True),
        Column(
            code="below", title=N_("下辖"), numeric=True,
            cell=lambda one, words: Cell(text=NOTHING) if one.kind == "village" else counted(one.below),
        ),
        Column(code="valid_from", title=N_("现行名称代码起"), cell=lambda one, words: on(one.valid_from), css="nowrap"),
        Column(code="state", title=N_("状态"), cell=_in_force, css="nowrap"),
    ),
    filters=(
        Filter(name="kind", title=N_("级别"), kind="chips", words=AREA_KINDS, afresh=True),
        Filter(name="state", title=N_("状态"), kind="chips", words=AREA_STATES, afresh=True),
        Filter(name="text", title=N_("名称或代码"), kind="text", longest=40),
    ),
    sorts=both_ways(AREA_ORDERS), usual="code",
)  # fmt: skip


def _before(one: Any, words: Words) -> str:
    said = (
        one.before_name if one.before_name != one.name else "",
        one.before_code if one.before_code != one.code else "",
    )
    return " ".join(part for part in said if part) or NOTHING


def _went_into(one: Any, words: Words) -> Cell:
    if one.into_id is None:
        return Cell(text=NOTHING)
    return Cell(
        text=one.into, href=f"/areas/{one.into_id}", more=(words.say(N_("%(day)s 并入")) % {"day": one.valid_to},)
    )


AREA_PERIODS = ListPage(
    code="area-history", path="/areas/history", title=N_("区划沿革"), rights=_READERS, rows_a_page=100,
    columns=(
        Column(code="valid_from", title=N_("起"), cell=lambda one, words: on(one.valid_from), always=True, css="nowrap"),
        Column(
            code="valid_to", title=N_("止"), css="nowrap",
            cell=lambda one, words: on(one.valid_to) if one.valid_to else words.say(N_("至今")),
        ),
        Column(code="name", title=N_("名称"), cell=_area, always=True, leads=True, data=True),
        Column(code="code", title=N_("代码"), cell=lambda one, words: one.code, data=True, css="nowrap"),
        Column(code="kind", title=N_("级别"), cell=lambda one, words: words.say(AREA_KINDS[one.kind]), css="nowrap"),
        Column(code="reason", title=N_("原因"), cell=lambda one, words: words.say(REASONS[one.reason]), css="nowrap"),
        Column(code="before", title=N_("原名称代码"), cell=_before, data=True),
        Column(code="parent", title=N_("当时上级"), cell=lambda one, words: one.parent or NOTHING, data=True),
        Column(code="into", title=N_("并入"), cell=_went_into, data=True),
    ),
    filters=(
        Filter(name="reason", title=N_("原因"), kind="chips", words=REASONS),
        Filter(name="text", title=N_("名称或代码"), kind="text", longest=40),
        Filter(name="since", title=N_("自"), kind="day"),
        Filter(name="until", title=N_("至"), kind="day"),
    ),
    older=N_("更早的"), sorts=both_ways(PERIOD_ORDERS), usual="-valid_from",
)  # fmt: skip


# ---- mappings ----


class MappedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column of one source's file, and what it fills."""

    its: Mapping
    header: str
    synonyms: tuple[str, ...]
    name: str
    field: Field | None  # None: of the row, not of the record
    in_the_key: bool


def source_name(code: str, words: Words) -> str:
    """Whose files: an organisation's, or those of a whole kind."""
    return words.say(KINDS[code]) if code in KINDS and code not in words.organisations else words.organisation(code)


def _mapping(one: Mapping, words: Words) -> Cell:
    return Cell(text=words.record_type(one.record_type), href=f"/mappings/{one.organisation}/{one.record_type}")


def _synonyms(one: Mapping) -> int:
    return sum(len(rule.synonyms) for rule in one.columns)


_OF_SOURCE = (Filter(name="organisation", title=N_("单位")), Filter(name="record_type", title=N_("信息类别")))
MAPPINGS = ListPage(
    code="mappings", path="/mappings", title=N_("映射"), rights=_READERS,
    columns=(
        Column(
            code="organisation", title=N_("单位"), cell=lambda one, words: source_name(one.organisation, words), data=True,
            sort=lambda one: (one.organisation, one.record_type),
        ),
        Column(
            code="record_type", title=N_("信息类别"), cell=_mapping, always=True, leads=True, data=True,
            sort=lambda one: (one.record_type, one.organisation),
        ),
        Column(
            code="columns", title=N_("列数"), cell=lambda one, words: counted(len(one.columns)), numeric=True,
            sort=lambda one: len(one.columns),
        ),
        Column(
            code="synonyms", title=N_("别名数"), cell=lambda one, words: counted(_synonyms(one)), numeric=True,
            sort=_synonyms,
        ),
        Column(code="file", title=N_("文件"), cell=lambda one, words: str(one.file), data=True, css="nowrap"),
    ),
    filters=_OF_SOURCE,
)  # fmt: skip


def _field(one: MappedColumn, words: Words) -> str:
    return words.title(one.field) if one.field else words.say(ROW_FIELDS[one.name])


def _field_type(one: MappedColumn, words: Words) -> str:
    return words.say(FIELD_TYPES[one.field.type]) if one.field else NOTHING


MAPPING_COLUMNS = ListPage(
    code="mapping-columns", path="/mappings/columns", title=N_("映射的列"), rights=_READERS, rows_a_page=100,
    columns=(
        Column(
            code="organisation", title=N_("单位"), cell=lambda one, words: source_name(one.its.organisation, words),
            data=True,
        ),
        Column(
            code="record_type", title=N_("信息类别"), cell=lambda one, words: _mapping(one.its, words), data=True,
        ),
        Column(code="header", title=N_("列名"), cell=lambda one, words: one.header, always=True, leads=True, data=True),
        Column(
            code="synonyms", title=N_("别名"), cell=lambda one, words: "、".join(one.synonyms) or NOTHING, data=True,
            css="long",
        ),
        Column(code="field", title=N_("字段"), cell=_field, data=True, always=True),
        Column(
            code="name", title=N_("字段代码"), cell=lambda one, words: one.name, data=True, css="nowrap",
        ),
        Column(code="type", title=N_("类型"), cell=_field_type, css="nowrap"),
        Column(
            code="key", title=N_("主键"), cell=lambda one, words: words.say(N_("是")) if one.in_the_key else NOTHING,
            css="nowrap",
        ),
        Column(
            code="required", title=N_("必填"), css="nowrap",
            cell=lambda one, words: words.say(N_("是")) if one.field and one.field.required else NOTHING,
        ),
    ),
    filters=(*_OF_SOURCE, Filter(name="text", title=N_("列名、别名或字段"), kind="text")),
)  # fmt: skip


def mappings_in_order(catalogue: Catalogue) -> list[Mapping]:
    return sorted(catalogue.mappings.values(), key=lambda one: (one.organisation, one.record_type))


def columns_mapped(catalogue: Catalogue, mappings: Sequence[Mapping], text: str = "") -> list[MappedColumn]:
    """Column by column as the files have them; only those whose header, synonyms or field say the text."""
    found = [_mapped(catalogue, its, rule) for its in mappings for rule in its.columns]
    return [one for one in found if text.casefold() in _said_of(one)]


def _mapped(catalogue: Catalogue, its: Mapping, rule: Any) -> MappedColumn:
    record_type = catalogue.record_types[its.record_type]
    return MappedColumn(
        its=its, header=rule.header, synonyms=rule.synonyms, name=rule.field, field=record_type.by_name.get(rule.field),
        in_the_key=rule.field in record_type.natural_key,
    )  # fmt: skip


def _said_of(one: MappedColumn) -> str:
    titles = (one.field.title, one.field.title_en) if one.field else ()
    return " ".join((one.header, one.name, *one.synonyms, *titles)).casefold()


def source_options(catalogue: Catalogue, words: Words) -> Options:
    """The sources and types there are mappings of."""
    return {
        "organisation": [
            Option(value=code, title=source_name(code, words), data=True)
            for code in sorted({one.organisation for one in catalogue.mappings.values()})
        ],
        "record_type": [
            Option(value=code, title=words.record_type(code), data=True)
            for code in catalogue.record_types
            if any(one.record_type == code for one in catalogue.mappings.values())
        ],
    }
