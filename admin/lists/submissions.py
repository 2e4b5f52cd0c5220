"""The list of what was sent: its columns and filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from admin.language import N_
from admin.lists.asked import Asked
from admin.lists.declared import (
    NOTHING,
    Cell,
    Column,
    Filter,
    ListPage,
    Option,
    Words,
    at,
    counted,
    marked,
    named_options,
    options_of,
)
from admin.lists.shown import Options
from admin.submission_view import READERS, is_closed
from admin.words import COUNTS, DOORS, KINDS, STATES
from hub.registry.masking import mask_within
from hub.registry.permissions import Right


def _file(row: Any, words: Words) -> Cell:
    tags = [words.say(KINDS[row.kind])] if row.kind != "regular" else []
    tags += [words.say(N_("试检"))] if row.dry_run else []
    named = row.file_name and not is_closed(words.actor, words.catalogue, row)
    text = mask_within(row.file_name) if named else words.say(N_("查看"))
    return Cell(text=text, href=f"/submissions/{row.submission_id}", tags=tuple(tags))


def _state(row: Any, words: Words) -> Cell:
    return Cell(text=words.say(STATES[row.state]), look=f"state {row.state}")


def _count(name: str, mark: str = "", after_brake: bool = False) -> Column:
    """Of a type that is clinical by existing whoever oversees learns no count; what waits for its brake has none yet."""

    def cell(row: Any, words: Words) -> Cell:
        if is_closed(words.actor, words.catalogue, row):
            return Cell(text=words.say(N_("不显示")), mark="dim")
        if after_brake and row.state == "braked":
            return Cell(text=NOTHING)
        value = getattr(row, name)
        return marked(value, mark) if mark else counted(value)

    return Column(code=name, title=COUNTS[name], cell=cell, numeric=True)


SUBMISSIONS = ListPage(
    code="submissions", path="/submissions", title=N_("报送记录"), rights=READERS,
    columns=(
        Column(
            code="received_at", title=N_("收到时间"), cell=lambda row, words: at(row.received_at), always=True,
            css="nowrap",
        ),
        Column(
            code="organisation", title=N_("报送单位"), cell=lambda row, words: words.organisation(row.organisation),
            data=True, css="nowrap", only=lambda words: words.actor.may(Right.READ_ALL_SUBMISSIONS),
        ),
        Column(
            code="record_type", title=N_("信息类别"), cell=lambda row, words: words.record_type(row.record_type),
            data=True,
        ),
        Column(code="period", title=N_("月份"), cell=lambda row, words: words.month(row.period), css="nowrap"),
        Column(code="file", title=N_("文件"), cell=_file, always=True, css="file", data=True),
        Column(code="state", title=N_("状态"), cell=_state, css="nowrap"),
        _count("received"), _count("accepted", after_brake=True), _count("unchanged", after_brake=True),
        _count("held", "held"), _count("refused", "refused"),
        Column(
            code="receipt", title=N_("回执"), css="nowrap",
            cell=lambda row, words: Cell(text=row.receipt_number, href=f"/receipts/{row.receipt_number}"),
        ),
        Column(code="door", title=N_("报送方式"), cell=lambda row, words: words.say(DOORS[row.door]), shown=False),
        Column(code="merged_at", title=N_("入库时间"), cell=lambda row, words: at(row.merged_at), shown=False),
    ),
    filters=(
        Filter(name="state", title=N_("状态"), kind="chips", words=STATES),
        Filter(name="period", title=N_("月份"), kind="month"),
        Filter(name="record_type", title=N_("信息类别")),
        Filter(name="organisation", title=N_("报送单位")),
    ),
    after="before", older=N_("更早的报送"), rows_a_page=30, sorts=("received_at", "-received_at"),
    usual="-received_at",
)  # fmt: skip


def submission_options(parts: Sequence[Any], asked: Asked, words: Words) -> Options:
    """What there is to choose now, and how much of it: each filter counted under the others."""
    names = ("state", "record_type", "organisation")
    many: dict[str, dict[str, int]] = {name: {} for name in names}
    for row in parts:
        for name in names:
            others = (each for each in names if each != name)
            if all(asked[each] in ("", getattr(row, each)) for each in others):
                value = getattr(row, name)
                many[name][value] = many[name].get(value, 0) + row.how_many
    called = {"record_type": words.record_type, "organisation": words.organisation}
    chosen: dict[str, list[Option]] = {"state": options_of(STATES, words.say, many["state"])}
    for name, title in called.items():
        chosen[name] = [_counted_option(one, many[name][one.value]) for one in named_options(list(many[name]), title)]
    if not words.actor.may(Right.READ_ALL_SUBMISSIONS):
        chosen["organisation"] = []
    return chosen


def _counted_option(one: Option, many: int) -> Option:
    return msgspec.structs.replace(one, many=many)
