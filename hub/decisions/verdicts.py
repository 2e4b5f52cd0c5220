"""A town answers lines of its change list: rows are made of the answers and sent through the one gate, and what became
of each line is told.

Whoever answers says how many answers the line had when they read it. Where somebody answered otherwise meanwhile,
nothing is sent and both answers are given back; of two sent at the same moment the first stands and the other is held.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select

from hub import jobs
from hub.casework.answers_given import GivenAnswer
from hub.casework.item_list import ListedItem, RoundList, read_some
from hub.casework.item_pages import WantedLines, lines_of_records, page_of_lines
from hub.casework.list_lines import CHANGES, no_name
from hub.casework.list_mark import mark_of
from hub.casework.rounds import local_day
from hub.casework.verdict_rows import VERIFICATION
from hub.database import Database, utc_now
from hub.errors import BadRequest, HubError, NotFound
from hub.exchange import listing
from hub.exchange.receipts import is_final
from hub.keyring import Keyring
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.permissions import Actor
from hub.registry.scope import reach_of, scope_for
from hub.settings import Settings
from hub.tables import row_error, submission
from mappings.catalogue import Catalogue

TRUE, NOT_TRUE, NOBODY, ELSEWHERE, NOT_YET = "1", "2", "3", "4", "5"
CORRECTIONS = ("right_village", "right_name", "right_id_no", "right_date")
MOST_ANSWERS = 500  # at once
WAIT_SECONDS = 10.0
_LONGEST = {"actual": 500, "right_name": 100, "right_id_no": 40, "verifier": 100}
_PURPOSE = "answering"
Outcome = Literal["taken", "held", "refused", "under_way"]


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a town says of one line. Codes of mappings/codes; areas by code; dates YYYY-MM-DD; "" for nothing said."""

    record_id: UUID
    answers: int  # how many the line had when it was read
    result: str
    actual: str = ""
    right_village: str = ""
    right_name: str = ""
    right_id_no: str = ""
    right_date: str = ""
    to_town: str = ""
    verifier: str = ""
    method: str = ""
    verified_on: str = ""


class VillageTrue(msgspec.Struct, frozen=True, kw_only=True):
    """All open lines of a village are true: its code, how many there are, who found it how and when."""

    village: str
    count: int
    verifier: str = ""
    method: str = ""
    verified_on: str = ""


class WrongAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer that cannot be sent: which field of which line, and why."""

    record_id: UUID
    field: str
    detail: str


class AnswersWrong(BadRequest):
    """有的核对结果填写有误，没有报送。 Some answers are not right: nothing was sent."""

    problem, status = "answers-wrong", 422

    def __init__(self, wrong: Sequence[WrongAnswer]) -> None:
        super().__init__(errors=[msgspec.to_builtins(one) for one in wrong])
        self.wrong = wrong


class CountDiffers(BadRequest):
    """这个村居待核的项数与填写的不同，没有报送。 The village has another number of open lines: nothing was sent."""

    problem, status = "count-differs", 422


class Overtaken(msgspec.Struct, frozen=True, kw_only=True):
    """A line that somebody of the town answered otherwise since it was read: both answers."""

    record_id: UUID
    answers: int  # as it is now
    yours: Answer
    theirs: GivenAnswer


class AnsweredMeanwhile(HubError):
    """本镇街已有人对同一项报了不同的结果，没有报送。 Somebody of your town answered otherwise: nothing was sent."""

    status, problem = 412, "answered-meanwhile"

    def __init__(self, overtaken: Sequence[Overtaken]) -> None:
        super().__init__(lines=[msgspec.to_builtins(one) for one in overtaken])
        self.overtaken = overtaken


class LineOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one answer; ``codes`` are the row errors it was held or refused for."""

    record_id: UUID
    row_no: int
    outcome: Outcome
    codes: tuple[str, ...] = ()


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """The submission that carried the answers, and what became of each."""

    accepted: jobs.Accepted
    lines: list[LineOutcome]

    def count(self, outcome: Outcome) -> int:
        return sum(line.outcome == outcome for line in self.lines)


def send_answers(
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    month: str,
    answers: Sequence[Answer],
    *,
    door: str,
    key: str,
    seconds: float = WAIT_SECONDS,
) -> Answered:
    """Check, send, wait. The same answers under the same ``key`` again are the same submission, whatever came since."""
    if not answers or len(answers) > MOST_ANSWERS or len({one.record_id for one in answers}) < len(answers):
        raise BadRequest(f"一次报送 1 至 {MOST_ANSWERS} 项，每项一次。 Send 1 to {MOST_ANSWERS} answers, one a line.")
    operation = operation_for(month, key, answers)
    with database.begin(reach_of(actor)) as connection:
        known = find_sent(connection, actor, operation)
        body = None if known else _rows_of(connection, settings, catalogue, actor, month, answers)
    accepted = known or accept_rows(database, settings, catalogue, actor, month, body or b"", door, operation)
    jobs.wait_until_final(database, accepted.submission_id, seconds, reach_of(actor))
    with database.begin(reach_of(actor)) as connection:
        return Answered(accepted=accepted, lines=_tell(connection, actor, accepted.submission_id, answers))


