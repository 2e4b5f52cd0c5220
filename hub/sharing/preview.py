"""What a slice would give before anybody agrees to it: how many, of whom, which fields, and what would be new.

Whoever provides a record type is told exact counts of it and shown five of its own records; the bureau is shown five,
veiled further. Everybody else, who asks above all, is told counts in two figures, none below the smallest shown
(not even that there are none), and none at all where a condition looks at names, numbers or places: else a preview
would say of one person whether there is such a record. Each count is off by up to one step, always the same for the
same conditions and areas: two previews that differ by one person do not tell of them by their difference.

Records that are clinical by existing are not counted for anybody outside care.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from hashlib import blake2b
from typing import Any, Literal, cast

import msgspec
from sqlalchemy import Connection

from hub import audit
from hub.database import run_sql, set_reach
from hub.errors import NotAllowed
from hub.exchange.small_cells import SMALLEST_SHOWN
from hub.people.seeing import close
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.hunting_together import other_slices, refuse_hunting_together
from hub.registry.masking import View, kind_of, mask_field
from hub.registry.organisations import load_organisation
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import counting, is_care_only, open_slice
from hub.registry.slice_definition import SliceDefinition, SliceType, check_definition, definition_digest
from hub.sharing.preview_sql import Asked, count_statement, sample_statement
from hub.sharing.routing import load_shared
from mappings.catalogue import Catalogue, Field, RecordType

SAMPLE = 5
MINOR_BELOW = 14  # years: 个人信息保护法 art. 31, what is known of them is sensitive
_ROUNDED_TO = 10
_ROOM = "SET LOCAL work_mem = '64MB'"  # everybody of a district is told apart once
_TELLING = frozenset({"identifier", "phone", "address", "name", "other"})  # kinds of field that single somebody out
_CLOSED = frozenset({"code", "boolean", "integer", "decimal"})

WarningCode = Literal["sensitive", "whole", "unconditioned", "minors", "clinical", "uncounted"]
Standing = Literal["provider", "bureau", "other"]


class FieldShown(msgspec.Struct, frozen=True, kw_only=True):
    """One field that would be given; ``is_new``: no subscription gives it yet, or only under a mask."""

    name: str
    title: str
    title_en: str
    sensitivity: str
    masked: bool
    is_new: bool


class PreviewWarning(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever approves should look at twice."""

    code: WarningCode
    says: str
    says_en: str


class SampleRow(msgspec.Struct, frozen=True, kw_only=True):
    """One record as the receiver would get it, veiled for the viewer; ``cells`` in the order of the fields."""

    record_id: str
    cells: tuple[str, ...]


