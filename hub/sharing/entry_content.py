"""What an entry of the data catalogue says: items, provider, sharing; and everything that is still wrong with it.

政务数据共享条例, arts. 12-15: name, data items, provider, format, update frequency, sharing type and its ground, mode, conditions
of use, classification; a privacy assessment and the head's approval come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

import msgspec

from hub.registry.hunting_rules import CARE_ONLY_TYPES
from mappings.catalogue import Catalogue, RecordType, Sensitivity
from mappings.data_catalogue_shapes import LEAST_CLASSIFICATION, Classification, Format, Frequency, Mode, Sharing

LONGEST = 500


class EntryItem(msgspec.Struct, frozen=True, kw_only=True):
    """One data item: a field of the record type, and whether it is shared."""

    field: str
    title: str
    type: str
    sensitivity: Sensitivity
    shared: bool
    title_en: str = ""


class EntryContent(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an entry. Of what was shipped, assessment and approval are not known."""

    title: str
    title_en: str
    catalogue_no: str
    provider: str
    items: tuple[EntryItem, ...]
    formats: tuple[Format, ...]
    frequency: Frequency
    sharing: Sharing
    reason: str
    modes: tuple[Mode, ...]
    conditions: str
    classification: Classification
    assessed_on: date | None = None  # privacy assessment (个人信息保护影响评估)
    assessed_by: str = ""
    approved_on: date | None = None  # by the head of the provider
    approved_by: str = ""

    @property
    def shared_fields(self) -> tuple[str, ...]:
        """Fields that may be asked for under this entry."""
        return tuple(item.field for item in self.items if item.shared)


# ---- made from the record type ----


def first_content(catalogue: Catalogue, record_type: RecordType) -> EntryContent:
    """The entry as the mapping files describe it."""
    first = catalogue.entries[record_type.code]
    said = msgspec.structs.asdict(first)
    withheld = said.pop("withheld")
    closed = first.sharing == "none"
    items = tuple(_item(record_type, name, shared=not closed and name not in withheld) for name in record_type.by_name)
    return EntryContent(title=record_type.title, title_en=record_type.title_en, items=items, **said)


def renewed(content: EntryContent, record_type: RecordType) -> EntryContent:
    """The same entry over the record type as it is now. A new field is not shared until somebody says so."""
    closed = is_closed(record_type)
    shared = frozenset() if closed else frozenset(content.shared_fields)
    items = tuple(_item(record_type, name, shared=name in shared) for name in record_type.by_name)
    fresh = msgspec.structs.replace(content, title=record_type.title, title_en=record_type.title_en, items=items)
    return msgspec.structs.replace(fresh, sharing="none", modes=()) if closed else fresh


def with_shared(content: EntryContent, fields: Iterable[str]) -> EntryContent:
    """The same entry, with just these fields shared."""
    wanted = set(fields)
    items = tuple(msgspec.structs.replace(item, shared=item.field in wanted) for item in content.items)
    return msgspec.structs.replace(content, items=items)


def _item(record_type: RecordType, name: str, *, shared: bool) -> EntryItem:
    field = record_type.by_name[name]
    return EntryItem(
        field=name,
        title=field.title,
        title_en=field.title_en,
        type=field.type,
        sensitivity=field.sensitivity,
        shared=shared and not field.clinical and not is_closed(record_type),
    )


def is_closed(record_type: RecordType) -> bool:
    """Whether nothing of this type is shared (outside care), whatever an entry says."""
    return is_care_only(record_type) or record_type.sharing == "none"


def is_care_only(record_type: RecordType) -> bool:
    return record_type.restricted or record_type.code in CARE_ONLY_TYPES


def difference(before: EntryContent, after: EntryContent) -> str:
    """Which items came, went or became something else, in words; empty if none did."""
    old, new = ({item.field: _described(item) for item in one.items} for one in (before, after))
    told = {
        "新增 added": [name for name in new if name not in old],
        "删除 removed": [name for name in old if name not in new],
        "变更 changed": [name for name in new if name in old and old[name] != new[name]],
    }
    if before.sharing != after.sharing:
        told["共享类型 sharing"] = [after.sharing]
    return "；".join(f"{what}: {', '.join(names)}" for what, names in told.items() if names)


