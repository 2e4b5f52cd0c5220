"""What a request for a slice must say, what is still missing from it, and who has to answer it.

政务数据共享条例, art. 20: a request names its legal basis, the scene of use, scope, mode and time limit; art. 21: what is
missing is said once, in one list, and an incomplete request is never refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import msgspec

from hub.errors import BadRequest, ClinicalBoundary, NotAllowed
from hub.exchange.receipt_number import new_receipt_number, read_receipt_number
from hub.registry.areas import AreaIndex
from hub.registry.organisations import Organisation
from hub.registry.scope import is_care_only
from hub.registry.slice_definition import (
    OWN_AREA_KINDS,
    SliceDefinition,
    refuse_clinical,
    refuse_closed_types,
    refuse_foreign_areas,
    refuse_hunting,
    refuse_malformed,
)
from hub.registry.subscriptions import Terms
from hub.sharing.routing import EntryShared
from mappings.catalogue import Catalogue

MODES = ("interface", "exchange", "download")
LONGEST_TEXT = 500
FIELDS = {
    "title": "订阅名称 (title)",
    "purpose": "使用场景 (purpose)",
    "legal_basis": "使用依据 (legal_basis)",
    "scope": "使用范围 (scope)",
    "mode": "共享方式 (mode)",
    "expires_on": "使用时限 (expires_on)",
}
_NOTHING = SliceDefinition(())
_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{2,59}")
_UNSET = "未填写 (not given)"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A slice and the terms on which it is asked for. What is not given yet is empty: nothing is refused for it."""

    definition: SliceDefinition = _NOTHING
    title: str = ""
    purpose: str = ""  # 使用场景
    legal_basis: str = ""  # 使用依据
    scope: str = ""  # 使用范围
    mode: str = "interface"  # one of MODES
    expires_on: date | None = None  # last day it may be pulled
    freshness_hours: int | None = None
    catalogue_nos: tuple[str, ...] = ()  # of the entries it names, as they stood when it was handed in

    def terms(self, request_id: Any) -> Terms:
        """The same as the terms of a subscription."""
        return msgspec.convert(
            {
                "purpose": self.purpose,
                "legal_basis": self.legal_basis,
                "catalogue_no": "、".join(self.catalogue_nos),
                "expires_on": self.expires_on,
                "scope": self.scope,
                "mode": self.mode,
                "request_id": request_id,
            },
            Terms,
        )


def new_request_number(day: date) -> str:
    """``SQ20261123-7K3M9QX2T4``: a number of that day in the manner of a receipt's."""
    return f"SQ{new_receipt_number(day)[2:]}"


def read_request_number(typed: str) -> str | None:
    """The number as it is kept, from what somebody typed; None if it cannot be one."""
    compact = re.sub(r"\s", "", typed).upper()
    found = read_receipt_number(f"HR{compact[2:]}") if compact.startswith("SQ") else None
    return f"SQ{found[2:]}" if found else None


# ---- reading what somebody wrote ----


def read_wanted(written: Mapping[str, Any]) -> tuple[Wanted, list[str]]:
    """What was asked for as far as it can be read, and one line for every part that cannot."""
    known = {name for name in Wanted.__struct_fields__ if name != "catalogue_nos"}
    kept: dict[str, Any] = {}
    problems = [f"{one_line(name)[:40]}: 没有这一项 (no such field)" for name in sorted(written) if name not in known]
    for name in sorted(known & written.keys()):
        value, problem = _read_part(name, written[name])
        if problem:
            problems.append(problem)
        else:
            kept[name] = value
    return Wanted(**kept), problems


_READ_AS: dict[str, tuple[Any, str]] = {
    "definition": (SliceDefinition, "切片定义的格式不对 (the definition is malformed)"),
    "expires_on": (date | None, "日期应为 YYYY-MM-DD (a date is YYYY-MM-DD)"),
    "freshness_hours": (int | None, "应为小时数 (a number of hours)"),
}