class TypePreview(msgspec.Struct, frozen=True, kw_only=True):
    """One record type of the slice. A count is written as it may be told, "" where none is told."""

    record_type: str
    title: str
    title_en: str
    is_new: bool  # no subscription of the organisation has it yet
    fields: tuple[FieldShown, ...]
    records: str = ""
    persons: str = ""
    new_records: str = ""  # that no subscription of the organisation covers yet
    new_persons: str = ""  # none of whose records of this type is covered yet
    sample: tuple[SampleRow, ...] = ()
    warnings: tuple[PreviewWarning, ...] = ()


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What the slice would give now, and what of it the organisation does not get yet."""

    digest: str  # of the definition it is a preview of
    organisation: str
    covered_by: tuple[str, ...]  # subscriptions it is held against
    types: tuple[TypePreview, ...]
    warnings: tuple[PreviewWarning, ...]


def preview(
    connection: Connection,
    catalogue: Catalogue,
    definition: SliceDefinition,
    organisation: str,
    viewer: Actor,
    *,
    replacing: str = "",
    today: date | None = None,
) -> Preview:
    """What this organisation would get; ``replacing`` names its subscription that the definition would change.

    BadRequest, ClinicalBoundary or NotAllowed as on the day of subscribing: of what nobody may have there is no preview.
    """
    require(viewer, Right.READ_SHARING, Right.ASK_SLICE, Right.ANSWER_SLICE, Right.OVERSEE_SHARING, Right.OPERATE)
    its = load_organisation(connection, organisation)
    check_definition(definition, catalogue, its.kind, its.area_ids(load_area_index(connection)))
    refuse_hunting_together(connection, organisation, definition, replacing)
    beside = other_slices(connection, organisation)
    shared = load_shared(connection, catalogue, definition)
    asked = Asked(definition=definition, beside=tuple(beside.values()), born_after=_years_before(today or date.today()))
    standing = {code: _standing(viewer, one.providers) for code, one in shared.items()}
    if viewer.organisation != organisation and not {*standing.values()} - {"other"}:
        raise NotAllowed("只能预览本单位的申请，或由本单位答复的申请。 Previews are for who asks and who answers.")
    types = tuple(
        _type_preview(connection, catalogue, asked, one, viewer, standing[one.record_type])
        for one in definition.record_types
    )
    found = Preview(
        digest=definition_digest(definition), organisation=organisation, covered_by=tuple(sorted(beside)), types=types,
        warnings=tuple(_whole_warnings(definition)),
    )  # fmt: skip
    _note_preview(connection, viewer, found)
    return found


def _note_preview(connection: Connection, viewer: Actor, found: Preview) -> None:
    sampled = [row.record_id for one in found.types for row in one.sample]
    audit.record(
        connection, viewer, _right_of(viewer), f"preview/{found.organisation}", digest=found.digest,
        record_types=[one.record_type for one in found.types], sampled=sampled,
    )  # fmt: skip


def _right_of(viewer: Actor) -> Right:
    rights = (Right.OPERATE, Right.OVERSEE_SHARING, Right.ANSWER_SLICE, Right.ASK_SLICE)
    return next((one for one in rights if viewer.may(one)), Right.READ_SHARING)


def _standing(viewer: Actor, providers: tuple[str, ...]) -> Standing:
    if viewer.may(Right.OVERSEE_SHARING) or viewer.may(Right.OPERATE):
        return "bureau"
    return "provider" if viewer.may(Right.ANSWER_SLICE) and viewer.organisation in providers else "other"


def _years_before(today: date) -> date:
    year = today.year - MINOR_BELOW
    return today.replace(year=year, day=28) if (today.month, today.day) == (2, 29) else today.replace(year=year)


# ---- one record type ----


def _type_preview(
    connection: Connection, catalogue: Catalogue, asked: Asked, one: SliceType, viewer: Actor, standing: Standing
) -> TypePreview:
    record_type = catalogue.record_types[one.record_type]
    fields = _fields_shown(asked, one, record_type)
    shown = TypePreview(
        record_type=record_type.code, title=record_type.title, title_en=record_type.title_en, fields=fields,
        is_new=record_type.code not in {each.record_type for slices in asked.beside for each in slices.record_types},
    )  # fmt: skip
    warnings = list(_type_warnings(one, record_type))
    counted: Mapping[str, str] = {}
    if _is_counted(viewer, one, record_type, standing):
        counts = _counts(connection, asked, one, record_type, viewer)
        off = _off_by(connection, one, asked.definition.areas)
        counted = {name: _written(count, standing, off) for name, count in counts.items() if name != "minors"}
        warnings += _minors_warnings(record_type, counts["minors"], standing, off)
    else:
        warnings.append(_UNCOUNTED)
    sample = _sample(connection, asked, one, record_type, viewer, standing)
    return msgspec.structs.replace(shown, **counted, sample=sample, warnings=tuple(warnings))


def _fields_shown(asked: Asked, one: SliceType, record_type: RecordType) -> tuple[FieldShown, ...]:
    given, clear = set[str](), set[str]()
    for each in (each for slices in asked.beside for each in slices.record_types):
        if each.record_type == one.record_type:
            given |= {*each.fields}
            clear |= {*each.fields} - {*each.masked}
    return tuple(
        FieldShown(
            name=name, title=field.title, title_en=field.title_en, sensitivity=field.sensitivity,
            masked=name in one.masked, is_new=name not in (given if name in one.masked else clear),
        )
        for name, field in ((name, record_type.by_name[name]) for name in one.fields)
    )  # fmt: skip


# ---- counts ----


def _is_counted(viewer: Actor, one: SliceType, record_type: RecordType, standing: Standing) -> bool:
    if is_care_only(record_type) and viewer.kind != "care":
        return False
    telling = any(_tells_of_one(record_type.by_name[each.field]) for each in one.conditions)
    return standing != "other" or not telling


def _tells_of_one(field: Field) -> bool:
    return kind_of(field) in _TELLING and field.type not in _CLOSED


def _counts(
    connection: Connection, asked: Asked, one: SliceType, record_type: RecordType, viewer: Actor
) -> dict[str, int]:
    statement, values = count_statement(asked, one, record_type)
    run_sql(connection, _ROOM)
    with counting(connection, viewer, [record_type.code]):
        set_reach(connection, {"care": "on" if viewer.kind == "care" else ""})
        ((records, new_records, persons, new_persons, minors),) = run_sql(connection, statement, **values)
    set_reach(connection, {"care": ""})
    found = {
        "records": records, "new_records": new_records, "persons": persons, "new_persons": new_persons, "minors": minors,
    }  # fmt: skip
    return {name: int(cast(int, count)) for name, count in found.items()}


def _off_by(connection: Connection, one: SliceType, areas: tuple[int, ...] | None) -> float:
    """Between -1 and 1, by what picks the records and the hub's key: nobody outside can work it out or draw it anew."""
    asked = sorted([each.field, each.op, *sorted(each.values)] for each in one.conditions)
    picked = msgspec.json.encode([one.record_type, asked, None if areas is None else sorted(areas)])
    key: bytes = connection.get_execution_options().get("audit_key") or b""
    drawn = blake2b(picked, key=key[:64], person=b"preview", digest_size=6).digest()
    return int.from_bytes(drawn) / 2**47 - 1


