"""The rows of the town's desk: what was typed into each, and what each shows: the line, its answer, what became of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from admin.desk_forms import detail_of
from admin.language import N_
from admin.visits import Visit
from hub.casework.answers_given import GivenAnswer
from hub.casework.item_list import ListedItem
from hub.decisions.verdicts import Answer, AnsweredMeanwhile, AnswersWrong, LineOutcome
from hub.errors import BadRequest, HubError

SAID = ("result", "actual", "right_village", "right_name", "right_id_no", "right_date", "to_town")
SHARED = ("verifier", "method", "verified_on")  # once for all rows of a sending
LINE_STATES = {
    "open": N_("未核对"),
    "answered": N_("已核对"),
    "transferred": N_("已转派"),
    "deferred": N_("下月再核"),
}
CAME = {"transfer": N_("其他镇街转派"), "again": N_("上月未能核实")}
TOLD = {
    "taken": N_("已报送。"),
    "held": N_("已收到，待核："),
    "refused": N_("没有收下："),
    "under_way": N_("已收到，处理中。"),
}
_LINE = re.compile(r"(\d{1,6})-line")
_SEEN = re.compile(r"([0-9a-f-]{36}):(\d{1,6})")


class RowForm(msgspec.Struct, frozen=True, kw_only=True):
    """One row as it was typed. ``contested``: it was shown with somebody else's answer beside it."""

    number: int
    record_id: UUID
    answers: int  # the line had, when it was shown
    said: dict[str, str]
    contested: bool = False

    @property
    def filled(self) -> bool:
        return any(self.said.values())

    def answer(self, shared: Mapping[str, str]) -> Answer:
        return Answer(record_id=self.record_id, answers=self.answers, **self.said, **shared)


class RowShown(msgspec.Struct, frozen=True, kw_only=True):
    """One row as it is shown."""

    item: ListedItem
    said: dict[str, str] = {}
    mistakes: dict[str, str] = {}  # field -> what is wrong
    outcome: LineOutcome | None = None
    theirs: GivenAnswer | None = None  # with the row's own answer beside it
    seen: int


def read_rows(form: Mapping[str, str]) -> list[RowForm]:
    """Every row of the page, by its number."""
    found = [_read_row(form, int(shape[1])) for name in form if (shape := _LINE.fullmatch(name))]
    return sorted(found, key=lambda row: row.number)


def _read_row(form: Mapping[str, str], number: int) -> RowForm:
    shape = _SEEN.fullmatch(form[f"{number}-line"])
    if shape is None:
        raise BadRequest("line")
    return RowForm(
        number=number,
        record_id=_uuid(shape[1]),
        answers=int(shape[2]),
        said={name: form.get(f"{number}-{name}", "").strip() for name in SAID},
        contested=f"{number}-contested" in form,
    )


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadRequest("line") from None


def chosen_rows(rows: Iterable[RowForm], save: str) -> list[RowForm]:
    """Rows to be sent: whatever is filled in. A contested row only if somebody said that it is right after all."""
    return [row for row in rows if row.filled and (not row.contested or save == f"mine-{row.number}")]


def show_rows(
    items: Sequence[ListedItem],
    rows: Iterable[RowForm] = (),
    *,
    outcomes: Iterable[LineOutcome] = (),
    error: HubError | None = None,
    visit: Visit,
) -> list[RowShown]:
    """The lines with what was typed into them, and what is wrong with it or became of it."""
    typed, told = {row.record_id: row for row in rows}, {one.record_id: one for one in outcomes}
    mistakes, overtaken = _mistakes(error, visit), _overtaken(error)
    return [_show(item, typed.get(item.record_id), told.get(item.record_id), mistakes, overtaken) for item in items]


def _show(
    item: ListedItem,
    row: RowForm | None,
    outcome: LineOutcome | None,
    mistakes: Mapping[UUID, dict[str, str]],
    overtaken: Mapping[UUID, GivenAnswer],
) -> RowShown:
    """What was typed stays until it is taken."""
    kept = row is not None and outcome is None
    theirs = overtaken.get(item.record_id)
    if theirs is None and kept and row is not None and row.contested and item.answer is not None:
        theirs = item.answer.masked()  # nobody has said yet which of the two is right
    return RowShown(
        item=msgspec.structs.replace(item, answer=item.answer.masked() if item.answer else None),
        said=row.said if row is not None and kept else dict.fromkeys(SAID, ""),
        mistakes=mistakes.get(item.record_id, {}),
        outcome=outcome,
        theirs=theirs,
        seen=row.answers if row is not None and kept and theirs is None else item.answers,
    )


def _mistakes(error: HubError | None, visit: Visit) -> dict[UUID, dict[str, str]]:
    found: dict[UUID, dict[str, str]] = {}
    for one in error.wrong if isinstance(error, AnswersWrong) else ():
        found.setdefault(one.record_id, {})[one.field] = detail_of(BadRequest(one.detail), visit)
    return found


def _overtaken(error: HubError | None) -> dict[UUID, GivenAnswer]:
    return {one.record_id: one.theirs for one in error.overtaken} if isinstance(error, AnsweredMeanwhile) else {}


def words_for_rows() -> dict[str, Any]:
    """What the templates name states and outcomes by."""
    return {"line_states": LINE_STATES, "came": CAME, "told": TOLD}
