"""A record type as written becomes the record type as used: each person's parts turn into fields."""

from __future__ import annotations

from typing import NamedTuple

from mappings.catalogue import Field, FieldType, RecordType, Role, Sensitivity
from mappings.sources import PersonSource, RecordTypeSource


class Part(NamedTuple):
    """What a part of a person is, whoever the person."""

    title: str
    title_en: str
    type: FieldType
    sensitivity: Sensitivity
    code_set: str = ""


PARTS: dict[str, Part] = {
    "name": Part("姓名", "Name", "name", "personal"),
    "id_type": Part("证件类型", "Document type", "code", "personal", "cert_type"),
    "id_no": Part("公民身份号码", "Identity number", "id_no", "sensitive"),
    "sex": Part("性别", "Sex", "code", "personal", "sex"),
    "birth_date": Part("出生日期", "Date of birth", "date", "personal"),
    "ethnicity": Part("民族", "Ethnicity", "code", "sensitive", "ethnicity"),
    "hukou_div": Part("户籍地村居", "Registered village", "area", "personal"),
    "hukou_addr": Part("户籍地址", "Registered address", "text", "personal"),
    "live_div": Part("现住地村居", "Village of residence", "area", "personal"),
    "live_addr": Part("现住地址", "Address of residence", "text", "sensitive"),
    "phone": Part("联系电话", "Telephone", "phone", "personal"),
}


def expand(source: RecordTypeSource, file: str, common_dropped: tuple[str, ...]) -> RecordType:
    """Person parts first, in role order, then the type's own fields."""
    parts = [field for person in source.people for field in fields_of(person)]
    own = [
        Field(
            name=field.name, title=field.title, title_en=field.title_en, type=field.type,
            sensitivity=field.sensitivity, code_set=field.code_set, required=field.required,
        )
        for field in source.fields
    ]  # fmt: skip
    return RecordType(
        code=source.code, title=source.title, title_en=source.title_en, natural_key=source.natural_key,
        event_date=source.event_date, sources=source.sources, people=tuple(map(role_of, source.people)),
        fields=(*parts, *own), enabled=source.enabled, restricted=source.restricted,
        sharing=source.sharing, all_or_nothing=source.all_or_nothing, no_id_allowed=source.no_id_allowed,
        date_precision=source.date_precision, corrects_identity=source.corrects_identity, key_missing=source.key_missing,
        file=file,
        dropped_headers=tuple(dict.fromkeys((*source.dropped_headers, *common_dropped))),
    )  # fmt: skip


def prefix_of(person: PersonSource) -> str:
    return "" if person.role == "person" else f"{person.role}_"


def role_of(person: PersonSource) -> Role:
    prefix = prefix_of(person)
    return Role(
        role=person.role, title=person.title, prefix=prefix, required=person.required, sets_home=person.sets_home,
        identifiers=person.identifiers, area_fields=tuple(prefix + part for part in person.area_parts),
    )  # fmt: skip


def fields_of(person: PersonSource) -> list[Field]:
    """The person's known parts as fields; an unknown part is the rules' to report."""
    return [part_field(person, part) for part in person.parts if part in PARTS]


def part_field(person: PersonSource, part: str) -> Field:
    kind = PARTS[part]
    whose, whose_en = ("", "") if person.role == "person" else (person.title, f"{person.title_en or person.role}: ")
    return Field(
        name=prefix_of(person) + part, title=person.part_titles.get(part, whose + kind.title),
        title_en=whose_en + kind.title_en, type=kind.type, code_set=kind.code_set, role=person.role, part=part,
        sensitivity="sensitive" if person.minor else kind.sensitivity, required=part in person.required_parts,
    )  # fmt: skip