def send_village_true(
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    month: str,
    village: VillageTrue,
    *,
    key: str,
    seconds: float = WAIT_SECONDS,
) -> jobs.Accepted:
    """Every open line of a village is true; whoever says so has to say how many they are."""
    operation = operation_for(month, key, village)
    with database.begin(reach_of(actor)) as connection:
        known = find_sent(connection, actor, operation)
        body = None if known else _rows_of_village(connection, settings, catalogue, actor, month, village)
    accepted = known or accept_rows(database, settings, catalogue, actor, month, body or b"", "upload", operation)
    jobs.wait_until_final(database, accepted.submission_id, seconds, reach_of(actor))
    return accepted


def accept_rows(
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    month: str,
    body: bytes,
    door: str,
    operation: str,
    record_type: str = VERIFICATION,
) -> jobs.Accepted:
    """The rows a page made, at the gate."""
    return jobs.accept(
        database,
        settings,
        actor,
        stream=io.BytesIO(body),
        file_name=f"{record_type}-{month}.ndjson",
        record_type=record_type,
        organisation=actor.organisation,
        period=month,
        door=door,
        operation_id=operation,
        catalogue=catalogue,
    )


def operation_for(month: str, key: str, said: object) -> str:
    """What makes two sendings the same one: the form they come from, and what it says."""
    return f"answers:{hashlib.sha256(msgspec.json.encode([month, key, said])).hexdigest()}"


def find_sent(connection: Connection, actor: Actor, operation: str) -> jobs.Accepted | None:
    """What this form already became."""
    its = submission.c
    asked = select(submission).where(its.organisation == actor.organisation, its.operation_id == operation)
    row = connection.execute(asked).first()
    if row is None:
        return None
    return jobs.Accepted(
        submission_id=row.submission_id, receipt_number=row.receipt_number, state=row.state, repeated=True
    )


def _rows_of(
    connection: Connection,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    month: str,
    answers: Sequence[Answer],
) -> bytes:
    """The file the answers make; or why there is none."""
    areas = load_area_index(connection)
    scope = scope_for(actor, areas)
    ids = lines_of_records(connection, catalogue, scope, areas, month, [one.record_id for one in answers])
    if len(ids) < len(answers):
        raise NotFound("本镇街该月清单中没有这一项。 There is no such line on your town's list of the month.")
    listed = read_some(connection, catalogue, scope, areas, month, ids, purpose=_PURPOSE)
    lines = {item.record_id: item for item in listed.items}
    today = local_day(settings, utc_now())
    wrong = [found for one in answers for found in find_mistakes(one, listed.town, areas, today)]
    if wrong:
        raise AnswersWrong(wrong)
    refuse_overtaken(answers, lines)
    return _as_file(settings, catalogue, listed, [(lines[one.record_id], one) for one in answers], today)


def _rows_of_village(
    connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, month: str, village: VillageTrue
) -> bytes:
    areas = load_area_index(connection)
    scope, wanted = scope_for(actor, areas), WantedLines(village=areas.codes.get(village.village, -1), state="open")
    ids = page_of_lines(connection, catalogue, scope, areas, month, wanted)
    if not ids or len(ids) != village.count:
        raise CountDiffers(f"现有 {len(ids)} 项待核。 There are {len(ids)}.", count=len(ids))
    listed = read_some(connection, catalogue, scope, areas, month, ids, purpose=_PURPOSE)
    how = {"verifier": village.verifier, "method": village.method, "verified_on": village.verified_on}
    said = [(item, Answer(record_id=item.record_id, answers=item.answers, result=TRUE, **how)) for item in listed.items]
    today = local_day(settings, utc_now())
    wrong = find_mistakes(said[0][1], listed.town, areas, today)
    if wrong:
        raise AnswersWrong(wrong)
    return _as_file(settings, catalogue, listed, said, today)


def _as_file(
    settings: Settings,
    catalogue: Catalogue,
    listed: RoundList,
    said: Sequence[tuple[ListedItem, Answer]],
    today: date,
) -> bytes:
    key = Keyring.load(settings.home).digest_key
    rows = [_row(key, listed, line, answer, catalogue, today) for line, answer in said]
    return msgspec.json.Encoder().encode_lines(rows)


def refuse_overtaken(answers: Sequence[Answer], lines: Mapping[UUID, ListedItem]) -> None:
    """AnsweredMeanwhile if a line was answered otherwise since it was read."""
    overtaken = [
        Overtaken(record_id=one.record_id, answers=line.answers, yours=one, theirs=line.answer.masked())
        for one in answers
        for line in [lines[one.record_id]]
        if line.answers > one.answers and line.answer is not None and not line.answer.says(_said(one))
    ]
    if overtaken:
        raise AnsweredMeanwhile(overtaken)


def _said(answer: Answer) -> dict[str, Any]:
    """What an answer says, by the fields of its record type."""
    said = msgspec.structs.asdict(answer)
    return {name: said[name] for name in said if name not in ("record_id", "answers")}


