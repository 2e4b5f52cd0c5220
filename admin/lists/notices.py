"""The list of what a unit was told: its columns and filters."""

from __future__ import annotations

import msgspec

from admin.language import N_
from admin.lists.declared import Cell, Column, Filter, ListPage, Words, at
from hub.casework.notice_words import Wording
from hub.casework.notices import MARKERS, NOTICE_ORDERS, READERS, Notice
from hub.registry.list_order import both_ways

_SEEN = N_("已阅")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One notice in words, with the page where its work is done, "" where that is none of this account's."""

    notice: Notice
    words: Wording
    page: str


def _text(one: Told, words: Words) -> str:
    text = one.words.text_en if words.language == "en" else one.words.text
    units = [words.organisation(code) for code in one.notice.facts.organisations]
    return f"{text} ({'、'.join(units)})" if units else text


def _read(one: Told, words: Words) -> Cell:
    its = one.notice
    if its.read_at:
        read = at(its.read_at)
        return Cell(text=f"{words.say(_SEEN)} {read.text}", full=f"{words.say(_SEEN)} {read.full}")
    if any(words.actor.may(right) for right in MARKERS):
        return Cell(text=words.say(N_("标为已阅")), post=f"/notices/{its.notice_id}/read")
    return Cell(text=words.say(N_("未读")))


NOTICES = ListPage(
    code="notices", path="/notices", title=N_("提醒"), rights=READERS,
    columns=(
        Column(code="made_at", title=N_("时间"), cell=lambda one, words: at(one.notice.made_at), css="nowrap"),
        Column(
            code="title", title=N_("提醒"), always=True, leads=True,
            cell=lambda one, words: Cell(text=words.title(one.words), href=one.page),
        ),
        Column(code="text", title=N_("内容"), cell=_text, data=True, css="long"),
        Column(code="state", title=N_("状态"), cell=_read, css="nowrap"),
        Column(code="read_by", title=N_("阅读人"), cell=lambda one, words: one.notice.read_by or "", data=True, shown=False),
    ),
    filters=(
        Filter(name="all", title=N_("状态"), kind="chips", words={"": N_("未读"), "true": N_("全部")}, other=False),
    ),
    after="before", older=N_("更早的"), sorts=both_ways(NOTICE_ORDERS), usual="-made_at",
)  # fmt: skip
