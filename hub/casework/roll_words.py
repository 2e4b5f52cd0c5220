"""A line of a roll's list as people read it: codes in words, areas by name, numbers masked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hub.casework.roll_findings import ERRORS, FIELDS, LEFT_AS, REGISTERED, Kind
from hub.casework.roll_items import RollItem
from hub.casework.rolls import ROLL
from hub.registry.areas import AreaIndex
from hub.registry.masking import mask_field, mask_within
from mappings.catalogue import Catalogue, Field

ALWAYS = ("name", "id_no", "live_div", "live_addr")  # of a line that is about the whole person


class ShownField(msgspec.Struct, frozen=True, kw_only=True):
    """One field on all three sides."""

    name: str
    title: str
    title_en: str
    roll: str
    register: str
    last: str
    differs: bool


class WrongCell(msgspec.Struct, frozen=True, kw_only=True):
    """Why a row cannot be read. ``code``: of a row error, or not_ours."""

    code: str
    field: str
    title: str
    title_en: str
    fix: str
    fix_en: str


class ShownItem(msgspec.Struct, frozen=True, kw_only=True):
    """One line, masked."""

    item_no: int
    kind: Kind
    village: str
    name: str
    number: str
    sheet_row: int | None
    registered: str  # elsewhere gone nobody; of who is missing here
    fields: list[ShownField]
    errors: list[WrongCell]
    state: str
    decision: str
    left_as: str
    reason: str
    submission_id: str | None


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """What words are looked up in."""

    catalogue: Catalogue
    areas: AreaIndex
    english: bool = False


def shown(item: RollItem, reader: Reader) -> ShownItem:
    """What a page, an answer or a file may say of a line."""
    known = reader.catalogue.record_types[ROLL].by_name
    differing = set(item.told.get(FIELDS, ()))
    wanted = [name for name in known if name in item.told and (name in differing or (not differing and name in ALWAYS))]
    name, number = (_first(item.told.get(part, ())) for part in ("name", "id_no"))
    return ShownItem(
        item_no=item.item_no, kind=item.kind, village=reader.areas.name_of.get(item.village or 0, ""),
        name=mask_field(name, known["name"], "town"), number=mask_field(number, known["id_no"], "town"),
        sheet_row=item.sheet_row, registered=str(_first(item.told.get(REGISTERED, ()))),
        fields=[_field(known[one], item.told[one], one in differing, reader) for one in wanted],
        errors=[_wrong(one, reader) for one in item.told.get(ERRORS, ())],
        state=item.state, decision=item.decision, left_as=str(_first(item.told.get(LEFT_AS, ()))),
        reason=mask_within(item.reason), submission_id=str(item.submission_id) if item.submission_id else None,
    )  # fmt: skip


def _first(values: Sequence[Any]) -> Any:
    return next((value for value in values if value), "")


def _field(field: Field, three: Sequence[str], differs: bool, reader: Reader) -> ShownField:
    roll, register, last = (_in_words(field, value, reader) for value in three)
    return ShownField(
        name=field.name,
        title=field.title,
        title_en=field.title_en,
        roll=roll,
        register=register,
        last=last,
        differs=differs,
    )


def _in_words(field: Field, value: str, reader: Reader) -> str:
    if not value:
        return ""
    if field.code_set:
        codes = reader.catalogue.code_sets[field.code_set].codes
        code = next((one for one in codes if one.value == value), None)
        return value if code is None else ((reader.english and code.title_en) or code.title)
    if field.type in ("area", "division"):
        area = reader.areas.codes.get(value)
        return reader.areas.name_of.get(reader.areas.current(area), value) if area is not None else value
    return mask_field(value, field, "town")


def _wrong(told: Sequence[Any], reader: Reader) -> WrongCell:
    code, field, _, params = told
    kind = reader.catalogue.row_errors.get(code)
    title: Mapping[str, Any] = json.loads(params or "{}")
    named = str(title.get("field", field))
    if kind is None:
        return WrongCell(
            code=code, field=named, title="不是本镇街的村居", title_en="Not a village of this town",
            fix="请从名册中移去，由所在镇街上报。", fix_en="Take it off the roll: the other town reports it.",
        )  # fmt: skip
    return WrongCell(
        code=code,
        field=named,
        title=kind.title,
        title_en=kind.title_en,
        fix=_plain(kind.fix),
        fix_en=_plain(kind.fix_en),
    )


def _plain(sentence: str) -> str:
    """What to do, where it names no fact of the row."""
    return "" if "{" in sentence else sentence
