"""The list of the standing comparisons' items: its columns and filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from admin.language import N_
from admin.lists.declared import NOTHING, Cell, Column, Filter, ListPage, Option, Words, at, counted
from admin.lists.shown import Options
from hub.people.comparison_list import COMPARISON_ORDERS, CheckCount
from hub.registry.list_order import both_ways
from hub.registry.permissions import Right

ITEM_STATES = {"open": N_("待办"), "closed": N_("已办结"), "gone": N_("已一致")}


def check_title(code: str, words: Words) -> str:
    check = words.catalogue.comparisons.get(code)
    return words.title(check) if check else code


def _check(one: Any, words: Words) -> Cell:
    return Cell(text=check_title(one.check, words), href=f"/comparisons/{one.item_id}")


COMPARISONS = ListPage(
    code="comparisons", path="/comparisons", title=N_("比对"), rights=(Right.WORK_COMPARISON,),
    columns=(
        Column(code="check", title=N_("比对项目"), cell=_check, always=True, leads=True, data=True),
        Column(code="name", title=N_("姓名"), cell=lambda one, words: one.name or NOTHING, data=True, css="nowrap"),
        Column(
            code="identifier", title=N_("公民身份号码"), cell=lambda one, words: one.identifier or NOTHING, data=True,
            css="id",
        ),
        Column(
            code="organisation", title=N_("负责单位"), data=True,
            cell=lambda one, words: words.organisation(one.organisation),
        ),
        Column(code="opened_at", title=N_("发现时间"), cell=lambda one, words: at(one.opened_at), css="nowrap"),
        Column(
            code="state", title=N_("状态"), cell=lambda one, words: words.say(ITEM_STATES[one.state]), css="nowrap"
        ),
        Column(code="times", title=N_("次数"), cell=lambda one, words: counted(one.times), numeric=True),
        Column(
            code="last_seen_at", title=N_("最近仍不一致"), cell=lambda one, words: at(one.last_seen_at), shown=False,
            css="nowrap",
        ),
        Column(
            code="closed_at", title=N_("办结时间"), cell=lambda one, words: at(one.closed_at), shown=False, css="nowrap"
        ),
    ),
    filters=(
        Filter(name="state", title=N_("状态"), kind="chips", words=ITEM_STATES, default="open"),
        Filter(name="check", title=N_("比对项目")),
        Filter(name="days", title=N_("发现超过（天）"), kind="number"),
    ),
    after="before", older=N_("更早的"), sorts=both_ways(COMPARISON_ORDERS), usual="-opened_at",
)  # fmt: skip


def comparison_options(counts: Sequence[CheckCount], words: Words) -> Options:
    """Every check, with how many of its items are open."""
    many = {one.check: one.open for one in counts}
    return {
        "check": [
            Option(value=code, title=check_title(code, words), many=many.get(code, 0), data=True)
            for code in words.catalogue.comparisons
        ]
    }
