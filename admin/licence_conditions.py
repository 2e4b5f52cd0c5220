"""只要符合条件的记录: the conditions of a request as they are chosen, in words, and what is wrong with each beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, get_args

import msgspec

from admin.desk_forms import Choice
from admin.language import N_, Language, titled, translator
from hub.errors import BadRequest
from hub.registry.areas import AreaIndex
from hub.registry.slice_conditions import MOST_CONDITIONS, Op, condition_problems, ops_of
from hub.registry.slice_definition import Condition, SliceDefinition, SliceType, refuse_malformed
from mappings.catalogue import Catalogue, Field, FieldType, RecordType

Errors = Mapping[tuple[str, int], str]  # by record type and line
Widget = Literal["text", "date", "month", "number"]

_BETWEEN_VALUES = re.compile(r"[,，、;；]+")
_ENGLISH_AFTER = re.compile(r" ?\([^()]*\)$")
_ORDER: tuple[Op, ...] = ("from", "to", "in", "not_in", "not_empty", "empty")
_AMONG = {"in": N_("是以下之一"), "not_in": N_("不是以下任何一个"), "not_empty": N_("已填写"), "empty": N_("没有填写")}
_DAYS = _AMONG | {"from": N_("不早于（含当天）"), "to": N_("不晚于（含当天）")}
_MONTHS = _AMONG | {"from": N_("不早于（含当月）"), "to": N_("不晚于（含当月）")}
_NUMBERS = _AMONG | {"from": N_("不小于"), "to": N_("不大于")}
_WORDS: dict[FieldType, dict[str, str]] = {
    "date": _DAYS, "datetime": _DAYS, "month": _MONTHS, "integer": _NUMBERS, "decimal": _NUMBERS,
}  # fmt: skip
_WIDGETS: dict[FieldType, Widget] = {
    "date": "date", "datetime": "date", "month": "month", "integer": "number", "decimal": "number",
}  # fmt: skip
_BOOLEANS = {"true": N_("是"), "false": N_("否")}
_PLACES: frozenset[FieldType] = frozenset({"area", "division"})
_NO_FIELD = N_("请先选择数据项。")
_NO_VALUES = N_("请至少选择或填写一个取值。")
_ONE_VALUE = N_("请填写一个取值。")
_VALUES_LEFT = N_("“已填写”“没有填写”不带取值，请去掉取值。")
_UNKNOWN_PLACE = N_("“{place}”不是本区的区划，请填区划名称或 12 位代码。")
_ALONE = N_("{place}（仅本级代码，不含下辖）")


class ConditionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One condition on the form; without ``field`` it is the line in which another one is begun."""

    at: str  # the start of its fields' names
    field: Field | None = None
    op: str = ""
    ops: tuple[Choice, ...] = ()
    choices: tuple[Choice, ...] = ()
    ticked: frozenset[str] = frozenset()
    widget: Widget = "text"
    typed: str | None = None  # None: there is nothing to type
    error: str = ""


# ---- taking them ----


def typed_conditions(form: Mapping[str, str], record_type: RecordType, areas: AreaIndex) -> tuple[Condition, ...]:
    """The lines that name a field and are not to be taken out."""
    starts = (_at(record_type.code, number) for number in range(MOST_CONDITIONS))
    kept = (at for at in starts if f"{at}-drop" not in form)
    return tuple(one for at in kept if (one := _typed_line(form, at, record_type, areas)) is not None)


def _typed_line(form: Mapping[str, str], at: str, record_type: RecordType, areas: AreaIndex) -> Condition | None:
    name = form.get(f"{at}-field", "").strip()
    field = record_type.by_name.get(name)
    if not name:
        return None
    op = form.get(f"{at}-op", "")
    if op not in get_args(Op):
        op = next((one for one in _ORDER if field is not None and one in ops_of(field)), "in")
    return Condition(name, op, tuple(dict.fromkeys(_typed_values(form, at, field, areas))))  # type: ignore[arg-type]


def _typed_values(form: Mapping[str, str], at: str, field: Field | None, areas: AreaIndex) -> Iterator[str]:
    start = f"{at}-is-"
    for value in (name.removeprefix(start) for name in form if name.startswith(start)):
        yield from _codes_below(areas, value) if field is not None and field.type in _PLACES else (value,)
    for part in _BETWEEN_VALUES.split(form.get(f"{at}-values", "")):
        if part.strip():
            is_place = field is not None and field.type in _PLACES
            yield from _codes_named(part.strip(), areas) if is_place else (part.strip(),)


