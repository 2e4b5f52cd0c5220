"""数据目录: every entry, one with its items and versions, and working on it: draft, hand in, publish, give back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from sqlalchemy import Connection

from admin.catalogue_words import (
    CLASSIFICATIONS,
    ENTRY_DONE,
    ENTRY_STATES,
    FORMATS,
    FREQUENCIES,
    MODES,
    SENSITIVITIES,
    SHARING,
)
from admin.desk_forms import FORM, Asking, Form, detail_of, gaps, show_form, show_refused, typed
from admin.downloads import XLSX
from admin.entry_form import as_edited, as_typed, entry_form
from admin.lists.answering import Door, Fetched, Source, answer_list
from admin.lists.asked import Asked, asked_of
from admin.lists.declared import Words, named_options
from admin.lists.sharing import DATA_CATALOGUE, provider_name
from admin.lists.shown import Options
from admin.pages import go, show
from hub.database import Database, utc_now
from hub.errors import BadRequest, Conflict, HubError, NotAllowed, NotFound
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.registry.working_days import load_calendar
from hub.settings import Settings
from hub.sharing.entries import Entry, list_entries, list_versions, read_entry, today_in
from hub.sharing.entry_clocks import clock_of
from hub.sharing.entry_export import as_json, as_workbook
from hub.sharing.entry_keeping import (
    begin_version,
    drop_version,
    extend_update,
    keeps,
    name_provider,
    publish_version,
    return_version,
    reviews,
    save_draft,
    submit_version,
)
from mappings.catalogue import Catalogue

_READ = {"right": Right.READ_REGISTRY}
_WORK = {"right": (Right.KEEP_ENTRY, Right.OVERSEE_SHARING)}
_ONE = "/catalogue/{record_type:str}"
_WORDS: dict[str, Any] = {
    "sharings": SHARING, "frequencies": FREQUENCIES, "modes": MODES, "formats": FORMATS, "states": ENTRY_STATES,
    "classifications": CLASSIFICATIONS, "sensitivities": SENSITIVITIES,
}  # fmt: skip


class DataCatalogueController(Controller):
    """/catalogue."""

    @get("/catalogue", opt=_READ, sync_to_thread=True)
    def read_all(self, door: NamedDependency[Door]) -> Response[Any]:
        asked = asked_of(DATA_CATALOGUE, door.query)
        return answer_list(door, asked, _source(door.actor, door.settings, asked), "catalogue.html", **_WORDS)

    @get("/catalogue/export.xlsx", opt=_READ, sync_to_thread=True)
    def workbook(self, request: Asking, database: NamedDependency[Database]) -> Response[bytes]:
        with database.begin(reach_of(request.user)) as connection:
            written = as_workbook(list_entries(connection, request.user), utc_now())
        return Response(written, media_type=XLSX, headers=_attached("xlsx"))

    @get("/catalogue/export.json", opt=_READ, sync_to_thread=True)
    def plain(self, request: Asking, database: NamedDependency[Database]) -> Response[bytes]:
        with database.begin(reach_of(request.user)) as connection:
            written = as_json(list_entries(connection, request.user))
        return Response(written, media_type="application/json", headers=_attached("json"))

    @get(_ONE, opt=_READ, sync_to_thread=True)
    def read(
        self, request: Asking, database: NamedDependency[Database], settings: NamedDependency[Settings],
        record_type: FromPath[str], done: FromQuery[str] = "",
    ) -> Response[str]:  # fmt: skip
        return _show_entry(request, database, settings, record_type, notice=ENTRY_DONE.get(done, ""))

    @get(f"{_ONE}/edit", opt=_WORK, sync_to_thread=True)
    def edit(
        self, request: Asking, database: NamedDependency[Database], record_type: FromPath[str]
    ) -> Response[str]:  # fmt: skip
        entry = _own_entry(request, database, record_type)
        content = (entry.open or entry).content
        return show_form(request, entry_form(entry, content, request.auth), as_typed(content))

    @post(f"{_ONE}/edit", opt=_WORK, dependencies=FORM, status_code=200, sync_to_thread=True)
    def save(
        self, request: Asking, database: NamedDependency[Database], catalogue: NamedDependency[Catalogue],
        form: Form, record_type: FromPath[str],
    ) -> Response[Any]:  # fmt: skip
        entry = _own_entry(request, database, record_type)
        page = entry_form(entry, (entry.open or entry).content, request.auth)
        given = typed(page.fields, form)
        if missing := gaps(page.fields, given):
            return show_form(request, page, given, missing, 422)
        try:
            with database.begin(reach_of(request.user)) as connection:
                save_draft(connection, request.user, catalogue, record_type, as_edited(given))
        except (BadRequest, Conflict) as error:
            return show_refused(request, page, given, error)
        return go(request, f"/catalogue/{record_type}?done=saved")

    @post(f"{_ONE}/{{act:str}}", opt=_WORK, dependencies=FORM, status_code=200, sync_to_thread=True)
    def work(
        self, request: Asking, database: NamedDependency[Database], settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue], form: Form, record_type: FromPath[str], act: FromPath[str],
    ) -> Response[Any]:  # fmt: skip
        if act not in _ACTS:
            raise NotFound(f"没有这一操作：{act}。 There is no such act: {act}.")
        try:
            with database.begin(reach_of(request.user)) as connection:
                _ACTS[act](connection, settings, request.user, catalogue, record_type, form, utc_now())
        except (BadRequest, Conflict) as error:
            return _show_entry(request, database, settings, record_type, error=error, failed=act, given=form)
        return go(request, f"/catalogue/{record_type}{'/edit' if act == 'begin' else f'?done={act}'}")


Act = Callable[[Connection, Settings, Actor, Catalogue, str, dict[str, str], datetime], object]
_ACTS: dict[str, Act] = {
    "begin": lambda c, s, a, k, one, form, now: begin_version(
        c, s, a, k, one, form.get("cause", ""), now, _day(form.get("caused_on", ""))
    ),
    "extend": lambda c, s, a, k, one, form, now: extend_update(
        c, s, a, one, _number(form.get("days", "")), form.get("extension_reason", ""), now
    ),
    "submit": lambda c, s, a, k, one, form, now: submit_version(c, s, a, k, one, now),
    "drop": lambda c, s, a, k, one, form, now: drop_version(c, a, k, one, form.get("reason", ""), now),
    "publish": lambda c, s, a, k, one, form, now: publish_version(c, s, a, k, one, now),
    "return": lambda c, s, a, k, one, form, now: return_version(c, a, one, form.get("wrong", "").splitlines(), now),
    "provider": lambda c, s, a, k, one, form, now: name_provider(
        c, s, a, one, form.get("organisation", ""), form.get("provider_reason", ""), now
    ),
}


def _attached(ending: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="data-catalogue.{ending}"'}


def _day(written: str) -> date | None:
    try:
        return date.fromisoformat(written) if written else None
    except ValueError:
        raise BadRequest("日期应为 YYYY-MM-DD。 A date is YYYY-MM-DD.", caused_on="") from None


def _number(written: str) -> int:
    return int(written) if written.isascii() and written.isdigit() and len(written) < 4 else 0


def _source(actor: Actor, settings: Settings, asked: Asked) -> Source:
    """All entries at once: one a record type."""

    def beside(connection: Connection) -> dict[str, Any]:
        entries = list_entries(connection, actor)
        waiting = [one for one in entries if _is_my_turn(actor, one)]
        return {"entries": entries, "waiting": waiting, "clocks": _clocks(settings, entries)}

    def options(connection: Connection, words: Words) -> Options:
        providers = {one.provider: provider_name(one, words) for one in words.beside["entries"]}
        return {"provider": named_options(list(providers), providers.__getitem__)}

    def rows(connection: Connection, after: str, size: int) -> Fetched:
        provider, sharing = asked["provider"], asked["sharing"]
        entries = list_entries(connection, actor)
        return Fetched(rows=[one for one in entries if provider in ("", one.provider) and sharing in ("", one.sharing)])

    return Source(rows=rows, options=options, beside=beside)


def _is_my_turn(actor: Actor, entry: Entry) -> bool:
    if entry.open is None:
        return False
    return actor.may(Right.OVERSEE_SHARING) if entry.open.state == "submitted" else keeps(actor, entry)


def _clocks(settings: Settings, entries: list[Entry]) -> dict[str, Any]:
    calendar, today = load_calendar(settings), today_in(settings, utc_now())
    return {one.record_type: clock_of(calendar, one.open, today) for one in entries if one.open}


def _own_entry(request: Asking, database: Database, record_type: str) -> Entry:
    """The entry, for who works on it and while it is being worked on."""
    with database.begin(reach_of(request.user)) as connection:
        entry = read_entry(connection, request.user, record_type)
    if not keeps(request.user, entry):
        raise NotAllowed(f"{entry.catalogue_no} 由 {entry.keeper} 提供。 Its provider is {entry.keeper}.")
    if entry.open is None or entry.open.state == "submitted":
        raise Conflict("没有可修改的草稿：请先发起更新，或待区局退回。 There is no draft: begin an update first.")
    return entry


def _show_entry(
    request: Asking,
    database: Database,
    settings: Settings,
    record_type: str,
    *,
    notice: str = "",
    error: HubError | None = None,
    failed: str = "",
    given: dict[str, str] | None = None,
) -> Response[str]:
    actor = request.user
    with database.begin(reach_of(actor)) as connection:
        entry = read_entry(connection, actor, record_type)
        versions = list_versions(connection, actor, record_type)
        units = [
            one for one in list_organisations(connection, settings.district) if one.enabled and _can_provide(one.kind)
        ]
    told = {
        "notice": notice,
        "errors": _sentences(error, request) if error else [],
        "failed": failed,
        "given": given or {},
    }
    may = {"keep": keeps(actor, entry), "review": reviews(actor, entry), "oversee": actor.may(Right.OVERSEE_SHARING)}
    page: dict[str, Any] = {"entry": entry, "versions": versions, "units": units}
    page |= {"clock": _clocks(settings, [entry]).get(record_type), "spoken": lambda text: _spoken(text, request)}
    return show(
        request, "catalogue_entry.html", status=error.status if error else 200, may=may, **page, **told, **_WORDS
    )


def _spoken(text: str, request: Asking) -> str:
    """What the hub itself wrote, in the page's language; what people wrote, as they wrote it."""
    chinese, both, english = text.partition("。 ")
    return (english if request.auth.language == "en" else f"{chinese}。") if both else text


def _can_provide(kind: str) -> bool:
    return kind in ("department", "care", "bureau", "information_centre")


def _sentences(error: HubError, request: Asking) -> list[str]:
    """One sentence, or everything that is wrong with the entry, in the page's language."""
    listed: Any = error.facts.get("wrong")
    if not isinstance(listed, list):
        return [detail_of(error, request.auth)]
    return [detail_of(HubError(one), request.auth) for one in listed]
