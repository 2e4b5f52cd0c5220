"""The two statements of a preview: one aggregate over a record type, and a few of its records."""

from __future__ import annotations

from datetime import date

import msgspec

from hub.exchange.slice_sql import inside_sql, main_person, plain_names, slice_columns, slice_rows
from hub.registry.slice_conditions import Values
from hub.registry.slice_definition import SliceDefinition, SliceType
from mappings.catalogue import RecordType

_FIRST_BESIDE = 100  # filters of the other subscriptions are numbered from here


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A definition, what the organisation has besides, and after which day somebody was born who is a minor now."""

    definition: SliceDefinition
    beside: tuple[SliceDefinition, ...]
    born_after: date


def count_statement(asked: Asked, one: SliceType, record_type: RecordType) -> tuple[str, Values]:
    """Records, those not covered yet, persons, those not covered yet, records about minors: grouped by person, once."""
    rows, values = _rows(asked, one, record_type)
    named = f"SELECT {_people(record_type)} AS people, {_covered(asked, record_type, values)} AS covered,"
    named += f" {_minor(asked, record_type, values)} AS minor FROM {rows}"
    return (
        f"""
        SELECT coalesce(sum(records), 0), coalesce(sum(uncovered), 0), count(person),
               count(person) FILTER (WHERE NOT known), coalesce(sum(minors), 0)
        FROM (
            SELECT person, count(*) FILTER (WHERE place = 1) AS records,
                   count(*) FILTER (WHERE place = 1 AND NOT covered) AS uncovered, bool_or(covered) AS known,
                   count(*) FILTER (WHERE place = 1 AND minor) AS minors
            FROM ({_one_a_person(named, record_type)}) told GROUP BY person
        ) persons
        """,
        values,
    )


def sample_statement(
    asked: Asked, one: SliceType, record_type: RecordType, source: str, most: int
) -> tuple[str, Values]:
    """What the receiver would get of a few records, the newest; of one source, unless that is ""."""
    rows, values = _rows(asked, one, record_type)
    plain = _plain(one, record_type)
    sent = ""
    if source:
        sent, values["source"] = " AND v.source = :source", source
    payload = f"SELECT {slice_columns(plain, record_type)} FROM {rows}{sent} ORDER BY v.record_id DESC LIMIT {most}"
    return (
        f"SELECT record_id::text, payload FROM ({payload}) few (record_id, person, version, source, disputed, payload)",
        values,
    )


def _plain(one: SliceType, record_type: RecordType) -> SliceType:
    """Without what lies sealed: a preview never opens it."""
    return msgspec.structs.replace(one, fields=tuple(plain_names(one, record_type)))


def _rows(asked: Asked, one: SliceType, record_type: RecordType) -> tuple[str, Values]:
    return slice_rows(_plain(one, record_type), asked.definition, record_type, f"{{d}}.rec_{record_type.code}")


def _people(record_type: RecordType) -> str:
    if len(record_type.people) < 2:
        return main_person(record_type, "v")
    return f"ARRAY[{', '.join(f'v.{role.role}_ref' for role in record_type.people)}]"


def _one_a_person(named: str, record_type: RecordType) -> str:
    if len(record_type.people) < 2:
        return f"SELECT people AS person, 1 AS place, covered, minor FROM ({named}) one"
    told = f"FROM ({named}) one CROSS JOIN LATERAL unnest(people) WITH ORDINALITY AS its (person, place)"
    return f"SELECT person, place, covered, minor {told} WHERE place = 1 OR person IS NOT NULL"


def _covered(asked: Asked, record_type: RecordType, values: Values) -> str:
    """Whether another subscription of the organisation gives the record already."""
    same = [
        (each, slices.areas)
        for slices in asked.beside
        for each in slices.record_types
        if each.record_type == record_type.code
    ]
    found = [
        inside_sql(each, areas, record_type, number, values) for number, (each, areas) in enumerate(same, _FIRST_BESIDE)
    ]
    return f"({' OR '.join(found)})" if found else "false"


def _minor(asked: Asked, record_type: RecordType, values: Values) -> str:
    born = [field.name for field in record_type.plain_fields if field.part == "birth_date"]
    if not born:
        return "false"
    values["born_after"] = asked.born_after
    return f"coalesce(greatest({', '.join(f'v.{name}' for name in born)}) > :born_after, false)"
