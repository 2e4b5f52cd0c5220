"""Files handed to a sender: the template to fill in, the workbook that came back marked, the list of its errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import Database, new_uuid
from hub.errors import BadRequest, NotFound
from hub.exchange.workbooks.error_list import write_error_list
from hub.exchange.workbooks.returned import find_returned, write_returned
from hub.exchange.workbooks.template import make_template
from hub.exchange.workbooks.template_columns import Variant
from hub.registry.areas import load_area_index
from hub.registry.organisations import load_organisation
from hub.registry.permissions import Actor
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_MONTH = re.compile(r"^[0-9]{4}-(0[1-9]|1[0-2])\Z")


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """A file on disk and the name to save it under; whoever takes it removes it."""

    path: Path
    file_name: str


def own_template(
    connection: Connection, catalogue: Catalogue, actor: Actor, record_type: str, month: str | None, variant: Variant
) -> tuple[str, bytes]:
    """A name and the .xlsx of the actor's own organisation; NotFound for a type it does not send."""
    if month is not None and not _MONTH.match(month):
        raise BadRequest(f"month: {month!r}; YYYY-MM")
    known = catalogue.record_types.get(record_type)
    if known is None or not known.enabled or not {actor.organisation, actor.kind} & {*known.sources}:
        raise NotFound(record_type)
    unit = load_organisation(connection, actor.organisation)
    content = make_template(
        catalogue, unit.code, unit.name, unit.kind, record_type,
        month=month, variant=variant, areas=load_area_index(connection), own_area=unit.area_id,
    )  # fmt: skip
    return f"{known.title}{f'_{month}' if month else ''}.xlsx", content


def returned_workbook(
    database: Database, settings: Settings, catalogue: Catalogue, actor: Actor, submission_id: UUID, language: str
) -> Handed:
    """The sender's own workbook with the errors in it; that it was taken is noted."""

    def write(connection: Connection, target: Path) -> str:
        find_returned(connection, actor, submission_id)
        return write_returned(connection, settings, catalogue, submission_id, target, language).file_name

    return _handed(database, settings, actor, write)


def error_list(
    database: Database, settings: Settings, catalogue: Catalogue, actor: Actor, submission_id: UUID, language: str
) -> Handed:
    """Every row error as CSV, for the sender; that it was taken is noted."""

    def write(connection: Connection, target: Path) -> str:
        row = find_returned(connection, actor, submission_id, "error-list")
        with target.open("x", encoding="utf-8", newline="") as stream:
            write_error_list(connection, catalogue, submission_id, stream, language)
        return f"{row.receipt_number}.errors.csv"

    return _handed(database, settings, actor, write)


def _handed(database: Database, settings: Settings, actor: Actor, write: Callable[[Connection, Path], str]) -> Handed:
    folder = settings.files / "tmp"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / f"handed-{new_uuid()}"
    try:
        with database.begin(reach_of(actor)) as connection:
            name = write(connection, target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return Handed(path=target, file_name=name)