_CONTROL = re.compile(r"[\x00-\x1f\x7f\ufffe\uffff\ud800-\udfff]")


def one_line(text: str) -> str:
    """A text as it is kept: in one line, without what cannot be printed or turns the reading about."""
    return "".join(each for each in " ".join(text.split()) if each.isprintable())


def _read_part(name: str, value: Any) -> tuple[Any, str]:
    kind, problem = _READ_AS.get(name, (str, f"应为文字，不超过 {LONGEST_TEXT} 字 (a text of at most {LONGEST_TEXT})"))
    if name in ("expires_on", "freshness_hours") and value == "":
        value = None
    try:
        read = msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, ValueError, OverflowError):
        return None, f"{name}: {problem}"
    if kind is str:
        read = one_line(read)
        return (read, "") if len(read) <= LONGEST_TEXT else (None, f"{name}: {problem}")
    if name == "definition" and _has_control(value):
        return None, f"{name}: {problem}"
    return read, ""


def _has_control(value: Any) -> bool:
    """Whether any text in it holds what no database keeps and no page shows."""
    if isinstance(value, Mapping):
        return any(_has_control(each) for pair in value.items() for each in pair)
    if isinstance(value, list | tuple):
        return any(_has_control(each) for each in value)
    return isinstance(value, str) and _CONTROL.search(value) is not None


def for_own_area(wanted: Wanted, its: Organisation, areas: AreaIndex) -> Wanted:
    """Towns and villages ask for their own area and below, even where they name none."""
    if its.kind not in OWN_AREA_KINDS or wanted.definition.areas is not None:
        return wanted
    own = msgspec.structs.replace(wanted.definition, areas=its.area_ids(areas) or ())
    return msgspec.structs.replace(wanted, definition=own)


# ---- what no approval can allow ----


def refuse_forbidden(
    definition: SliceDefinition,
    catalogue: Catalogue,
    its: Organisation,
    areas: AreaIndex,
    entries: dict[str, EntryShared],
) -> None:
    """ClinicalBoundary or NotAllowed, with the reason: told at once, never handed to a provider."""
    known = known_part(definition, catalogue)
    refuse_clinical(known, catalogue, its.kind)
    refuse_hunting(known)
    refuse_closed_types(known, catalogue, its.kind)
    refuse_foreign_areas(known, its.kind, its.area_ids(areas))
    for code, entry in entries.items():
        if entry.sharing == "none":
            _refuse_unshared(code, catalogue, its)


def _refuse_unshared(code: str, catalogue: Catalogue, its: Organisation) -> None:
    if not is_care_only(catalogue.record_types[code]):
        raise NotAllowed(f"{code}: 目录中为不予共享。 The data catalogue says that it is not shared.", record_type=code)
    if its.kind != "care":
        raise ClinicalBoundary(f"{code} 只供医疗照护单位。 {code} is for care only.", record_type=code)


def known_part(definition: SliceDefinition, catalogue: Catalogue) -> SliceDefinition:
    """What of it can be judged: record types and fields that exist."""
    kinds = []
    for one in definition.record_types:
        its = catalogue.record_types.get(one.record_type)
        if its is not None:
            fields = tuple(name for name in one.fields if name in its.by_name)
            conditions = tuple(each for each in one.conditions if each.field in its.by_name)
            masked = tuple(name for name in one.masked if name in its.by_name)
            kinds.append(msgspec.structs.replace(one, fields=fields, conditions=conditions, masked=masked))
    return SliceDefinition(tuple(kinds), definition.areas)


# ---- what is still missing ----


def find_missing(
    wanted: Wanted,
    catalogue: Catalogue,
    its: Organisation,
    areas: AreaIndex,
    entries: dict[str, EntryShared],
    today: date,
    years: int,
) -> list[str]:
    """Everything that is missing or cannot be read, in one list; empty when the request is complete."""
    return [
        *_missing_terms(wanted),
        *_wrong_limit(wanted.expires_on, today, years),
        *_wrong_definition(wanted.definition, catalogue, areas),
        *_unready_entries(wanted, catalogue, its, entries),
    ]