def _codes_below(areas: AreaIndex, code: str) -> tuple[str, ...]:
    """The codes, of now and before, of an area and all below it: what records say is the code of their day."""
    area = areas.codes.get(code)
    if area is None:
        return (code,)
    below = frozenset(areas.expand(area))
    return tuple(sorted(one for one, each in areas.codes.items() if each in below and len(one) == len(code)))


def _codes_named(typed: str, areas: AreaIndex) -> tuple[str, ...]:
    """An area that is named is all of it, as one that is ticked; what is no name of one area alone stays as typed."""
    named = areas.named(typed)
    return _codes_below(areas, areas.code_of.get(named[0], typed)) if len(named) == 1 else (typed,)


# ---- what is wrong with them ----


def condition_errors(
    definition: SliceDefinition, catalogue: Catalogue, areas: AreaIndex, language: Language
) -> dict[tuple[str, int], str]:
    """One sentence for every line that cannot stand; the same rules as when it is handed in."""
    errors: dict[tuple[str, int], str] = {}
    for one in definition.record_types:
        record_type = catalogue.record_types.get(one.record_type)
        if record_type is not None:
            found = _own_errors(one, record_type, catalogue, areas, language)
            found = found or _shared_errors(one, catalogue)
            errors |= {(one.record_type, number): told for number, told in found.items()}
    return errors


def more_error(code: str, number: int, language: Language) -> dict[tuple[str, int], str]:
    """Another condition was asked for, and no field was chosen for it."""
    return {(code, number): translator(language)(_NO_FIELD)}


def _own_errors(
    one: SliceType, record_type: RecordType, catalogue: Catalogue, areas: AreaIndex, language: Language
) -> dict[int, str]:
    told = {}
    for number, each in enumerate(one.conditions):
        field = record_type.by_name.get(each.field)
        if field is not None and (wrong := _wrong_with(each, field, catalogue, areas, language)):
            told[number] = wrong
    return told


def _wrong_with(each: Condition, field: Field, catalogue: Catalogue, areas: AreaIndex, language: Language) -> str:
    say = translator(language)
    if each.op in ("empty", "not_empty"):
        return say(_VALUES_LEFT) if each.values else ""
    if not each.values:
        return say(_NO_VALUES if each.op in ("in", "not_in") else _ONE_VALUE)
    if each.op in ("from", "to") and len(each.values) > 1:
        return say(_ONE_VALUE)
    strange = [value for value in each.values if field.type in _PLACES and not _may_be_place(value, field, areas)]
    if strange:
        return say(_UNKNOWN_PLACE).format(place=strange[0][:40])
    return next((_sentence(problem) for problem in condition_problems(field, each.op, each.values, catalogue)), "")


def _may_be_place(value: str, field: Field, areas: AreaIndex) -> bool:
    """A division lies anywhere in the country; an area is one of the district's, of now or before."""
    return value in areas.codes or (field.type == "division" and value.isdecimal() and len(value) in (2, 4, 6, 9, 12))


def _shared_errors(one: SliceType, catalogue: Catalogue) -> dict[int, str]:
    """What is wrong with conditions beside each other, and beside the masks."""
    try:
        refuse_malformed(SliceDefinition((one,)), catalogue)
    except BadRequest as refused:
        problems = refused.facts.get("problems")
    else:
        return {}
    told = {}
    for problem in problems if isinstance(problems, list) else []:
        where, _, what = str(problem).partition(": ")
        field = where.removeprefix(f"{one.record_type}.")
        named = [number for number, each in enumerate(one.conditions) if each.field == field]
        if named:
            told[named[-1]] = _sentence(what)
    return told


def _sentence(problem: str) -> str:
    return f"{_ENGLISH_AFTER.sub('', problem)}。"


# ---- showing them ----


def condition_lines(
    record_type: RecordType,
    conditions: Iterable[Condition],
    catalogue: Catalogue,
    areas: AreaIndex,
    offered: Iterable[int],
    language: Language,
    errors: Errors,
) -> tuple[ConditionLine, ...]:
    """The conditions there are, and a line for one more; ``offered``: the areas to tick."""
    known = [each for each in conditions if each.field in record_type.by_name]
    offered, lines = tuple(offered), []
    for number, each in enumerate(known):
        field = record_type.by_name[each.field]
        choices = tuple(_choices(field, each, catalogue, areas, offered, language))
        at, error = _at(record_type.code, number), errors.get((record_type.code, number), "")
        lines.append(_line(at, field, each, choices, areas, language, error))
    if len(known) < MOST_CONDITIONS:
        place = record_type.code, len(known)
        lines.append(ConditionLine(at=_at(*place), error=errors.get(place, "")))
    return tuple(lines)


