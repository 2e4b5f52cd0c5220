"""What columns each organisation's files have, read only; and a file tried against a changed mapping, kept nowhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from sqlalchemy import Connection

from admin.access_words import KINDS
from admin.catalogue_words import SENSITIVITIES
from admin.desk_forms import Asking
from admin.language import N_, Language, titled, translator
from admin.lists.answering import Door, Fetched, Source, answer_list
from admin.lists.asked import Asked, asked_of
from admin.lists.registry import (
    MAPPING_COLUMNS,
    MAPPINGS,
    MappedColumn,
    columns_mapped,
    mappings_in_order,
    source_options,
)
from admin.mapping_words import FIELD_TYPES, ROW_FIELDS, errors_of
from admin.pages import show
from admin.refused_words import told_of
from admin.trial_form import TrialForm, trial_form
from admin.words import LEVELS
from hub import audit
from hub.database import Database
from hub.errors import BadRequest, Conflict, NotFound
from hub.exchange.mapping_trial import LARGEST_BYTES, LONGEST_SECONDS, MOST_DIFFERENCES, Tried, try_mapping
from hub.registry.areas import load_area_index
from hub.registry.organisations import find_organisation
from hub.registry.permissions import Actor, Right
from hub.registry.scope import is_care_only
from hub.settings import Settings
from mappings.catalogue import Catalogue, CodeSet, Field, Mapping, RecordType, RowErrorKind
from mappings.loader import ROOT, read_findings
from mappings.trial import LONGEST_BYTES, read_trial

_READ = {"right": Right.READ_REGISTRY}
_TRY = {"right": Right.TRY_MAPPING}
_ONE = "/{organisation:str}/{record_type:str}"
_NO_FILE = N_("请选择要试跑的数据文件。")
_SAME = N_("映射没有改动：前后两次读法相同。")


class ColumnShown(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a department's file: its headers, the field it fills, what can be wrong in it."""

    header: str
    group: str
    synonyms: tuple[str, ...]
    name: str
    field: Field | None
    in_the_key: bool
    errors: list[RowErrorKind]


class MappingController(Controller):
    """/mappings."""

    path = "/mappings"

    @get("/", opt=_READ, sync_to_thread=True)
    def read_all(self, door: NamedDependency[Door]) -> Response[Any]:
        asked = asked_of(MAPPINGS, door.query)
        source = Source(
            rows=lambda connection, after, size: Fetched(rows=_chosen(door.catalogue, asked)),
            options=lambda connection, words: source_options(door.catalogue, words),
        )
        return answer_list(door, asked, source, "mappings.html", version=door.catalogue.version)

    @get("/columns", opt=_READ, sync_to_thread=True)
    def read_columns(self, door: NamedDependency[Door]) -> Response[Any]:
        asked = asked_of(MAPPING_COLUMNS, door.query)
        found = columns_mapped(door.catalogue, _chosen(door.catalogue, asked), asked["text"])
        source = Source(
            rows=lambda connection, after, size: _part_of(found, after, size),
            options=lambda connection, words: source_options(door.catalogue, words),
        )
        return answer_list(door, asked, source, "mapping_columns.html", many=len(found))

    @get(_ONE, opt=_READ, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        organisation: FromPath[str],
        record_type: FromPath[str],
    ) -> Response[str]:
        its = _mapping(catalogue, organisation, record_type)
        with database.begin() as connection:
            source = _source_of(connection, its, request.auth.language)
        tries = _may_try(request.user, catalogue, its)
        return show(request, "mapping.html", **_described(catalogue, its), source=source, tries=tries)

    @get(f"{_ONE}/try", opt=_TRY, sync_to_thread=True)
    def trial(
        self,
        request: Asking,
        catalogue: NamedDependency[Catalogue],
        organisation: FromPath[str],
        record_type: FromPath[str],
    ) -> Response[str]:
        its = _mapping(catalogue, organisation, record_type)
        return _show_trial(request, catalogue, its, _text_of(its))

    @post(
        f"{_ONE}/try",
        opt=_TRY,
        dependencies={"form": Provide(trial_form)},
        request_max_body_size=LARGEST_BYTES + 3 * LONGEST_BYTES,
        status_code=200,
        sync_to_thread=True,
    )
    def run_trial(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: NamedDependency[TrialForm],
        organisation: FromPath[str],
        record_type: FromPath[str],
    ) -> Response[str]:
        its = _mapping(catalogue, organisation, record_type)
        trial = read_trial(form.mapping, organisation, record_type, read_findings(ROOT)[0])
        if trial.mapping is None:
            _note(database, request.user, its, form, "refused", problems=len(trial.problems))
            return _show_trial(request, catalogue, its, form.mapping, problems=trial.problems, status=422)
        if not form.size:
            return _show_trial(request, catalogue, its, form.mapping, error=_NO_FILE, status=422)
        try:
            tried = _try(database, settings, catalogue, request.user, form, its, trial.mapping)
        except (BadRequest, Conflict) as refused:
            return _show_trial(
                request, catalogue, its, form.mapping, error=told_of(refused, request.auth), status=refused.status
            )
        notice = _SAME if trial.mapping == its else ""
        return _show_trial(request, catalogue, its, form.mapping, tried=tried, notice=notice)


