"""The town's desk: the lines of its change list, answered on the page, one by one or many at once."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy import Connection

from admin.desk_forms import FORM, Asking, Form
from admin.language import titled
from admin.pages import go, show
from admin.submission_view import told_of
from admin.verdict_rows import SHARED, RowForm, chosen_rows, read_rows, show_rows, words_for_rows
from admin.words import CHANGES
from hub.casework.answers_given import last_habits
from hub.casework.item_list import read_some
from hub.casework.item_pages import (
    STATES,
    WantedLines,
    count_lines,
    lines_of_records,
    page_of_lines,
)
from hub.casework.rounds import load_round, local_day
from hub.database import Database, new_uuid, utc_now
from hub.decisions.verdicts import Answered, AnsweredMeanwhile, VillageTrue, send_answers, send_village_true
from hub.errors import BadRequest, HubError
from hub.exchange import listing, receipts
from hub.keyring import Keyring
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of, scope_for
from hub.settings import Settings
from mappings.catalogue import Catalogue

_A_PAGE = 50
_PURPOSE = "monthly-check/answers"
After = Annotated[int, QueryParameter(name="after", ge=0, le=999_999_999)]


class NothingChosen(BadRequest):
    """请先选择核对结果。 Choose a verdict first."""

    problem, status = "nothing-chosen", 422


class FilledBeside(BadRequest):
    """上面有填好而没有报送的结果：请先报送或清空，再报整村属实。 Lines are filled in and not sent: send or clear them first."""

    problem, status = "filled-beside", 422


class Desk(NamedTuple):
    """What every answer of this desk is made with."""

    request: Asking
    database: Database
    settings: Settings
    catalogue: Catalogue
    keyring: Keyring


class Wish(NamedTuple):
    """Which lines somebody wants to see."""

    village: str = ""
    state: str = ""
    only: str = ""  # numbers, with commas
    after: int = 0  # number of the last line of the page before

    def lines(self, areas: AreaIndex) -> WantedLines:
        numbers = tuple(int(each) for each in self.only.split(",") if each.isdecimal() and len(each) < 7)
        village = areas.codes.get(self.village, -1) if self.village else None
        state = self.state if self.state in STATES else ""
        return WantedLines(village=village, state=state, numbers=numbers, after=self.after)


class VerdictController(Controller):
    """/rounds/{month}/items."""

    path = "/rounds/{month:str}/items"

    @get(opt={"right": Right.READ_CHANGE_LIST}, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        keyring: NamedDependency[Keyring],
        month: FromPath[str],
        village: FromQuery[str] = "",
        state_of: Annotated[str, QueryParameter(name="state")] = "open",
        only: FromQuery[str] = "",
        after: After = 0,
        sent: FromQuery[UUID | None] = None,
    ) -> Response[str]:
        desk = Desk(request, database, settings, catalogue, keyring)
        return _show_page(desk, month, Wish(village, "" if only else state_of, only, after), sent=sent)

    @post(opt={"right": Right.SUBMIT}, dependencies=FORM, status_code=200, sync_to_thread=True)
    def answer(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        keyring: NamedDependency[Keyring],
        form: Form,
        month: FromPath[str],
    ) -> Response[Any]:
        desk, rows = Desk(request, database, settings, catalogue, keyring), read_rows(form)
        if form.get("save") == "enter" and form.get("count") and not any(row.filled for row in rows):
            return _send_village(desk, month, form)  # Enter in the field of the whole village
        try:
            answered = _send(desk, month, rows, form)
        except (BadRequest, AnsweredMeanwhile) as refused:
            return _show_again(desk, month, form, rows, refused)
        if answered is None:
            return _show_again(desk, month, form, [row for row in rows if form["save"] != f"theirs-{row.number}"])
        return _show_saved(desk, month, form, rows, answered)

    @post("/village", opt={"right": Right.SUBMIT}, dependencies=FORM, status_code=200, sync_to_thread=True)
    def answer_village(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        keyring: NamedDependency[Keyring],
        form: Form,
        month: FromPath[str],
    ) -> Response[Any]:
        return _send_village(Desk(request, database, settings, catalogue, keyring), month, form)


def _send(desk: Desk, month: str, rows: Sequence[RowForm], form: dict[str, str]) -> Answered | None:
    """What became of the chosen rows; None if there is only somebody else's answer to be left as it is."""
    save = form.get("save", "")
    chosen = chosen_rows(rows, save)
    if save.startswith("theirs-"):
        return None
    if save.startswith("mine-"):
        chosen = [row for row in chosen if save == f"mine-{row.number}"]
    if not chosen:
        raise NothingChosen()
    answers = [row.answer(_shared(form)) for row in chosen]
    return send_answers(
        desk.database, desk.settings, desk.catalogue, desk.request.user, month, answers,
        door="upload", key=form.get("key", ""),
    )  # fmt: skip


