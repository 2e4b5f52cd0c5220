"""The list of the kinds of jobs: how each stands, and when the clock starts it next."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from admin.language import N_
from admin.lists.declared import Cell, Column, Filter, ListPage, Words, at, counted, marked
from admin.running_words import LIGHTS, SHOWN_STATES, TASKS
from hub.desks.running import TaskStanding
from hub.registry.permissions import Right


class JobLine(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of job: how it stands, and when the clock starts it next."""

    task: str
    standing: TaskStanding | None
    next_at: datetime | None
    light: str


def task_name(task: str, words: Words) -> str:
    return words.say(TASKS[task]) if task in TASKS else task


def _light(one: JobLine, words: Words) -> Cell:
    return Cell(text=words.say(LIGHTS[one.light]), look=f"run-state {one.light}")


def _count(name: str, title: str, mark: str = "") -> Column:
    def many(one: JobLine) -> int:
        return int(getattr(one.standing, name)) if one.standing else 0

    def cell(one: JobLine, words: Words) -> Cell:
        return marked(many(one), mark) if mark else counted(many(one))

    return Column(code=name, title=title, numeric=True, sort=many, cell=cell)


def _instant(name: str, title: str, shown: bool = True) -> Column:
    def when(one: JobLine) -> datetime | None:
        return getattr(one.standing, name) if one.standing else None

    def order(one: JobLine) -> Any:
        moment = when(one)
        return moment.timestamp() if moment else 0.0

    return Column(code=name, title=title, css="nowrap", sort=order, shown=shown, cell=lambda one, words: at(when(one)))


JOBS = ListPage(
    code="jobs", path="/running", title=N_("各类任务"), rights=(Right.READ_RUNNING,),
    columns=(
        Column(
            code="task", title=N_("任务"), cell=lambda one, words: task_name(one.task, words), always=True, leads=True,
            css="nowrap",
        ),
        Column(code="state", title=N_("状态"), cell=_light, css="nowrap", sort=lambda one: one.light),
        _count("waiting", N_("排队")), _count("doing", N_("正在处理")), _count("failed", N_("失败"), "refused"),
        _instant("oldest_at", N_("最早等待自"), shown=False), _instant("last_ended_at", N_("最近完成")),
        _instant("last_deferred_at", N_("最近到点")),
        Column(
            code="next_at", title=N_("下次到点"), cell=lambda one, words: at(one.next_at), css="nowrap",
            sort=lambda one: one.next_at.timestamp() if one.next_at else 0.0,
        ),
    ),
    filters=(
        Filter(name="only", title=N_("显示"), kind="chips", words={"trouble": SHOWN_STATES["trouble"]}),
        Filter(name="organisation", title=N_("单位")),
    ),
)  # fmt: skip