def _line(
    at: str, field: Field, each: Condition, choices: tuple[Choice, ...], areas: AreaIndex, language: Language, error: str
) -> ConditionLine:  # fmt: skip
    say, words = translator(language), _WORDS.get(field.type, _AMONG)
    ticked, left = _ticked(field, each, choices, areas)
    listed = len(left) > 1 or each.op in ("in", "not_in")
    return ConditionLine(
        at=at, field=field, op=each.op, choices=choices, ticked=ticked, error=error,
        ops=tuple(Choice(op, say(words[op])) for op in _ORDER if op in ops_of(field)),
        widget="text" if listed else _WIDGETS.get(field.type, "text"),
        typed=None if field.type in ("code", "boolean") else ",".join(left),
    )  # fmt: skip


def _choices(
    field: Field, each: Condition, catalogue: Catalogue, areas: AreaIndex, offered: tuple[int, ...], language: Language
) -> Iterator[Choice]:
    """What may be ticked; a value that is known no more stays, so that nobody loses it unawares."""
    known: list[Choice] = []
    if field.type == "code" and field.code_set in catalogue.code_sets:
        codes = catalogue.code_sets[field.code_set].codes
        known = [Choice(one.value, titled(one.title, one.title_en, language)) for one in codes]
    elif field.type == "boolean":
        known = [Choice(value, translator(language)(title)) for value, title in _BOOLEANS.items()]
    elif field.type in _PLACES:
        known = [Choice(areas.code_of[one], areas.name_of[one]) for one in offered if one in areas.code_of]
    yield from known
    if field.type in ("code", "boolean"):
        values = {one.value for one in known}
        yield from (Choice(value, value) for value in each.values if value not in values)


def _ticked(
    field: Field, each: Condition, choices: tuple[Choice, ...], areas: AreaIndex
) -> tuple[frozenset[str], list[str]]:
    """The choices that are among the values, and the values that none of them stands for."""
    held, covered, ticked = set(each.values), set[str](), []
    for choice in choices:
        below = _codes_below(areas, choice.value) if field.type in _PLACES else (choice.value,)
        if held.issuperset(below):
            ticked.append(choice.value)
            covered.update(below)
    return frozenset(ticked), [value for value in each.values if value not in covered]


def _at(code: str, number: int) -> str:
    return f"only-{code}-{number}"


# ---- a request's conditions, told ----


def told_values(field: Field, values: Iterable[str], catalogue: Catalogue, areas: AreaIndex, language: Language) -> str:
    """The values of a condition in words: codes by their titles, areas by their names, a whole town once."""
    said = list(values)
    if field.type in _PLACES:
        whole, left = _widest(said, areas)
        said = [*map(areas.full_name, whole), *(_told_alone(one, areas, language) for one in left)]
    elif field.type == "code" and field.code_set in catalogue.code_sets:
        codes = catalogue.code_sets[field.code_set].codes
        titles = {one.value: titled(one.title, one.title_en, language) for one in codes}
        said = [titles.get(one, one) for one in said]
    elif field.type == "boolean":
        said = [translator(language)(_BOOLEANS.get(one, one)) for one in said]
    return "、".join(said) if language == "zh" else ", ".join(said)


def _told_alone(code: str, areas: AreaIndex, language: Language) -> str:
    """A code that is not all of its area does not read as if it were."""
    area, name = areas.codes.get(code), areas.full_name(code)
    below = areas.children.get(area, ()) if area is not None else ()
    return translator(language)(_ALONE).format(place=name) if below else name


def _widest(values: list[str], areas: AreaIndex) -> tuple[list[str], list[str]]:
    """Towns all of whose codes are there, and what is left."""
    held = set(values)
    towns = [areas.code_of[area] for area, kind in areas.kind.items() if kind == "town" and area in areas.code_of]
    whole = [town for town in towns if town in held and held.issuperset(_codes_below(areas, town))]
    covered = {code for town in whole for code in _codes_below(areas, town)}
    return whole, [one for one in values if one not in covered]