def _chosen(catalogue: Catalogue, asked: Asked) -> list[Mapping]:
    return [
        one
        for one in mappings_in_order(catalogue)
        if asked["organisation"] in ("", one.organisation) and asked["record_type"] in ("", one.record_type)
    ]


def _part_of(found: Sequence[MappedColumn], after: str, size: int) -> Fetched:
    """The catalogue does not change while the hub runs: a place in it is a number."""
    if after and not (after.isascii() and after.isdigit() and len(after) < 7):
        raise BadRequest("after")
    start = int(after or 0)
    return Fetched(rows=found[start : start + size], more=str(start + size) if start + size < len(found) else "")


def _try(
    database: Database,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    form: TrialForm,
    its: Mapping,
    changed: Mapping,
) -> Tried:
    """The areas are read first and the line is written last: no transaction is open while the file is read."""
    with database.begin() as connection:
        areas = load_area_index(connection)
    tried = try_mapping(settings, catalogue, areas, actor, form.path, its, changed)
    _note(
        database, actor, its, form, "done", rows=tried.after.received, differing=tried.differing,
        refused_before=tried.before.refused, refused_after=tried.after.refused,
    )  # fmt: skip
    return tried


def _note(database: Database, actor: Actor, its: Mapping, form: TrialForm, outcome: Any, **facts: object) -> None:
    about = f"mapping/{its.organisation}/{its.record_type}"
    with database.begin() as connection:
        audit.record(
            connection, actor, Right.TRY_MAPPING, about, outcome, size=form.size, file_sha256=form.sha256,
            mapping_sha256=hashlib.sha256(form.mapping.encode()).hexdigest(), **facts,
        )  # fmt: skip


def _mapping(catalogue: Catalogue, organisation: str, record_type: str) -> Mapping:
    found = catalogue.mappings.get((organisation, record_type))
    if found is None:
        raise NotFound("没有这个映射。 There is no such mapping.")
    return found


def _source_of(connection: Connection, its: Mapping, language: Language) -> str:
    """Whose files these are: an organisation's, or those of a whole kind."""
    one = find_organisation(connection, its.organisation)
    if one is not None:
        return titled(one.name, one.name_en, language)
    return translator(language)(KINDS[its.organisation]) if its.organisation in KINDS else its.organisation


def _text_of(its: Mapping) -> str:
    """As it lies among the hub's own files; its place was read from there, never from a request."""
    return (ROOT / its.file).read_text("utf-8")


def _may_try(actor: Actor, catalogue: Catalogue, its: Mapping) -> bool:
    return actor.may(Right.TRY_MAPPING) and not is_care_only(catalogue.record_types[its.record_type])


def _described(catalogue: Catalogue, its: Mapping) -> dict[str, Any]:
    record_type = catalogue.record_types[its.record_type]
    columns = [_column(catalogue, record_type, rule) for rule in its.columns]
    named = dict.fromkeys(column.field.code_set for column in columns if column.field and column.field.code_set)
    sets: list[CodeSet] = [catalogue.code_sets[name] for name in named]
    return {
        "its": its,
        "record_type": record_type,
        "columns": columns,
        "sets": sets,
        "codes_of": catalogue.code_sets,
        "digest": hashlib.sha256(_text_of(its).encode()).hexdigest(),
        "version": catalogue.version,
        "types": FIELD_TYPES,
        "row_fields": ROW_FIELDS,
        "sensitivities": SENSITIVITIES,
        "constants": [(record_type.by_name[name], value) for name, value in its.constants.items()],
    }


def _column(catalogue: Catalogue, record_type: RecordType, rule: Any) -> ColumnShown:
    field = record_type.by_name.get(rule.field)
    in_the_key = rule.field in record_type.natural_key
    return ColumnShown(
        header=rule.header,
        group=rule.group,
        synonyms=rule.synonyms,
        name=rule.field,
        field=field,
        in_the_key=in_the_key,
        errors=errors_of(catalogue, field, in_the_key),
    )


def _show_trial(request: Asking, catalogue: Catalogue, its: Mapping, text: str, **shown: Any) -> Response[str]:
    """The form with the text as it was typed, and what came of it."""
    status = shown.pop("status", 200)
    page: dict[str, Any] = {"problems": [], "error": "", "tried": None, "notice": ""} | shown
    record_type = catalogue.record_types[its.record_type]
    return show(
        request,
        "mapping_trial.html",
        status=status,
        its=its,
        record_type=record_type,
        text=text,
        closed=is_care_only(record_type),
        kinds=catalogue.row_errors,
        levels=LEVELS,
        titles={field.name: field for field in record_type.fields},
        largest=LARGEST_BYTES,
        seconds=LONGEST_SECONDS,
        most=MOST_DIFFERENCES,
        **page,
    )