def _send_village(desk: Desk, month: str, form: dict[str, str]) -> Response[Any]:
    village, typed = form.get("village", ""), form.get("count", "").strip()
    count = int(typed) if typed.isdecimal() and len(typed) < 7 else -1
    said = VillageTrue(village=village, count=count, **_shared(form))
    try:
        if any(row.filled for row in read_rows(form)):
            raise FilledBeside()  # it would be true as well, whatever was typed
        done = send_village_true(
            desk.database, desk.settings, desk.catalogue, desk.request.user, month, said, key=form.get("key", "")
        )
    except BadRequest as refused:
        return _show_page(desk, month, Wish(village, "open"), error=refused, form=form)
    return go(desk.request, f"/rounds/{month}/items?village={village}&sent={done.submission_id}")


def _shared(form: dict[str, str]) -> dict[str, str]:
    return {name: form.get(name, "").strip() for name in SHARED}


# ---- pages ----


def _show_page(
    desk: Desk,
    month: str,
    wish: Wish,
    *,
    sent: UUID | None = None,
    error: HubError | None = None,
    form: dict[str, str] | None = None,
) -> Response[str]:
    with desk.database.begin(reach_of(desk.request.user)) as connection:
        areas = load_area_index(connection)
        scope, wanted = scope_for(desk.request.user, areas), wish.lines(areas)
        ids = page_of_lines(connection, desk.catalogue, scope, areas, month, wanted, limit=_A_PAGE + 1)
        page = _parts(desk, connection, areas, month, ids[:_A_PAGE], form or {})
        page |= {"sent": listing.find_submission(connection, desk.request.user, sent) if sent else None}
    items = page.pop("items")
    more = max(item.number for item in items) if len(ids) > _A_PAGE else 0
    rows = show_rows(items, read_rows(form or {}), visit=desk.request.auth)
    page |= {"rows": rows, "wish": wish, "more": more, "is_final": receipts.is_final}
    return _fill(desk, page, error)


def _show_again(
    desk: Desk, month: str, form: dict[str, str], rows: Sequence[RowForm], error: HubError | None = None
) -> Response[str]:
    """The same lines with what was typed into them; to the page's script, the rows alone."""
    page = _same_lines(desk, month, form)
    shown = show_rows(page.pop("items"), rows, error=error, visit=desk.request.auth)
    return _fill(desk, page | {"rows": shown}, error, alone="x-rows" in desk.request.headers)


def _show_saved(
    desk: Desk, month: str, form: dict[str, str], rows: Sequence[RowForm], answered: Answered
) -> Response[Any]:
    """The lines once more to the page's script, and where some wait for a choice between two answers; else the list."""
    alone = "x-rows" in desk.request.headers
    answered_now = {one.record_id for one in answered.lines}
    if alone or any(row.contested and row.record_id not in answered_now for row in rows):
        page = _same_lines(desk, month, form)
        shown = show_rows(page.pop("items"), rows, outcomes=answered.lines, visit=desk.request.auth)
        return _fill(desk, page | {"rows": shown, "answered": answered}, None, alone=alone)
    kept = {name: form.get(name, "") for name in ("village", "state", "only")}
    query = "&".join(f"{name}={value}" for name, value in kept.items() if value.replace(",", "").isalnum())
    return go(desk.request, f"/rounds/{month}/items?{query}&sent={answered.accepted.submission_id}")


