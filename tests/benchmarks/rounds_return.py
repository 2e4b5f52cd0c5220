"""An open round taken to its end: every town's list exported, returned filled in, held against the list and applied.

Nine answers of ten are true; the others correct a village, deny, know nobody, pass on and put off.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import msgspec

from hub import following, jobs
from hub.casework.answers_given import GivenAnswer
from hub.casework.item_list import ListedItem, RoundList
from hub.casework.list_delivery import hand_out, make_list
from hub.casework.list_workbook import write_list
from hub.casework.round_papers import PaperContext, paper_context
from hub.casework.verdict_rows import VERIFICATION
from hub.database import run_sql, utc_now
from hub.exchange import pipeline, town_word
from hub.registry.permissions import ROLES, Actor
from hub.registry.scope import reach_of
from mappings.catalogue import Catalogue
from tests.benchmarks.ground import Register
from tests.benchmarks.rounds_register import MONTH
from tests.benchmarks.stopwatch import Stopwatch, watched

TRUE, NOT_TRUE, NOBODY, ELSEWHERE, LATER = "1", "2", "3", "4", "5"
_TOWN_WORD = {"mark_rows": "hold against list", "settle_answers": "effects", "mark_disputed": "marks"}


class Returned(msgspec.Struct):
    """Seconds by step, and by stage of the line, over all towns that answered."""

    lines: int = 0
    steps: dict[str, float] = msgspec.field(default_factory=dict)
    stages: dict[str, float] = msgspec.field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.steps[name] = self.steps.get(name, 0.0) + time.perf_counter() - started


def return_all(register: Register, catalogue: Catalogue, towns: tuple[str, ...]) -> Returned:
    """One town after the other, as the worker takes them; raises where a line went unanswered."""
    done = Returned()
    with watched(register.worker) as watch:
        undo = [watch.watch(town_word, name, stage) for name, stage in _TOWN_WORD.items()]
        lists = [(town, *_export(register, catalogue, town, done)) for town in towns]
        for town, context, listed in lists:
            _return(register, catalogue, _officer(register, town), _filled(catalogue, context, listed), done, watch)
        for each in undo:
            each()
    done.stages = watch.seconds
    _check_answered(register, [listed for _, _, listed in lists])
    return done


def _export(register: Register, catalogue: Catalogue, town: str, done: Returned) -> tuple[PaperContext, RoundList]:
    officer = _officer(register, town)
    with done.step("导出 exported"), register.app.begin(reach_of(officer)) as connection:
        delivered = make_list(connection, register.settings, catalogue, officer, MONTH)
        hand_out(connection, officer, delivered)
    done.lines += len(delivered.listed.items)
    with register.app.begin(reach_of(officer)) as connection:
        return paper_context(connection, register.settings, catalogue, officer), delivered.listed


def _return(
    register: Register, catalogue: Catalogue, officer: Actor, content: bytes, done: Returned, watch: Stopwatch
) -> None:
    with done.step("收件 accepted"):
        accepted = jobs.accept(
            register.app, register.settings, officer, stream=io.BytesIO(content), file_name="list.xlsx",
            record_type=VERIFICATION, organisation=officer.organisation, period=None, door="command",
        )  # fmt: skip
    with done.step("入库 applied"):
        _run(register, catalogue, accepted.submission_id)
    with done.step("分发 followed"), watch.span("followed"):
        for each in following.follow(register.worker, register.settings, catalogue, accepted.submission_id):
            _run(register, catalogue, each.submission_id)


def _run(register: Register, catalogue: Catalogue, submission_id: UUID) -> None:
    state = pipeline.run(register.worker, register.settings, submission_id, catalogue)
    if state != "merged":
        raise RuntimeError(f"{submission_id}: {state}")


def _officer(register: Register, town: str) -> Actor:
    with register.worker.begin() as connection:
        rows = run_sql(connection, "SELECT area_id FROM shared.organisation WHERE code = :code", code=town)
    return Actor(
        name="bench", organisation=town, kind="town", door="command", rights=ROLES["town_officer"],
        area_id=int(str(rows[0][0])),
    )  # fmt: skip


def _check_answered(register: Register, lists: list[RoundList]) -> None:
    with register.worker.begin() as connection:
        rows = run_sql(
            connection,
            "SELECT count(*) FROM {d}.round_item i JOIN {d}.monthly_round USING (round_id) WHERE month = :month"
            " AND i.came = 'change' AND i.answers = 1",
            month=MONTH,
        )
    if rows[0][0] != sum(len(listed.items) for listed in lists):
        raise RuntimeError(f"{rows[0][0]} lines answered")


# ---- what a town fills in ----


def _filled(catalogue: Catalogue, context: PaperContext, listed: RoundList) -> bytes:
    """The workbook that went out, with a verdict on every line."""
    areas = context.areas
    village = next(areas.code_of[one] for one in areas.expand(listed.town) if areas.kind[one] == "village")
    town = next(areas.code_of[one] for one, kind in areas.kind.items() if kind == "town" and one != listed.town)
    items = tuple(
        msgspec.structs.replace(item, answer=_answer(item, place % 100, village, town))
        for place, item in enumerate(listed.items)
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "list.xlsx"
        write_list(path, catalogue, areas, msgspec.structs.replace(listed, items=items), context.printing)
        return path.read_bytes()


def _answer(item: ListedItem, place: int, village: str, town: str) -> GivenAnswer:
    """90 % true, 5 % not true but in that village, 2 % not true, 1 % each: nobody, another town's, later."""
    results = (TRUE,) * 90 + (NOT_TRUE,) * 7 + (NOBODY, ELSEWHERE, LATER)
    result, moved = results[place], 90 <= place < 95
    return GivenAnswer(
        record_id=item.record_id, result=result, actual="" if result == TRUE else "入户看过", right_village=village * moved,
        right_name="", right_id_no="", right_date="", to_town=town if result == ELSEWHERE else "", verifier="王网格",
        method="1", verified_on="", recorded_at=utc_now(),
    )  # fmt: skip
