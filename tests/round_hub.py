"""A district in whose first town people moved in, with the month's round open: what towns answer, in one line each."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from hub import following, jobs
from hub.casework.list_mark import mark_of
from hub.casework.rounds import open_round
from hub.database import run_sql
from hub.exchange import pipeline
from hub.jobs import Accepted
from hub.keyring import Keyring
from hub.registry.permissions import SYSTEM_ACTOR, Actor
from mappings.catalogue import Catalogue
from tests.decisions import read, rows, send
from tests.district import actor
from tests.doors import OTHER_TOWN, THIS_MONTH, TOWN, Hub

AFTER_THE_MONTH = datetime.now(UTC).replace(day=1) + timedelta(days=40)
OFFICER = actor(TOWN, "town_officer", name="qingxi")
COLLEAGUE = actor(TOWN, "town_officer", name="qingxi2")
OTHER_OFFICER = actor(OTHER_TOWN, "town_officer", name="bailu")


def move_people_in(hub: Hub, catalogue: Catalogue, people: int = 4) -> None:
    send(hub, catalogue, rows(1, people + 1))


def open_month(hub: Hub, catalogue: Catalogue, month: str = THIS_MONTH) -> None:
    with hub.worker.begin() as connection:
        open_round(connection, hub.settings, catalogue, SYSTEM_ACTOR, month, AFTER_THE_MONTH)


def items_of(hub: Hub, town: str = TOWN, month: str = THIS_MONTH) -> list[dict[str, Any]]:
    """The town's lines, each with the name on it, in the order of the list."""
    names = [
        "item_id", "record_id", "number", "state", "result", "answers", "village", "sent_to", "came", "person_id", "due_on",
        "town", "name",
    ]  # fmt: skip
    found = read(
        hub,
        "SELECT i.item_id, i.record_id, i.number, i.state, i.result, i.answers, i.village, i.sent_to, i.came, i.person_id,"
        " i.due_on, i.town, v.name FROM {d}.round_item i JOIN {d}.monthly_round m USING (round_id)"
        " JOIN shared.organisation o ON o.area_id = i.town AND o.code = :town"
        " LEFT JOIN {d}.rec_hukou_move_in v ON v.record_id = i.record_id WHERE m.month = :month ORDER BY i.number",
        town=town,
        month=month,
    )
    return [dict(zip(names, one, strict=True)) for one in found]


def answer(item: dict[str, Any], result: str, **more: str) -> dict[str, str]:
    """One row as a department's own client would write it, without a mark."""
    row = {"source_record_id": str(item["record_id"]), "round": THIS_MONTH, "name": str(item["name"])}
    said = {"result": result, "verifier": "万和", "method": "1", "verified_on": str(datetime.now(UTC).date())}
    return row | (said if result else {}) | more


def marked(hub: Hub, row: dict[str, str], item: dict[str, Any], *, answers: int | None = None) -> dict[str, str]:
    """The row with the mark its line had when it was printed."""
    key = Keyring.load(hub.settings.home).digest_key
    times = item["answers"] if answers is None else answers
    printed = (row["name"], row.get("change_type", ""), row.get("changed_on", ""), row.get("source_org", ""))
    return row | {"list_mark": mark_of(key, row["round"], item["town"], row["source_record_id"], times, *printed)}


def give(hub: Hub, catalogue: Catalogue, *answers: dict[str, str], who: Actor = OFFICER, **told: Any) -> Accepted:
    """Answers at the gate, taken through the whole line, and what they bring sent on."""
    content = b"".join(msgspec.json.encode(one) + b"\n" for one in answers)
    options: dict[str, Any] = {"record_type": "town_verification", "period": THIS_MONTH, "door": "panel", **told}
    accepted = jobs.accept(
        hub.served, hub.settings, who, stream=io.BytesIO(content), file_name="answers.jsonl",
        organisation=who.organisation, catalogue=catalogue, **options,
    )  # fmt: skip
    work_through(hub, catalogue, accepted.submission_id)
    return accepted


def work_through(hub: Hub, catalogue: Catalogue, submission_id: UUID) -> None:
    pipeline.run(hub.worker, hub.settings, submission_id, catalogue)
    for one in following.follow(hub.worker, hub.settings, catalogue, submission_id):
        pipeline.run(hub.worker, hub.settings, one.submission_id, catalogue)


def counts_of(hub: Hub, accepted: Accepted) -> tuple[Any, ...]:
    """accepted, unchanged, held, refused."""
    found = read(
        hub,
        "SELECT accepted, unchanged, held, refused FROM {d}.submission WHERE submission_id = :one",
        one=accepted.submission_id,
    )
    return found[0]


def codes_of(hub: Hub, accepted: Accepted) -> list[str]:
    with hub.worker.begin() as connection:
        found = run_sql(
            connection,
            "SELECT code FROM {d}.row_error WHERE submission_id = :one ORDER BY row_no, code",
            one=accepted.submission_id,
        )
    return [str(code) for (code,) in found]


def challenges_of(hub: Hub) -> list[tuple[Any, ...]]:
    return read(hub, "SELECT kind, field, claimed, against, state FROM {d}.challenge ORDER BY raised_at, kind, field")