def _described(item: EntryItem) -> tuple[str, str, str]:
    return item.title, item.type, item.sensitivity


# ---- what is wrong with it ----


def flaws(content: EntryContent, record_type: RecordType, today: date) -> list[str]:
    """Everything that keeps the entry from being handed in or published: one list, Chinese then English."""
    return [*_gaps(content), *_floor(content, record_type), *_sharing_flaws(content), *_dates_ahead(content, today)]


def _gaps(content: EntryContent) -> Iterator[str]:
    """What must be said and is not, or is said at too great length."""
    for name, what in _TEXTS.items():
        said = getattr(content, name).strip()
        if not said:
            yield f"{what[0]}未填写。 {what[1]} is missing."
        elif len(said) > LONGEST:
            yield f"{what[0]}超过 {LONGEST} 字。 {what[1]} is longer than {LONGEST} characters."
    if not content.formats:
        yield "数据格式未选择。 No format is chosen."
    if content.assessed_on is None:
        yield "个人信息保护影响评估日期未填写。 The date of the privacy assessment is missing."
    if content.approved_on is None:
        yield "负责人批准日期未填写。 The date of the head's approval is missing."


_TEXTS = {
    "reason": ("共享类型的依据或条件", "The condition or legal ground of the sharing"),
    "conditions": ("使用要求", "The conditions of use"),
    "assessed_by": ("个人信息保护影响评估人", "Who made the privacy assessment"),
    "approved_by": ("批准的负责人", "The head who approved it"),
}


def _floor(content: EntryContent, record_type: RecordType) -> Iterator[str]:
    """What no entry may share, whoever signs it."""
    if content.sharing != "none" and is_care_only(record_type):
        yield "该类别只在医疗照护单位之间使用，须为不予共享。 Records of this type stay in care: sharing must be none."
    elif content.sharing != "none" and is_closed(record_type):
        yield "该类别在映射文件中为不予共享。 The record type is never shared."
    current = record_type.by_name
    for item in content.items:
        field = current.get(item.field)
        if item.shared and (field is None or field.clinical):
            yield f"“{item.title}”不得共享。 Not to be shared: {item.field}."
    if {item.field for item in content.items} != set(current):
        yield "数据项与信息类别的现有字段不一致。 The items are not the fields the record type has now."
    least = max((LEAST_CLASSIFICATION[field.sensitivity] for field in record_type.fields), default=1)
    if content.classification < least:
        yield f"数据级别不得低于 {least} 级。 The classification is at least {least}."


def _sharing_flaws(content: EntryContent) -> Iterator[str]:
    """Sharing type, items and modes say the same."""
    if content.sharing == "none":
        if content.modes or content.shared_fields:
            yield "不予共享的条目不得有共享方式和共享的数据项。 What is not shared has neither modes nor shared items."
        return
    if not content.modes:
        yield "共享方式未选择。 No mode of sharing is chosen."
    if not content.shared_fields:
        yield "没有一个数据项共享。 No item is shared."
    open_to_all = [item for item in content.items if item.shared and item.sensitivity == "sensitive"]
    if content.sharing == "unconditional" and open_to_all:
        titles = "、".join(item.title for item in open_to_all)
        yield f"无条件共享的不得含敏感个人信息：{titles}。 Sensitive items are not shared without a condition."


def _dates_ahead(content: EntryContent, today: date) -> Iterator[str]:
    if content.assessed_on and content.assessed_on > today:
        yield "个人信息保护影响评估日期在今天之后。 The privacy assessment is dated after today."
    if content.approved_on and content.approved_on > today:
        yield "批准日期在今天之后。 The approval is dated after today."
    if content.assessed_on and content.approved_on and content.approved_on < content.assessed_on:
        yield "批准应在评估之后。 The approval comes after the assessment."
