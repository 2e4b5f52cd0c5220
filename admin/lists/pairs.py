"""The list of persons who may be there twice: its columns."""

from __future__ import annotations

from typing import Any

from admin.language import N_
from admin.lists.declared import Cell, Column, ListPage, Words, at
from hub.people.pair_list import PAIR_ORDERS
from hub.registry.list_order import both_ways
from hub.registry.permissions import Right


def _reasons(one: Any, words: Words) -> str:
    english = words.language == "en"
    parts = ((each.feature_en, each.level_en) if english else (each.feature, each.level) for each in one.reasons[:4])
    colon, stop = (": ", "; ") if english else ("：", "；")
    return stop.join(f"{feature}{colon}{level}" for feature, level in parts)


def _judge(one: Any, words: Words) -> str:
    return words.organisation(one.organisation) if one.organisation else words.say(N_("区局"))


PAIRS = ListPage(
    code="pairs", path="/pairs", title=N_("疑似同一人"), rights=(Right.JUDGE_PERSON,),
    columns=(
        Column(
            code="score", title=N_("相似程度"), numeric=True,
            cell=lambda one, words: Cell(text=f"{one.score:.0f}", number=round(one.score)),
        ),
        Column(code="reasons", title=N_("依据"), cell=_reasons, data=True, css="long"),
        Column(code="organisation", title=N_("判断单位"), cell=_judge, data=True),
        Column(
            code="found_at", title=N_("发现时间"), cell=lambda one, words: at(one.found_at), css="nowrap",
        ),
        Column(
            code="work", title=N_("操作"), always=True, on_screen=True, css="nowrap",
            cell=lambda one, words: Cell(text=words.say(N_("对照")), href=f"/pairs/{one.first}/{one.second}"),
        ),
    ),
    sorts=both_ways(PAIR_ORDERS), usual="-score",
)  # fmt: skip
