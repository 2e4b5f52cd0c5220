"""The list of the people who make one figure of the month's account: its columns. What for is said each time it is read."""

from __future__ import annotations

from typing import Any

from admin.language import N_
from admin.lists.declared import NOTHING, Cell, Column, Filter, ListPage, Words, at, on
from hub.registry.permissions import Right

KINDS = {
    "opening": N_("入账"),
    "birth": N_("出生"),
    "death": N_("死亡"),
    "moved": N_("迁移"),
    "correction": N_("订正"),
    "excused": N_("说明后通过"),
    "unexplained": N_("对不上"),
}
WHYS = {
    "no_cause": N_("居住地变了，但没有任何记录说明"),
    "not_here": N_("离开或死亡，但账上此人不在此地"),
    "lives_nowhere": N_("来了，但不知住在哪个村居"),
    "after_death": N_("已登记死亡，之后又有到来的记录"),
    "here_already": N_("登记出生，但此前账上已有此人"),
    "void": N_("记录作废"),
    "update": N_("记录更正"),
    "restore": N_("作废的记录恢复"),
    "relink": N_("记录改属他人"),
    "merge": N_("两人认定为一人"),
    "split": N_("一人认定为两人"),
    "apart": N_("认定为不同的人"),
    "undo": N_("撤回报送或认定"),
    "erased": N_("依法删除"),
}


def _name(line: Any, words: Words) -> Cell:
    href = f"/people/{line.person_id}" if words.actor.may(Right.READ_PERSON) else ""
    return Cell(text=line.name or NOTHING, href=href)


def _why(line: Any, words: Words) -> str:
    known = words.say(WHYS[line.why]) if line.why in WHYS else ""
    if not line.excused_at:
        return f"{known} {line.reason or ''}".strip()
    said = words.say(N_("{by}于{at}说明：{reason}"))
    return f"{known}；{said.format(by=line.excused_by, at=at(line.excused_at).text, reason=line.reason)}".strip("；")


def _basis(line: Any, words: Words) -> str:
    return words.record_type(line.record_type) if line.record_type in words.catalogue.record_types else NOTHING


BALANCE_PEOPLE = ListPage(
    code="balance-people", path="/balance/people", title=N_("人口变动平衡表：人员"),
    rights=(Right.READ_CHANGE_LIST, Right.MANAGE_ROUND), keeps_views=False, rows_a_page=200,
    columns=(
        Column(code="name", title=N_("姓名"), cell=_name, always=True, leads=True, data=True, css="nowrap"),
        Column(
            code="id_no", title=N_("身份号码"), cell=lambda line, words: line.id_no or NOTHING, data=True, css="nowrap"
        ),
        Column(code="kind", title=N_("变动"), cell=lambda line, words: words.say(KINDS[line.kind]), css="nowrap"),
        Column(code="from", title=N_("从"), cell=lambda line, words: line.from_area or NOTHING, data=True),
        Column(code="to", title=N_("到"), cell=lambda line, words: line.to_area or NOTHING, data=True),
        Column(code="of_month", title=N_("所属月份"), cell=lambda line, words: words.month(line.of_month), css="nowrap"),
        Column(code="event_date", title=N_("发生日期"), cell=lambda line, words: on(line.event_date), css="nowrap"),
        Column(code="basis", title=N_("依据"), cell=_basis, data=True),
        Column(code="why", title=N_("说明"), cell=_why, data=True, css="long"),
    ),
    filters=(
        Filter(name="month", title=N_("月份"), kind="hidden"),
        Filter(name="area", title=N_("区划"), kind="hidden"),
        Filter(name="figure", title=N_("平衡表栏目"), kind="hidden", default="unexplained"),
        Filter(name="purpose", title=N_("目的"), kind="hidden"),
        Filter(name="reason", title=N_("理由"), kind="hidden", longest=200, personal=True),
    ),
)  # fmt: skip