def _same_lines(desk: Desk, month: str, form: dict[str, str]) -> dict[str, Any]:
    """The lines the form had, as they are now."""
    records = [row.record_id for row in read_rows(form)]
    with desk.database.begin(reach_of(desk.request.user)) as connection:
        areas = load_area_index(connection)
        scope = scope_for(desk.request.user, areas)
        ids = lines_of_records(connection, desk.catalogue, scope, areas, month, records)
        page = _parts(desk, connection, areas, month, ids, form)
    wish = Wish(form.get("village", ""), form.get("state", ""), form.get("only", ""))
    return page | {"wish": wish, "more": 0, "sent": None}


def _parts(
    desk: Desk, connection: Connection, areas: AreaIndex, month: str, ids: Sequence[UUID], form: dict[str, str]
) -> dict[str, Any]:
    actor, catalogue = desk.request.user, desk.catalogue
    scope, opened = scope_for(actor, areas), load_round(connection, month)
    listed = read_some(connection, catalogue, scope, areas, month, ids, purpose=_PURPOSE)
    verifier, method = last_habits(connection, actor)
    today = local_day(desk.settings, utc_now())
    counts = count_lines(connection, catalogue, scope, areas, month)
    due_on = counts.due_on or opened.due_on
    habits = {"verifier": verifier, "method": method, "verified_on": today.isoformat()}
    return {
        "month": month,
        "round": opened,
        "due_on": due_on,
        "days_left": (due_on - today).days,
        "today": today.isoformat(),
        "items": listed.items,
        "counts": counts,
        "shared": {name: form.get(name, "").strip() or habits[name] for name in SHARED},
        "key": form.get("key") or str(new_uuid()),
        "typed_count": form.get("count", ""),
        "organisations": {one.code: one for one in list_organisations(connection, desk.settings.district)},
        **_places(areas, listed.town, scope.own_areas),
    }


def _places(areas: AreaIndex, town: int, own: Sequence[int]) -> dict[str, Any]:
    """Villages to choose from, the town's own; towns, the others."""
    villages = sorted(one for one in areas.children.get(town, ()) if areas.kind.get(one) == "village" and one in own)
    towns = sorted(one for one, kind in areas.kind.items() if kind == "town" and one != town and one in areas.code_of)
    return {
        "villages": {one: (areas.code_of[one], areas.name_of[one]) for one in villages if one in areas.code_of},
        "towns": {areas.code_of[one]: areas.name_of[one] for one in towns},
        "place_names": {areas.code_of[one]: areas.name_of[one] for one in (*villages, *towns) if one in areas.code_of},
    }


def _fill(desk: Desk, page: dict[str, Any], error: HubError | None, *, alone: bool = False) -> Response[str]:
    actor, language = desk.request.user, desk.request.auth.language
    codes = {
        name: [(one.value, titled(one.title, one.title_en, language)) for one in desk.catalogue.code_sets[name].codes]
        for name in ("verdict", "verification_method")
    }
    answer = show(
        desk.request,
        "_verdict_rows.html" if alone else "round_items.html",
        status=error.status if error else 200,
        error=told_of(error, desk.request.auth) if error else "",
        verdicts=codes["verdict"],
        methods=codes["verification_method"],
        row_errors=desk.catalogue.row_errors,
        record_types=desk.catalogue.record_types,
        changes=CHANGES,
        answers_here=actor.may(Right.SUBMIT),
        seal=_seal(desk.keyring, actor),
        **words_for_rows(),
        **({"answered": None, "is_final": receipts.is_final} | page),
    )
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Rows"] = type(error).__name__ if error else "taken"
    return answer


def _seal(keyring: Keyring, actor: Actor) -> str:
    """The key under which this account's browser keeps what it could not send yet; nobody else's page has it."""
    said = f"kept-answers\x1f{actor.organisation}\x1f{actor.name}"
    return base64.b64encode(hmac.digest(keyring.digest_key, said.encode(), hashlib.sha256)).decode()