def _written(count: int, standing: Standing, off: float) -> str:
    if standing == "provider":
        return f"{count:,}"
    step = max(_ROUNDED_TO, 10 ** (len(str(count)) - 2))
    told = round((count + off * step) / step) * step
    return f"≈{told:,}" if told >= step else f"<{SMALLEST_SHOWN}"


# ---- five records ----


def _sample(
    connection: Connection, asked: Asked, one: SliceType, record_type: RecordType, viewer: Actor, standing: Standing
) -> tuple[SampleRow, ...]:
    """As the receiver would get them, and then as the viewer may read them. Whoever asks is shown none."""
    if standing == "other" or (is_care_only(record_type) and (standing, viewer.kind) != ("provider", "care")):
        return ()
    fields = [record_type.by_name[name] for name in one.fields]
    own = viewer.organisation if standing == "provider" else ""
    statement, values = sample_statement(asked, one, record_type, own, SAMPLE)
    if standing == "bureau":
        open_slice(connection, asked.definition, "department")  # never as care
    rows = run_sql(connection, statement, **values)
    if standing == "bureau":
        close(connection, viewer)
    view: View = "own" if standing == "provider" else "oversight"
    areas = load_area_index(connection)
    return tuple(
        SampleRow(record_id=str(record_id), cells=tuple(_read(field, payload, view, areas) for field in fields))
        for record_id, payload in rows
    )


def _read(field: Field, payload: object, view: View, areas: AreaIndex) -> str:
    if field.clinical:
        return ""
    shown = mask_field(cast(dict[str, Any], payload).get(field.name), field, view)
    return areas.full_name(shown) if field.type == "area" else shown


# ---- what to look at twice ----

_UNCOUNTED = PreviewWarning(
    code="uncounted",
    says="此类信息或按此条件不提供数量：数量本身会说出某人是否在内。",
    says_en="No counts for this: the count itself would say whether somebody is in it.",
)


def _whole_warnings(definition: SliceDefinition) -> Iterator[PreviewWarning]:
    if definition.areas is None:
        yield PreviewWarning(code="whole", says="范围是全区。", says_en="The whole district.")


def _type_warnings(one: SliceType, record_type: RecordType) -> Iterator[PreviewWarning]:
    fields = [record_type.by_name[name] for name in one.fields]
    open_ones = [each for each in fields if each.sensitivity == "sensitive" and each.name not in one.masked]
    if open_ones:
        yield PreviewWarning(
            code="sensitive",
            says=f"敏感字段未遮蔽：{'、'.join(each.title for each in open_ones)}。",
            says_en=f"Sensitive fields without a mask: {', '.join(each.title_en or each.name for each in open_ones)}.",
        )
    if not one.conditions:
        yield PreviewWarning(
            code="unconditioned",
            says="没有行条件：范围内的全部记录。",
            says_en="No row condition: every record in the area.",
        )
    if any(each.clinical for each in fields) or is_care_only(record_type):
        yield PreviewWarning(
            code="clinical",
            says="含医疗信息：只供医疗照护单位，离开照护单位的通道一律拒绝。",
            says_en="Clinical: for care alone, refused to everybody else.",
        )


def _minors_warnings(record_type: RecordType, minors: int, standing: Standing, off: float) -> Iterator[PreviewWarning]:
    about_children = any(role.role == "child" for role in record_type.people)
    some = minors > 0 if standing == "provider" else _written(minors, standing, off).startswith("≈")
    if about_children or some:
        yield PreviewWarning(
            code="minors",
            says=f"含不满 {MINOR_BELOW} 周岁的未成年人：按敏感个人信息对待。",
            says_en=f"Children below {MINOR_BELOW} are among them: all of it is sensitive.",
        )
