"""提出申请: choose record types, then their fields and areas, and say on what terms; the same form completes a draft."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from sqlalchemy import Connection

from admin.catalogue_words import MODES
from admin.desk_forms import FORM, Asking, Choice, Form, detail_of
from admin.language import Language
from admin.licence_conditions import (
    ConditionLine,
    Errors,
    condition_errors,
    condition_lines,
    more_error,
    typed_conditions,
)
from admin.licence_words import REQUEST_KINDS
from admin.pages import go, show
from hub.database import Database, utc_now
from hub.errors import BadRequest, ClinicalBoundary, Conflict, NotAllowed
from hub.refusals import note_refusal
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.organisations import Organisation, load_organisation
from hub.registry.permissions import Actor, Right
from hub.registry.scope import is_care_only, reach_of
from hub.registry.slice_definition import OWN_AREA_KINDS, SliceDefinition, SliceType
from hub.settings import Settings
from hub.sharing.licence import Wanted, latest_limit
from hub.sharing.requests import OPEN, LicenceRequest, draft_request, hold_own, revise_request, submit_request, today
from hub.sharing.routing import EntryShared, load_shared
from hub.sharing.subscription_life import find_subscription
from mappings.catalogue import Catalogue, Field, RecordType

_ASK = {"right": Right.ASK_SLICE}
_TEXTS = ("title", "purpose", "legal_basis", "scope", "mode", "expires_on", "freshness_hours")


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """One record type that may be asked for, with the fields its entry shares."""

    record_type: RecordType
    fields: tuple[Field, ...]
    sharing: str
    chosen: bool
    ticked: frozenset[str]
    masked: frozenset[str] = frozenset()
    lines: tuple[ConditionLine, ...] = ()


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What the form starts from: nothing, a subscription to change or renew, a draft, or what was just typed."""

    kind: str = "new"
    code: str = ""
    request_id: UUID | None = None
    definition: SliceDefinition = SliceDefinition(())
    texts: dict[str, str] = {}


class LicenceFormController(Controller):
    """/licences/new and /licences/…/edit."""

    path = "/licences"

    @get("/new", opt=_ASK, sync_to_thread=True)
    def begin(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        kind: FromQuery[str] = "new",
        subscription: FromQuery[str] = "",
    ) -> Response[str]:
        with database.begin(reach_of(request.user)) as connection:
            draft = _of_subscription(connection, request.user, kind, subscription)
            chosen = _chosen_types(request.query_params, draft.definition)
            return _show_form(request, connection, settings, catalogue, draft, chosen)

    @post("/new", opt=_ASK, dependencies=FORM, status_code=200, sync_to_thread=True)
    def ask(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: Form,
        kind: FromQuery[str] = "new",
        subscription: FromQuery[str] = "",
    ) -> Response[Any]:
        return _taken(request, database, settings, catalogue, form, kind, subscription, None)

    @get("/{request_id:uuid}/edit", opt=_ASK, sync_to_thread=True)
    def edit(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        request_id: FromPath[UUID],
    ) -> Response[str]:
        with database.begin(reach_of(request.user)) as connection:
            draft = _of_draft(hold_own(connection, request.user, request_id, OPEN))
            chosen = _chosen_types(request.query_params, draft.definition)
            return _show_form(request, connection, settings, catalogue, draft, chosen)

    @post("/{request_id:uuid}/edit", opt=_ASK, dependencies=FORM, status_code=200, sync_to_thread=True)
    def complete(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: Form,
        request_id: FromPath[UUID],
    ) -> Response[Any]:
        return _taken(request, database, settings, catalogue, form, "", "", request_id)


# ---- taking the form ----


def _taken(
    request: Asking,
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    form: dict[str, str],
    kind: str,
    code: str,
    request_id: UUID | None,
) -> Response[Any]:
    """Kept as a draft, or handed in; what the floor forbids is said above the form, with everything typed still there."""
    actor = request.user
    with database.begin(reach_of(actor)) as connection:
        draft = _begun(connection, actor, kind, code, request_id)
        typed = _as_typed(connection, catalogue, form, draft)
        errors = {} if typed.kind == "renew" else _wrong_conditions(request, connection, catalogue, form, typed)
        if errors or "more" in form:
            status = 200 if "more" in form else 422
            return _show_typed(request, connection, settings, catalogue, typed, status=status, errors=errors)
    try:
        with database.begin(reach_of(actor)) as connection:
            kept = _keep_draft(connection, settings, catalogue, actor, typed)
            if "later" not in form:
                kept = submit_request(connection, settings, catalogue, actor, kept.request_id, utc_now())
    except (BadRequest, NotAllowed, ClinicalBoundary, Conflict) as refused:
        with database.begin(reach_of(actor)) as connection:
            error = detail_of(refused, request.auth)
            page = _show_typed(
                request, connection, settings, catalogue, typed, status=refused.status, error=error, errors={}
            )
        page.background = note_refusal(request, refused)
        return page
    return go(request, f"/licences/{kept.request_id}?done={'drafted' if 'later' in form else kept.state}")