def _unready_entries(
    wanted: Wanted, catalogue: Catalogue, its: Organisation, entries: dict[str, EntryShared]
) -> Iterator[str]:
    for one in wanted.definition.record_types:
        entry = entries.get(one.record_type)
        if entry is None:
            continue  # there is no such record type: said elsewhere
        if not entry.published:
            yield f"{one.record_type}: 目录条目尚未发布 (its entry is not published)"
        elif not entry.providers:
            yield f"{one.record_type}: 没有可答复的提供单位，请联系区局 (no provider could answer: ask the bureau)"
        elif not is_care_only(catalogue.record_types[one.record_type]):
            asked = (*one.fields, *(each.field for each in one.conditions))
            within_care = _clinical_fields(catalogue, one.record_type) if its.kind == "care" else frozenset[str]()
            named = tuple(name for name in asked if name not in within_care)
            yield from _outside_entry(one.record_type, named, wanted.mode, entry)


def _clinical_fields(catalogue: Catalogue, record_type: str) -> frozenset[str]:
    """No entry shares them; between care organisations their provider decides."""
    return frozenset(field.name for field in catalogue.record_types[record_type].clinical_fields)


def _outside_entry(code: str, fields: tuple[str, ...], mode: str, entry: EntryShared) -> Iterator[str]:
    withheld = [] if entry.fields is None else [name for name in fields if name not in entry.fields]
    if withheld:
        yield f"{code}: 目录中不共享的数据项 {', '.join(withheld)}，请去掉 (items its entry does not share)"
    if entry.modes is not None and mode in MODES and mode not in entry.modes:
        yield f"{code}: 目录中没有这种共享方式 (its entry does not offer this mode: {', '.join(entry.modes)})"


def _missing_terms(wanted: Wanted) -> Iterator[str]:
    for name, title in FIELDS.items():
        value = getattr(wanted, name)
        if value is None or (isinstance(value, str) and not value.strip()):
            yield f"{title}: {_UNSET}"
    if wanted.mode.strip() and wanted.mode not in MODES:
        yield f"{FIELDS['mode']}: 应为服务接口、批量交换或文件下载 (one of {', '.join(MODES)})"
    if wanted.freshness_hours is not None and not 1 <= wanted.freshness_hours <= 24 * 366:
        yield "时效 (freshness_hours): 应为 1–8784 小时 (1 to 8784 hours)"


def _wrong_limit(expires_on: date | None, today: date, years: int) -> Iterator[str]:
    if expires_on is None:
        return
    if expires_on < today:
        yield f"{FIELDS['expires_on']}: {expires_on} 已过 (lies in the past)"
    elif expires_on > latest_limit(today, years):
        yield f"{FIELDS['expires_on']}: 最长 {years} 年，不晚于 {latest_limit(today, years)} (at most {years} years)"


def latest_limit(today: date, years: int) -> date:
    """The last day that may be asked for."""
    try:
        return today.replace(year=today.year + years)
    except ValueError:  # the 29th of February
        return today.replace(year=today.year + years, day=28)


def _wrong_definition(definition: SliceDefinition, catalogue: Catalogue, areas: AreaIndex) -> Iterator[str]:
    try:
        refuse_malformed(definition, catalogue)
    except BadRequest as wrong:
        yield from wrong.facts.get("problems", [wrong.detail])  # type: ignore[misc]
    unknown = [str(each) for each in definition.areas or () if each not in areas.kind]
    if unknown:
        yield f"{'、'.join(unknown[:20])}: 没有这些现行区划 (no such areas in force)"


def wrong_code(code: str) -> str:
    """Why this cannot be a subscription's code; empty if it can."""
    return (
        ""
        if _CODE.fullmatch(code)
        else f"{code[:60]}: 订阅代码为 3–60 位小写字母、数字、- 或 _ (3 to 60 of a-z 0-9 - _)"
    )
