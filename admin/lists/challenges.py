"""The list of challenges: its columns and filters."""

from __future__ import annotations

from typing import Any

from admin.language import N_
from admin.lists.declared import NOTHING, Cell, Column, Filter, ListPage, Words, at
from hub.casework.challenge_list import CHALLENGE_ORDERS
from hub.registry.list_order import both_ways
from hub.registry.permissions import Right

CHALLENGE_KINDS = {
    "value": N_("内容有误"),
    "untrue": N_("不属实"),
    "nobody": N_("查无此人"),
    "elsewhere": N_("非本辖区"),
    "unreported": N_("未见登记"),
}
CHALLENGE_STATES = {
    "open": N_("待答复"),
    "answered": N_("已答复"),
    "closed": N_("已办结"),
    "withdrawn": N_("已撤回"),
}
SIDES = {"against": N_("须由我答复"), "raised": N_("由我提出")}


def _kind(one: Any, words: Words) -> Cell:
    return Cell(text=words.say(CHALLENGE_KINDS[one.kind]), href=f"/challenges/{one.challenge_id}")


def _asker(one: Any, words: Words) -> str:
    return words.organisation(one.raised_by) if one.raised_by in words.organisations else one.raised_by_name


def _due(one: Any, words: Words) -> Cell:
    late = one.state == "open" and one.due_on < words.beside["today"]
    return Cell(text=str(one.due_on), tags=(words.say(N_("超期")),) if late else ())


def _state(one: Any, words: Words) -> Cell:
    tags = (words.say(N_("待区局协调")),) if one.escalated else ()
    return Cell(text=words.say(CHALLENGE_STATES[one.state]), tags=tags)


CHALLENGES = ListPage(
    code="challenges", path="/challenges", title=N_("校核"), rights=(Right.WORK_CHALLENGE,),
    columns=(
        Column(code="kind", title=N_("校核事项"), cell=_kind, always=True, leads=True),
        Column(
            code="record_type", title=N_("信息类别"), cell=lambda one, words: words.record_type(one.record_type),
            data=True,
        ),
        Column(code="name", title=N_("姓名"), cell=lambda one, words: one.name or NOTHING, data=True, css="nowrap"),
        Column(
            code="identifier", title=N_("公民身份号码"), cell=lambda one, words: one.identifier or NOTHING, data=True,
            css="id", shown=False,
        ),
        Column(code="raised_by", title=N_("提出单位"), cell=_asker, data=True),
        Column(
            code="against", title=N_("答复单位"), cell=lambda one, words: words.organisation(one.against), data=True
        ),
        Column(code="raised_at", title=N_("提出时间"), cell=lambda one, words: at(one.raised_at), css="nowrap"),
        Column(code="due_on", title=N_("答复期限"), cell=_due, css="nowrap"),
        Column(code="state", title=N_("状态"), cell=_state, css="nowrap"),
    ),
    filters=(
        Filter(name="side", title=N_("按关系"), kind="chips", words=SIDES),
        Filter(name="state", title=N_("状态"), kind="chips", words=CHALLENGE_STATES),
        Filter(name="overdue", title=N_("超期"), kind="flag"),
        Filter(name="escalated", title=N_("待区局协调"), kind="flag"),
    ),
    after="before", older=N_("更早的"), sorts=both_ways(CHALLENGE_ORDERS), usual="-raised_at",
)  # fmt: skip