def _begun(connection: Connection, actor: Actor, kind: str, code: str, request_id: UUID | None) -> Draft:
    if request_id is not None:
        return _of_draft(hold_own(connection, actor, request_id, OPEN))
    return _of_subscription(connection, actor, kind, code)


def _keep_draft(
    connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, typed: Draft
) -> LicenceRequest:
    written = {**typed.texts, "definition": msgspec.to_builtins(typed.definition)}
    if typed.request_id is not None:
        return revise_request(connection, settings, catalogue, actor, typed.request_id, written, utc_now())
    return draft_request(connection, settings, catalogue, actor, typed.kind, typed.code, written, utc_now())


def _wrong_conditions(
    request: Asking, connection: Connection, catalogue: Catalogue, form: Mapping[str, str], typed: Draft
) -> Errors:
    """What is wrong with the conditions; where only another one was asked for, whether its field was chosen."""
    language, more = request.auth.language, form.get("more", "")
    if not more:
        return condition_errors(typed.definition, catalogue, load_area_index(connection), language)
    if form.get(f"{more}-field"):
        return {}
    code = more.removeprefix("only-").partition("-")[0]
    begun = next((one.conditions for one in typed.definition.record_types if one.record_type == code), ())
    return more_error(code, len(begun), language)


def _as_typed(connection: Connection, catalogue: Catalogue, form: Mapping[str, str], draft: Draft) -> Draft:
    """The form as a draft."""
    index = load_area_index(connection)
    chosen = dict.fromkeys(name.split("-")[1] for name in form if name.startswith(("chosen-", "field-")))
    types = tuple(_typed_type(form, code, catalogue, index) for code in chosen)
    areas = _typed_areas(index, form)
    texts = {name: form.get(name, "").strip() for name in _TEXTS}
    definition = draft.definition if draft.kind == "renew" else SliceDefinition(types, areas)
    return msgspec.structs.replace(draft, definition=definition, texts=texts)


def _typed_type(form: Mapping[str, str], code: str, catalogue: Catalogue, areas: AreaIndex) -> SliceType:
    fields, masked = (tuple(_ticked_of(form, kind, code)) for kind in ("field", "mask"))
    record_type = catalogue.record_types.get(code)
    conditions = typed_conditions(form, record_type, areas) if record_type is not None else ()
    return SliceType(code, fields, conditions, tuple(name for name in masked if name in fields))


def _ticked_of(form: Mapping[str, str], kind: str, code: str) -> Iterator[str]:
    start = f"{kind}-{code}-"
    return (name.removeprefix(start) for name in form if name.startswith(start))


def _typed_areas(areas: AreaIndex, form: Mapping[str, str]) -> tuple[int, ...] | None:
    """The ticked areas with all below them; none ticked: the whole district, for a town its own area."""
    ticked = [int(name[5:]) for name in form if name.startswith("area-") and name[5:].isdecimal() and len(name) < 14]
    below = {each for area in ticked for each in areas.expand(area) or (area,)}
    return tuple(sorted(below)) or None


# ---- what the form starts from ----


def _of_subscription(connection: Connection, actor: Actor, kind: str, code: str) -> Draft:
    if kind == "new" or kind not in REQUEST_KINDS:
        return Draft(code=code)
    known = find_subscription(connection, actor, code)
    texts = {name: str(getattr(known, name) or "") for name in _TEXTS}
    return Draft(kind=kind, code=code, definition=known.definition, texts=texts)


def _of_draft(one: LicenceRequest) -> Draft:
    texts = {name: str(getattr(one.wanted, name) or "") for name in _TEXTS}
    return Draft(
        kind=one.kind, code=one.subscription_code, request_id=one.request_id,
        definition=one.wanted.definition, texts=texts,
    )  # fmt: skip


def _chosen_types(query: Mapping[str, Any], definition: SliceDefinition) -> set[str]:
    """Types ticked in the first step; coming back to a draft, those it names."""
    ticked = {name[5:] for name in query if name.startswith("type-")}
    return ticked or {one.record_type for one in definition.record_types}


# ---- the page ----


def _show_typed(
    request: Asking, connection: Connection, settings: Settings, catalogue: Catalogue, typed: Draft, *,
    status: int, errors: Errors, error: str = "",
) -> Response[str]:  # fmt: skip
    """The form once more, with everything that was typed."""
    chosen = {one.record_type for one in typed.definition.record_types}
    return _show_form(request, connection, settings, catalogue, typed, chosen, error, status, errors)


