"""The desk for what waits for a person: the list, one held row with its reasons and candidates, and deciding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy import Connection

from admin.desk_forms import FORM, Form
from admin.held_table import (
    DECIDED_BECAUSE,
    RELEASES,
    ROW_STATES,
    WHAT_WAITS,
    show_candidates,
    show_cells,
    show_held_reasons,
    show_items,
    title_of,
)  # fmt: skip
from admin.lists.answering import Door, Fetched, Source, answer_list, page_of
from admin.lists.asked import Asked, asked_of, fresh
from admin.lists.declared import Words
from admin.lists.held import HELD, held_options
from admin.lists.shown import Options
from admin.pages import go, show
from admin.submission_view import told_of
from hub import audit
from hub.decisions.candidates import list_candidates
from hub.decisions.correcting import rows_left
from hub.decisions.held import Chosen, Released, refuse_rows, release_rows
from hub.decisions.held_row import HeldRow, read_held_row, read_row_errors
from hub.decisions.waiting import WantedItems, codes_waiting, count_waiting_items, list_waiting
from hub.errors import BadRequest, Conflict, HubError, NotAllowed
from hub.exchange import listing
from hub.exchange.held_cells import read_cells
from hub.registry.areas import load_area_index
from hub.registry.permissions import Actor, Right
from hub.registry.scope import is_care_only, reach_of
from mappings.catalogue import Catalogue

_READERS = {"right": (Right.DECIDE_HELD, Right.READ_ALL_SUBMISSIONS)}
_DECIDERS = {"right": Right.DECIDE_HELD}
_TICK = "row-"


class NothingTicked(BadRequest):
    """请先勾选要处理的行。 Tick the rows first."""

    problem = "nothing-ticked"


class SeveralFiles(BadRequest):
    """预览一次只看一份报送的行，请按回执筛选。 A preview shows rows of one submission: filter by its receipt."""

    problem = "several-files"


class HeldPageController(Controller):
    """/held and /held/{number}/{row_no}."""

    path = "/held"

    @get(opt=_READERS, sync_to_thread=True)
    def list_all(self, door: NamedDependency[Door]) -> Response[Any]:
        return _show_list(door, asked_of(HELD, door.query))

    @post(opt=_DECIDERS, dependencies=FORM, status_code=200, sync_to_thread=True)
    def decide_many(self, door: NamedDependency[Door], form: Form) -> Response[Any]:
        try:
            return go(door.request, _decide(door, _ticked_rows(form), form))
        except (BadRequest, Conflict, NotAllowed) as refused:
            return _show_list(door, fresh(HELD), refused)

    @get("/{number:str}/{row_no:int}", opt=_DECIDERS, sync_to_thread=True)
    def read(self, door: NamedDependency[Door], number: FromPath[str], row_no: FromPath[int]) -> Response[str]:
        return _show_row(door, number, row_no)

    @post("/{number:str}/{row_no:int}", opt=_DECIDERS, dependencies=FORM, status_code=200, sync_to_thread=True)
    def decide_one(
        self, door: NamedDependency[Door], form: Form, number: FromPath[str], row_no: FromPath[int]
    ) -> Response[Any]:
        with door.database.begin(reach_of(door.actor)) as connection:
            row = read_held_row(connection, door.catalogue, door.actor, number, row_no)
        people = {role: form[f"person-{role}"] for role in row.roles if form.get(f"person-{role}")}
        try:
            rows = {row.submission_id: (row_no,)}
            return go(door.request, _decide(door, rows, form, {row_no: people}))
        except (BadRequest, Conflict, NotAllowed) as refused:
            return _show_row(door, number, row_no, refused)


def _ticked_rows(form: dict[str, str]) -> dict[UUID, tuple[int, ...]]:
    """Submission -> the rows ticked of it: check boxes named row-<submission>-<number>."""
    found: dict[UUID, list[int]] = {}
    for name in form:
        if name.startswith(_TICK):
            submission_id, _, row_no = name.removeprefix(_TICK).rpartition("-")
            try:
                found.setdefault(UUID(submission_id), []).append(int(row_no))
            except ValueError:
                raise NothingTicked() from None
    if not found:
        raise NothingTicked()
    return {submission_id: tuple(rows) for submission_id, rows in found.items()}


def _decide(
    door: Door,
    rows: Mapping[UUID, tuple[int, ...]],
    form: dict[str, str],
    people: dict[int, dict[str, str]] | None = None,
) -> str:
    """Do it, submission by submission; where to go on."""
    act, reason = form.get("act", ""), form.get("reason", "")
    chosen = [Chosen(submission_id=submission_id, rows=numbers) for submission_id, numbers in rows.items()]
    if act == "refuse":
        for one in chosen:
            refuse_rows(door.database, door.actor, one, reason)
        return "/held"
    if act not in ("release", "preview"):
        raise BadRequest("请选择预览、采纳或不采纳。 Choose to preview, to let pass or to refuse.")
    if act == "preview" and len(chosen) > 1:
        raise SeveralFiles()

    def let_go(one: Chosen) -> Released:
        return release_rows(
            door.database, door.settings, door.actor, one,
            reason=reason, people=people, dry_run=act == "preview", catalogue=door.catalogue,
        )  # fmt: skip

    made = [let_go(one).accepted.submission_id for one in chosen]
    return f"/submissions/{made[0]}" if len(made) == 1 else "/held"


def _show_list(door: Door, asked: Asked, error: HubError | None = None) -> Response[Any]:
    return answer_list(
        door,
        asked,
        _source(door, asked),
        "held.html",
        status=error.status if error else 200,
        kinds=WHAT_WAITS,
        decides=door.actor.may(Right.DECIDE_HELD),
        error=told_of(error, door.request.auth) if error else "",
    )


def _source(door: Door, asked: Asked) -> Source:
    actor, language, catalogue = door.actor, door.request.auth.language, door.catalogue
    wanted = WantedItems(
        kind=asked["kind"], code=asked["code"], record_type=asked["record_type"], receipt=asked["receipt"],
        older_than_days=int(asked["older"] or 0), sort=asked.order,
    )  # fmt: skip

    def rows(connection: Connection, after: str, size: int) -> Fetched:
        listed = list_waiting(connection, actor, wanted, after, size + 1)
        found = page_of(listed, size, lambda one: str(one.cursor_in(wanted.sort)))
        return Fetched(rows=show_items(found.rows, catalogue, language), more=found.more)

    def beside(connection: Connection) -> dict[str, Any]:
        counts = count_waiting_items(connection, actor, _closed(actor, catalogue))
        parts = [(one, title_of(one.kind, one.what, catalogue, language)) for one in counts]
        overseen = parts if actor.may(Right.READ_ALL_SUBMISSIONS) else []
        return {"counts": counts, "codes": codes_waiting(connection, actor), "parts": overseen}

    def options(connection: Connection, words: Words) -> Options:
        return held_options(words.beside["counts"], words.beside["codes"], words)

    return Source(rows=rows, options=options, beside=beside)


def _closed(actor: Actor, catalogue: Catalogue) -> list[str]:
    """Types whose mere counts would tell, for whoever oversees."""
    if not actor.may(Right.READ_ALL_SUBMISSIONS):
        return []
    return [code for code, one in catalogue.record_types.items() if is_care_only(one)]


def _show_row(door: Door, number: str, row_no: int, error: HubError | None = None) -> Response[str]:
    with door.database.begin(reach_of(door.actor)) as connection:
        row = read_held_row(connection, door.catalogue, door.actor, number, row_no)
        page = _parts_of(connection, door, row)
    return show(
        door.request,
        "held_row.html",
        status=error.status if error else 200,
        row=row,
        record_type=door.catalogue.record_types[row.record_type],
        releases=RELEASES,
        states=ROW_STATES,
        because=DECIDED_BECAUSE,
        error=told_of(error, door.request.auth) if error else "",
        **page,
    )


def _parts_of(connection: Connection, door: Door, row: HeldRow) -> dict[str, Any]:
    """Reasons, cells and candidates; that they were read is noted. Persons are opened last: it widens what is seen."""
    actor, language, catalogue = door.actor, door.request.auth.language, door.catalogue
    sent = listing.find_submission(connection, actor, row.submission_id)
    errors = read_row_errors(connection, row)
    cells = read_cells(connection, door.settings, catalogue, actor, sent, row.row_no)
    audit.record(
        connection, actor, Right.DECIDE_HELD, f"submission/{row.submission_id}/row/{row.row_no}",
        what="held-row", cells=len(cells), errors=len(errors),
    )  # fmt: skip
    areas = load_area_index(connection)
    candidates = list_candidates(connection, actor, row.submission_id, row.row_no) if row.undecided else []
    shown = show_candidates(candidates, catalogue, areas, language)
    roles = [one for one in catalogue.record_types[row.record_type].people if one.role in row.roles]
    return {
        "reasons": show_held_reasons(row, errors, catalogue, language),
        "correctable": row.row_no in rows_left(connection, catalogue, actor, sent),
        "cells": show_cells(cells, language),
        "people": [(role, shown.get(role.role, [])) for role in roles],
        "sent": sent,
    }
