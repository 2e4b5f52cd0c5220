"""What one visit found and no list has: who came, who left, what a family needs; one form, each fact with its receipt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy import Connection

from admin.desk_forms import FORM, Asking, Choice, Field, Form, detail_of, gaps, typed
from admin.error_table import ErrorLine, show_errors
from admin.language import N_, Language, titled
from admin.pages import show
from hub import audit
from hub.casework.answers_given import last_habits
from hub.casework.rounds import load_round, local_day
from hub.database import Database, new_uuid, utc_now
from hub.decisions.found import FOUND_TYPES, Reported, report_found
from hub.decisions.verdicts import day_of
from hub.errors import BadRequest, NotAllowed
from hub.exchange import listing
from hub.registry.areas import load_area_index
from hub.registry.permissions import Right
from hub.registry.scope import reach_of, scope_for
from hub.settings import Settings
from mappings.catalogue import Catalogue, RecordType

TITLES = {
    "town_arrival": N_("新增的人：出生、迁入、居住在此"),
    "town_departure": N_("减少的人：死亡、迁出、重登"),
    "service_request": N_("家庭服务需求"),
}
# In the order of the form; those marked have to be filled in where anything of the fact is.
_ASKED = {
    "town_arrival": (
        "kind*", "changed_on*", "name*", "id_no", "sex", "birth_date", "phone", "live_addr", "from_addr", "mother_name",
        "mother_id_no", "text",
    ),
    "town_departure": ("kind*", "changed_on*", "name*", "id_no*", "to_addr", "text"),
    "service_request": ("kind*", "name*", "id_no", "phone", "live_addr", "text"),
}  # fmt: skip
_OF_THE_VISIT = {
    "town_arrival": {"live_div": "live_div", "verifier": "verifier", "found_on": "found_on"},
    "town_departure": {"live_div": "live_div", "verifier": "verifier", "found_on": "found_on"},
    "service_request": {"live_div": "live_div", "requested_on": "found_on"},
}
_NOTHING = N_("请至少填写一项。")
_LATER = N_("日期应为 YYYY-MM-DD，不晚于今天。")
_BIRTH = N_("没有身份证号的，请填写出生日期。")


class Part(NamedTuple):
    """One kind of fact on the form: its fields, and what was wrong with the last one sent."""

    record_type: str
    title: str
    fields: list[Field]
    troubles: list[ErrorLine] = []  # noqa: RUF012 -- never changed


class Shelf(NamedTuple):
    """What the form is made with."""

    request: Asking
    database: Database
    settings: Settings
    catalogue: Catalogue
    month: str


class FoundController(Controller):
    """/rounds/{month}/report."""

    path = "/rounds/{month:str}/report"

    @get(opt={"right": Right.SUBMIT}, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        month: FromPath[str],
    ) -> Response[str]:
        return _show(Shelf(request, database, settings, catalogue, month), {})

    @post(opt={"right": Right.SUBMIT}, dependencies=FORM, status_code=200, sync_to_thread=True)
    def send(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: Form,
        month: FromPath[str],
    ) -> Response[str]:
        shelf = Shelf(request, database, settings, catalogue, month)
        visit, parts = _fields(shelf)
        given = typed([*visit, *(field for part in parts for field in part.fields)], form)
        filled = [part for part in parts if any(given[field.name] for field in part.fields)]
        errors = _mistakes(shelf, visit, filled, given)
        if errors:
            return _show(shelf, given | {"key": form.get("key", "")}, errors=errors)
        try:
            done = [_send(shelf, part, given, form.get("key", "")) for part in filled]
        except BadRequest as refused:
            return _show(
                shelf, given | {"key": form.get("key", "")}, errors={"live_div": detail_of(refused, request.auth)}
            )
        return _show_done(shelf, visit, parts, given, done)


def _send(shelf: Shelf, part: Part, given: dict[str, str], key: str) -> Reported:
    own = {field.name.removeprefix(f"{part.record_type}-"): given[field.name] for field in part.fields}
    row = own | {field: given[asked] for field, asked in _OF_THE_VISIT[part.record_type].items()}
    return report_found(
        shelf.database, shelf.settings, shelf.catalogue, shelf.request.user, shelf.month, part.record_type, row, key=key
    )


# ---- the form ----


def _fields(shelf: Shelf) -> tuple[list[Field], list[Part]]:
    """Those of the visit, and those of each kind of fact."""
    with shelf.database.begin(reach_of(shelf.request.user)) as connection:
        load_round(connection, shelf.month)
        villages = _villages(shelf, connection)
    language = shelf.request.auth.language
    types = [shelf.catalogue.record_types[code] for code in FOUND_TYPES]
    arrival = types[0]
    visit = [
        _field(shelf.catalogue, arrival, f"{name}{'*' if name != 'verifier' else ''}", language, "")
        for name in ("live_div", "verifier", "found_on")
    ]
    visit[0] = Field(name="live_div", title=visit[0].title, kind="choice", choices=villages)
    return visit, [_part(shelf.catalogue, one, language) for one in types]


def _villages(shelf: Shelf, connection: Connection) -> list[Choice]:
    areas = load_area_index(connection)
    own = [one for one in scope_for(shelf.request.user, areas).own_areas if areas.kind.get(one) == "village"]
    if not own:
        raise NotAllowed()
    return [Choice(areas.code_of[one], areas.name_of[one]) for one in sorted(own) if one in areas.code_of]


def _part(catalogue: Catalogue, record_type: RecordType, language: Language) -> Part:
    code = record_type.code
    fields = [_field(catalogue, record_type, asked, language, f"{code}-") for asked in _ASKED[code]]
    return Part(code, TITLES[code], fields)


def _field(catalogue: Catalogue, record_type: RecordType, asked: str, language: Language, prefix: str) -> Field:
    """A field as its record type has it; a star says that it has to be filled in."""
    its = record_type.by_name[asked.rstrip("*")]
    codes = catalogue.code_sets[its.code_set].codes if its.code_set else ()
    return Field(
        name=f"{prefix}{its.name}",
        title=titled(its.title, its.title_en, language),
        kind="choice" if codes else "date" if its.type == "date" else "text",
        choices=[Choice(one.value, titled(one.title, one.title_en, language)) for one in codes],
        longest=500 if its.name == "text" else 200,
        required=asked.endswith("*"),
    )


def _mistakes(shelf: Shelf, visit: Sequence[Field], filled: Sequence[Part], given: dict[str, str]) -> dict[str, str]:
    """By field; "" for the whole form."""
    fields = [*visit, *(field for part in filled for field in part.fields)]
    today = local_day(shelf.settings, utc_now()).isoformat()
    late = {one.name: _LATER for one in fields if one.kind == "date" and not _is_day(given[one.name], today)}
    unknown = {
        one.name: N_("请从列表中选择。")
        for one in fields
        if one.kind == "choice" and given[one.name] and given[one.name] not in {choice.value for choice in one.choices}
    }
    arrival = {part.record_type for part in filled} & {"town_arrival"}
    born = given["town_arrival-id_no"] or given["town_arrival-birth_date"]
    birth = {} if born or not arrival else {"town_arrival-birth_date": _BIRTH}
    return late | unknown | birth | gaps(fields, given) | ({} if filled else {"": _NOTHING})


def _is_day(given: str, today: str) -> bool:
    return not given or (day_of(given) is not None and given <= today)


# ---- what is shown ----


def _show_done(
    shelf: Shelf, visit: Sequence[Field], parts: Sequence[Part], given: dict[str, str], done: Sequence[Reported]
) -> Response[str]:
    """What was taken leaves the form; what was not stays in it, with the reasons beside it."""
    stayed = [one for one in done if one.outcome in ("refused", "held")]
    kept = {f"{one.record_type}-" for one in stayed if one.outcome == "refused"}
    left = {name: value for name, value in given.items() if name.startswith(tuple(kept))} if kept else {}
    again = {field.name: given[field.name] for field in visit} | left
    return _show(shelf, again, done=done, troubles={one.record_type: _troubles(shelf, one) for one in stayed})


def _troubles(shelf: Shelf, one: Reported) -> list[ErrorLine]:
    actor = shelf.request.user
    with shelf.database.begin(reach_of(actor)) as connection:
        rows = listing.list_row_errors(connection, one.submission_id, listing.WantedErrors())
        if rows:
            audit.record(connection, actor, Right.READ_SUBMISSION, f"submission/{one.submission_id}", rows=len(rows))
    record_type = shelf.catalogue.record_types[one.record_type]
    return show_errors(rows, shelf.catalogue, record_type, shelf.request.auth.language, own=True)


def _show(
    shelf: Shelf,
    given: dict[str, str],
    *,
    errors: dict[str, str] | None = None,
    done: Sequence[Reported] = (),
    troubles: dict[str, list[ErrorLine]] | None = None,
) -> Response[str]:
    visit, parts = _fields(shelf)
    empty = {field.name: "" for field in (*visit, *(field for part in parts for field in part.fields))}
    with shelf.database.begin(reach_of(shelf.request.user)) as connection:
        verifier, _ = last_habits(connection, shelf.request.user)
    habits = {"verifier": verifier, "found_on": local_day(shelf.settings, utc_now()).isoformat()}
    answer = show(
        shelf.request,
        "report_found.html",
        status=422 if errors or any(one.outcome == "refused" for one in done) else 200,
        month=shelf.month,
        visit_fields=visit,
        parts=[part._replace(troubles=(troubles or {}).get(part.record_type, [])) for part in parts],
        given=empty | (habits if not given else {}) | {k: v for k, v in given.items() if k in empty},
        key=given.get("key") or str(new_uuid()),
        errors=errors or {},
        done=done,
        titles={field.name: field.title for field in visit} | {f.name: f.title for part in parts for f in part.fields},
        record_types=shelf.catalogue.record_types,
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer
