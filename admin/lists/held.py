"""The list of what waits for a person: its columns and filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from admin.held_table import WHAT_WAITS, ShownItem, show_totals
from admin.language import N_
from admin.lists.declared import NOTHING, Cell, Column, Filter, ListPage, Option, Words, at, counted, options_of
from admin.lists.shown import Options
from admin.words import STATES
from hub.decisions.waiting import WAITING_ORDERS, WaitingCount
from hub.registry.permissions import Right


def _tick(one: ShownItem, words: Words) -> Cell:
    label = words.say(N_("选择第 %(row)s 行")) % {"row": one.item.row}
    return Cell(text=label if one.tick else "", tick=one.tick)


def _why(one: ShownItem, words: Words) -> str:
    if one.item.kind == "submission":
        return words.say(STATES[one.item.codes[0]])
    return "；".join(one.reasons)


def _work(one: ShownItem, words: Words) -> Cell:
    tags = (words.say(N_("处理中")),) if one.item.under_way else ()
    return Cell(text=words.say(N_("查看")) if one.link else "", href=one.link, tags=tags)


def _maybe(value: int) -> Cell:
    return counted(value) if value else Cell()


HELD = ListPage(
    code="held", path="/held", title=N_("待核"), rights=(Right.DECIDE_HELD, Right.READ_ALL_SUBMISSIONS),
    columns=(
        Column(
            code="pick", title=N_("选择"), cell=_tick, always=True, on_screen=True,
            only=lambda words: words.actor.may(Right.DECIDE_HELD),
        ),
        Column(code="since", title=N_("等待自"), cell=lambda one, words: at(one.item.since), css="nowrap"),
        Column(code="days", title=N_("天"), cell=lambda one, words: counted(one.item.age_days), numeric=True),
        Column(code="kind", title=N_("种类"), cell=lambda one, words: words.say(one.kind), css="nowrap"),
        Column(
            code="what", title=N_("信息类别或比对项目"), cell=lambda one, words: one.what or NOTHING, always=True,
            data=True,
        ),
        Column(code="reasons", title=N_("原因"), cell=_why, css="reason", data=True),
        Column(code="receipt", title=N_("回执"), cell=lambda one, words: one.item.receipt or NOTHING, css="nowrap"),
        Column(code="row", title=N_("行"), cell=lambda one, words: _maybe(one.item.row), numeric=True),
        Column(
            code="candidates", title=N_("候选人员"), cell=lambda one, words: _maybe(one.item.candidates), numeric=True
        ),
        Column(code="work", title=N_("操作"), cell=_work, always=True, on_screen=True, css="nowrap"),
    ),
    filters=(
        Filter(name="kind", title=N_("种类"), kind="chips", words=WHAT_WAITS),
        Filter(name="code", title=N_("原因")),
        Filter(name="record_type", title=N_("信息类别")),
        Filter(name="receipt", title=N_("回执编号"), kind="text", longest=40),
        Filter(name="older", title=N_("等待超过（天）"), kind="number"),
    ),
    sorts=WAITING_ORDERS, usual="since",
)  # fmt: skip


def held_options(counts: Sequence[WaitingCount], codes: Mapping[str, int], words: Words) -> Options:
    """Kinds with how many wait, reasons with how many rows have them, and the types among them."""
    errors = words.catalogue.row_errors
    types = dict.fromkeys(one.what for one in counts if one.what in words.catalogue.record_types)
    return {
        "kind": options_of(WHAT_WAITS, words.say, show_totals(counts)),
        "code": [
            Option(value=code, title=words.title(errors[code]), many=many, data=True)
            for code, many in codes.items()
            if code in errors
        ],
        "record_type": [Option(value=code, title=words.record_type(code), data=True) for code in types],
    }