def _show_form(
    request: Asking,
    connection: Connection,
    settings: Settings,
    catalogue: Catalogue,
    draft: Draft,
    chosen: set[str],
    error: str = "",
    status: int = 200,
    errors: Errors | None = None,
) -> Response[str]:
    its, areas = load_organisation(connection, request.user.organisation), load_area_index(connection)
    blank = Wanted()
    texts = dict.fromkeys(_TEXTS, "") | {"mode": blank.mode} | draft.texts
    day = today(settings, utc_now())
    latest = latest_limit(day, settings.sharing.licence_years)
    offered = _offered(connection, catalogue, its, draft.definition, chosen)
    lines = _Lines(catalogue, areas, its.area_ids(areas) or _towns(areas), request.auth.language, errors or {})
    offered = [lines.beside(one, draft.definition) for one in offered]
    page: dict[str, Any] = {
        "wrong_lines": [line for one in offered for line in one.lines if line.error], "offered": offered,
        "draft": draft, "texts": texts, "kinds": REQUEST_KINDS, "modes": MODES, "error": error, "latest": latest, "earliest": day,
        "own_area": its.kind in OWN_AREA_KINDS, **_area_choices(areas, its, draft.definition),
    }  # fmt: skip
    return show(request, "licence_form.html", status=status, **page)


def _offered(
    connection: Connection, catalogue: Catalogue, its: Organisation, definition: SliceDefinition, chosen: set[str]
) -> list[Offered]:
    """What this organisation may ask for at all; types that stay in care are shown to care alone."""
    care = its.kind == "care"
    open_types = [
        one for one in catalogue.record_types.values()
        if one.enabled and one.sharing != "none" and (care or not is_care_only(one))
    ]  # fmt: skip
    shared = load_shared(connection, catalogue, SliceDefinition(tuple(SliceType(one.code, ()) for one in open_types)))
    wanted = {one.record_type: one for one in definition.record_types}
    return [
        _offer(one, wanted.get(one.code, SliceType(one.code, ())), shared[one.code], care, one.code in chosen)
        for one in open_types
        if shared[one.code].sharing != "none" or care
    ]  # fmt: skip


def _offer(one: RecordType, wanted: SliceType, entry: EntryShared, care: bool, chosen: bool) -> Offered:
    return Offered(
        record_type=one, fields=_fields_of(one, entry, care), sharing=entry.sharing, chosen=chosen,
        ticked=frozenset(wanted.fields), masked=frozenset(wanted.masked),
    )  # fmt: skip


class _Lines(msgspec.Struct, frozen=True):
    """What the lines of conditions are written with."""

    catalogue: Catalogue
    areas: AreaIndex
    places: tuple[int, ...]
    language: Language
    errors: Errors

    def beside(self, one: Offered, definition: SliceDefinition) -> Offered:
        """A chosen type with the conditions set on it, and a line for one more."""
        its = next((each for each in definition.record_types if each.record_type == one.record_type.code), None)
        conditions = its.conditions if its is not None else ()
        lines = condition_lines(
            one.record_type, conditions, self.catalogue, self.areas, self.places, self.language, self.errors
        )
        return msgspec.structs.replace(one, lines=lines) if one.chosen else one


def _fields_of(one: RecordType, entry: EntryShared, care: bool) -> tuple[Field, ...]:
    if care and is_care_only(one):
        return one.fields
    shared = {field.name for field in one.plain_fields if entry.fields is None or field.name in entry.fields}
    return tuple(field for field in one.fields if field.name in shared or (care and field.clinical))


def _area_choices(areas: AreaIndex, its: Organisation, definition: SliceDefinition) -> dict[str, Any]:
    """A town its own area, ticked, with its villages; everybody else the towns, none ticked for the whole district."""
    own = its.area_ids(areas)
    named = frozenset(definition.areas or ())
    offered = own if own is not None else _towns_and_named(areas, named)
    if own and not named and its.area_id is not None:
        named = frozenset({its.area_id})
    choices = [Choice(str(area), areas.name_of.get(area, str(area))) for area in offered]
    return {"areas": choices, "ticked_areas": frozenset(str(area) for area in named)}


def _towns_and_named(areas: AreaIndex, named: frozenset[int]) -> tuple[int, ...]:
    """Every town, and what the definition names below one it does not name: else changing it would lose its areas."""
    towns = _towns(areas)
    within = {each for town in towns if town in named for each in areas.expand(town)}
    return (*towns, *sorted(named.difference(towns, within)))


def _towns(areas: AreaIndex) -> tuple[int, ...]:
    return tuple(area for area, kind in areas.kind.items() if kind == "town")
