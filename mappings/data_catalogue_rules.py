"""What must hold in data_catalogue.toml: every type has its entry, one provider, a reason, and shares nothing closed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mappings.catalogue import RecordType
from mappings.data_catalogue_shapes import LEAST_CLASSIFICATION, FirstEntry
from mappings.documents import Document, Problem

_NUMBER = re.compile(r"^[A-Z]{2,6}-[A-Z]{2,6}-\d{4}$")


def data_catalogue_problems(
    document: Document, entries: dict[str, FirstEntry], record_types: dict[str, RecordType], kinds: dict[str, str]
) -> Iterator[Problem]:
    """Every problem of the file, in its order. ``kinds``: the kind of each organisation, by its code."""
    numbers: dict[str, str] = {}
    for code, entry in entries.items():
        if numbers.setdefault(entry.catalogue_no, code) != code:
            yield document.problem(f"目录编号重复 the number of {numbers[entry.catalogue_no]}", code, "catalogue_no")
        yield from _own_problems(document, code, entry, kinds)
        if code in record_types:
            yield from _type_problems(document, entry, record_types[code])
        else:
            yield document.problem(f"没有这一信息类别 unknown record type: {code}", code)
    for code, record_type in record_types.items():
        if record_type.enabled and code not in entries:
            yield document.problem(f"信息类别缺少目录条目 a record type without its entry: {code}", code)


def _own_problems(document: Document, code: str, entry: FirstEntry, kinds: dict[str, str]) -> Iterator[Problem]:
    if not _NUMBER.match(entry.catalogue_no):
        yield document.problem("编号应如 QX-GA-0001 a number looks like QX-GA-0001", code, "catalogue_no")
    if kinds.get(entry.provider, "town") == "town":  # "town" is every town: none of them answers for all
        yield document.problem(
            f"提供单位须为一个单位 the provider is one organisation: {entry.provider}", code, "provider"
        )
    for key in ("reason", "conditions"):
        if not getattr(entry, key).strip():
            yield document.problem("不能为空 must not be empty", code, key)
    if not entry.formats:
        yield document.problem("不能为空 must not be empty", code, "formats")
    if bool(entry.modes) == (entry.sharing == "none"):
        wrong = "不予共享的没有共享方式，共享的须有 what is not shared has no modes, what is shared has some"
        yield document.problem(wrong, code, "modes")


def _type_problems(document: Document, entry: FirstEntry, record_type: RecordType) -> Iterator[Problem]:
    code = record_type.code
    wanted = "none" if record_type.restricted else record_type.sharing
    if entry.sharing != wanted:
        yield document.problem(f"与信息类别不一致 the record type says: {wanted}", code, "sharing")
    least = max((LEAST_CLASSIFICATION[field.sensitivity] for field in record_type.fields), default=1)
    if entry.classification < least:
        yield document.problem(f"定级过低，至少 {least} too low, at least {least}", code, "classification")
    for name in entry.withheld:
        if name not in record_type.by_name:
            yield document.problem(f"没有这一字段 no such field: {name}", code, "withheld")
    if entry.sharing == "unconditional" and (told := _sensitive_shared(entry, record_type)):
        wrong = f"无条件共享的不得含敏感信息 not shared without a condition: {', '.join(told)}"
        yield document.problem(wrong, code, "withheld")


def _sensitive_shared(entry: FirstEntry, record_type: RecordType) -> list[str]:
    closed = set(entry.withheld)
    return [
        field.name
        for field in record_type.plain_fields
        if field.sensitivity == "sensitive" and field.name not in closed
    ]