def _row(
    key: bytes, listed: RoundList, line: ListedItem, answer: Answer, catalogue: Catalogue, today: date
) -> dict[str, str | None]:
    """A row as the returned workbook would have it: what was shown of the line and its mark, and what is said of it."""
    printed = (line.name, CHANGES[line.change], line.event_date, line.source)
    mark = mark_of(key, listed.month, listed.town, str(line.record_id), answer.answers, *printed)
    said = {field: value or None for field, value in _said(answer).items()}
    return {
        "source_record_id": str(line.record_id),
        "round": listed.month,
        **dict(zip(("name", "change_type", "changed_on", "source_org"), printed, strict=True)),
        **said,
        "name": line.name or no_name(catalogue, line),
        "verified_on": answer.verified_on or today.isoformat(),
        "list_mark": mark,
    }


# ---- what cannot be sent ----


def find_mistakes(answer: Answer, town: int, areas: AreaIndex, today: date) -> list[WrongAnswer]:
    """What is wrong with one answer, before anything is sent."""
    found = [
        *_mistakes_of_result(answer),
        *_mistakes_of_places(answer, town, areas),
        *_mistakes_of_dates(answer, today),
    ]
    found += [(name, f"至多 {most} 个字。 At most {most} characters.") for name, most in _LONGEST.items()
              if len(getattr(answer, name)) > most]  # fmt: skip
    return [WrongAnswer(record_id=answer.record_id, field=field, detail=detail) for field, detail in found]


def _mistakes_of_result(answer: Answer) -> list[tuple[str, str]]:
    corrected = any(getattr(answer, name) for name in CORRECTIONS)
    if answer.result not in (TRUE, NOT_TRUE, NOBODY, ELSEWHERE, NOT_YET):
        return [("result", "请选择核对结果。 Choose a verdict.")]
    if corrected and answer.result != NOT_TRUE:
        return [("result", "填写了更正内容，核对结果应选“不属实”。 With corrected values the verdict is “not true”.")]
    if answer.to_town and answer.result != ELSEWHERE:
        return [
            ("result", "选择了转派镇街，核对结果应选“非本辖区”。 With another town the verdict is “not in this area”.")
        ]
    if answer.result == NOT_TRUE and not corrected and not answer.actual:
        return [("actual", "请填写更正内容，或说明实际情况。 Give the right values, or say what was found.")]
    return []


def _mistakes_of_places(answer: Answer, town: int, areas: AreaIndex) -> list[tuple[str, str]]:
    found = []
    village = areas.codes.get(answer.right_village)
    if answer.right_village and (village is None or areas.town_of.get(village) != town):
        found.append(("right_village", "请选择本镇街的村居。 Choose a village of your own town."))
    other = areas.town_of.get(areas.codes.get(answer.to_town, -1))
    if answer.result == ELSEWHERE and other in (None, town):
        found.append(("to_town", "请选择转派到哪个镇街。 Choose the town it goes to."))
    return found


def _mistakes_of_dates(answer: Answer, today: date) -> list[tuple[str, str]]:
    found = []
    for name in ("right_date", "verified_on"):
        given = getattr(answer, name)
        day = day_of(given)
        if given and (day is None or day > today):
            found.append((name, "日期应为 YYYY-MM-DD，不晚于今天。 A date is YYYY-MM-DD, today at the latest."))
    return found


def day_of(given: str) -> date | None:
    try:
        return datetime.strptime(given, "%Y-%m-%d").date()
    except ValueError:
        return None


# ---- what became of them ----


def _tell(connection: Connection, actor: Actor, submission_id: UUID, answers: Sequence[Answer]) -> list[LineOutcome]:
    told = outcomes_of(connection, actor, submission_id, len(answers))
    return [
        LineOutcome(record_id=one.record_id, row_no=row_no, outcome=outcome, codes=codes)
        for row_no, (one, (outcome, codes)) in enumerate(zip(answers, told, strict=True), 1)
    ]


def outcomes_of(
    connection: Connection, actor: Actor, submission_id: UUID, rows: int
) -> list[tuple[Outcome, tuple[str, ...]]]:
    """What became of each of its rows, and the codes of what was held or refused."""
    sent = listing.find_submission(connection, actor, submission_id)
    if not is_final(sent):
        return [("under_way", ())] * rows
    stopped, otherwise = _stopped(connection, submission_id), "taken" if sent.state == "merged" else "refused"
    return [stopped.get(row_no, (otherwise, ())) for row_no in range(1, rows + 1)]  # type: ignore[arg-type]


def _stopped(connection: Connection, submission_id: UUID) -> dict[int, tuple[Outcome, tuple[str, ...]]]:
    """Rows that were refused or held, and for what."""
    its = row_error.c
    asked = select(its.row_no, its.level, its.code).where(
        its.submission_id == submission_id, its.level.in_(("error", "hold"))
    )
    found: dict[int, tuple[Outcome, tuple[str, ...]]] = {}
    for row_no, level, code in connection.execute(asked.order_by(its.row_no, its.error_no)):
        outcome, codes = found.get(row_no, ("held", ()))
        found[row_no] = ("refused" if level == "error" else outcome, (*codes, code))
    return found
