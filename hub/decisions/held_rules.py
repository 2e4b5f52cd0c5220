"""May a held row pass as it is? What mappings/row_errors.toml says of each of its codes, tried on the row."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from mappings.catalogue import Catalogue, Field, RecordType, Role

NEW = "new"  # whom the row means is nobody known
Choices = Mapping[str, str]  # role -> person id, or NEW


class Finding(msgspec.Struct, frozen=True):
    """Why the row waits: a code, and the field it was found in ("" for the row as a whole)."""

    code: str
    field: str


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of one row: whom it means, who of those has a number, and which roles are asked about."""

    people: Choices
    numbered: Collection[str]
    asked: Collection[str]


NOTHING_SAID = Judged(people={}, numbered=(), asked=())


def hindrances(catalogue: Catalogue, record_type: RecordType, findings: Sequence[Finding], judged: Judged) -> list[str]:
    """Codes that keep the row from passing with what was said of it; none: it may pass."""
    hindering = [one.code for one in findings if not _may_pass(catalogue, record_type, one, judged)]
    return list(dict.fromkeys(hindering))


def wants_person(catalogue: Catalogue, findings: Sequence[Finding]) -> bool:
    """Whether somebody must say first whom the row means."""
    return any(release_of(catalogue, one.code) == "with_person" for one in findings)


def release_of(catalogue: Catalogue, code: str) -> str:
    """What a person may decide about rows with this code; a code nobody knows any more: never."""
    kind = catalogue.row_errors.get(code)
    return (kind.release if kind else "") or "never"


def _may_pass(catalogue: Catalogue, record_type: RecordType, found: Finding, judged: Judged) -> bool:
    field = record_type.by_name.get(found.field)
    match release_of(catalogue, found.code):
        case "as_it_is":
            return True
        case "empty":
            return field is not None and (not is_needed(record_type, field) or _is_named(record_type, field, judged))
        case "with_person":
            return _is_judged(record_type, field, judged)
        case _:
            return False


def is_needed(record_type: RecordType, field: Field) -> bool:
    """Whether the record cannot be without this field."""
    if field.required:
        return True
    may_lack = record_type.no_id_allowed and bool(field.part)
    return field.name in record_type.natural_key and not may_lack


def _is_judged(record_type: RecordType, field: Field | None, judged: Judged) -> bool:
    """An identity cell that says nothing needs no person where it need not be filled."""
    if field is not None:
        return not is_needed(record_type, field) or _is_named(record_type, field, judged)
    asked = list(judged.asked) or [record_type.people[0].role]
    return all(role in judged.people for role in asked)


def _is_named(record_type: RecordType, field: Field, judged: Judged) -> bool:
    """Whether the cell's person was told; a record whose key rests on the number needs one who has a number."""
    said = judged.people.get(field.role) if field.part == "id_no" else None
    if said is None:
        return False
    return field.name not in record_type.natural_key or said in judged.numbered


def roles_of(record_type: RecordType, findings: Sequence[Finding], asked: Collection[str]) -> list[Role]:
    """The people of the row of whom somebody may say who they are."""
    named = {record_type.by_name[one.field].role for one in findings if one.field in record_type.by_name}
    return [role for role in record_type.people if role.role in asked or role.role in named]
