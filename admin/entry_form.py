"""The form of one entry: what a data officer may say of a record type's sharing, and how it becomes what is kept."""

from __future__ import annotations

from typing import Any

import msgspec

from admin.catalogue_words import CLASSIFICATIONS, FORMATS, FREQUENCIES, MODES, SHARING
from admin.desk_forms import Choice, Field, FormPage, choices_of, listed
from admin.language import N_, titled
from admin.visits import Visit
from hub.errors import BadRequest
from hub.sharing.entries import Entry
from hub.sharing.entry_content import LONGEST, EntryContent
from hub.sharing.entry_keeping import Edited

_BEFORE_SUBMITTING = N_("提交前须填写。")
_TICKED = ("formats", "modes", "shared")


def entry_form(entry: Entry, content: EntryContent, visit: Visit) -> FormPage:
    """The form in the page's language; clinical items are not among what may be ticked."""
    shareable = [item for item in content.items if item.sensitivity != "clinical"]
    items = [Choice(item.field, titled(item.title, item.title_en, visit.language)) for item in shareable]
    fields = (
        Field(name="sharing", title=N_("共享类型"), kind="choice", choices=choices_of(SHARING, visit)),
        Field(
            name="reason", title=N_("共享类型的依据或条件"), kind="lines", longest=LONGEST,
            hint=N_("有条件共享的写明条件，不予共享的写明法律、行政法规或国务院决定的依据。"),
        ),
        Field(
            name="shared", title=N_("共享的数据项"), kind="ticks", choices=items, required=False,
            hint=N_("医疗健康数据项不在此列，任何情况下不共享。"),
        ),
        Field(
            name="modes", title=N_("共享方式"), kind="ticks", choices=choices_of(MODES, visit), required=False,
            hint=N_("不予共享的不选。"),
        ),
        Field(name="formats", title=N_("数据格式"), kind="ticks", choices=choices_of(FORMATS, visit)),
        Field(name="frequency", title=N_("更新频率"), kind="choice", choices=choices_of(FREQUENCIES, visit)),
        Field(name="conditions", title=N_("使用要求"), kind="lines", longest=LONGEST),
        Field(name="classification", title=N_("数据级别"), kind="choice", choices=choices_of(CLASSIFICATIONS, visit)),
        _later("assessed_on", N_("个人信息保护影响评估日期"), "date"),
        _later("assessed_by", N_("评估人")),
        _later("approved_on", N_("单位负责人批准日期"), "date"),
        _later("approved_by", N_("批准的负责人")),
    )  # fmt: skip
    lead = N_("目录名称、数据项和编号来自信息类别，不在此修改。保存后为草稿，提交区局审核后发布。")
    back = f"/catalogue/{entry.record_type}"
    return FormPage(title=N_("修改目录条目"), lead=lead, fields=fields, button=N_("保存草稿"), back=back)


def _later(name: str, title: str, kind: Any = "text") -> Field:
    return Field(name=name, title=title, kind=kind, longest=60, required=False, hint=_BEFORE_SUBMITTING)


def as_typed(content: EntryContent) -> dict[str, str]:
    """An entry as the form shows it."""
    said = {name: getattr(content, name) for name in Edited.__struct_fields__ if name != "shared"}
    said["shared"] = content.shared_fields
    return {name: ",".join(value) if isinstance(value, tuple) else str(value or "") for name, value in said.items()}


def as_edited(given: dict[str, str]) -> Edited:
    """What was typed, as it is kept; BadRequest names the field that cannot be read."""
    plain: dict[str, Any] = {name: listed(value) if name in _TICKED else value for name, value in given.items()}
    dated = {name: value or None for name, value in plain.items() if name.endswith("_on")}
    try:
        return msgspec.convert(plain | dated, Edited, strict=False)
    except msgspec.ValidationError as wrong:
        name = str(wrong).rpartition("$.")[2].rstrip("`").split("[")[0]
        raise BadRequest("填写的内容无法识别。 What was typed here cannot be read.", **{name: ""}) from wrong
