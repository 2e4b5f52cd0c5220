"""Who lives where on a day: what follows from the records that stand, whenever they came (mappings/rounds.toml).

The latest event decides, by its day; of one day the newest record. Whoever died is dead, whatever comes later. A record
without a day, such as a base roll, is older than every day.
"""

from __future__ import annotations

from collections.abc import Iterator

from hub.tables.version_sql import event_day
from mappings.catalogue import Catalogue, RecordType
from mappings.round_shapes import Standing

GIVEN_PERSONS = "SELECT unnest(CAST(:persons AS uuid[]))"  # for ``persons``; bind a list of ids
_MOVED_ON = "moved_on"  # the roll has no event date of its own, but may say since when somebody lives there
# the order in which events are heard, the one that decides first; of one record, it left where it arrived
LATEST_FIRST = "does = 'dies' DESC, coalesce(day, '-infinity'::date) DESC, record_id DESC, does = 'leaves' DESC"


def standing_sql(catalogue: Catalogue, day: str = ":day", *, persons: str = "") -> str:
    """A SELECT of ``(person_id, area)``: who lives in the district on that day, and in which village (or town) as of now.

    ``day``: SQL of a date. ``persons``: SQL of the persons asked for, as a query of ids; empty: everybody.
    """
    told = told_sql(catalogue, day, persons=persons)
    return f"SELECT person_id, area FROM ({told}) told WHERE does = 'arrives'"


def told_sql(catalogue: Catalogue, day: str = ":day", *, persons: str = "") -> str:
    """A SELECT of the one event a person that decides on that day: the columns of ``events_sql``."""
    return f"""
        SELECT DISTINCT ON (person_id) * FROM ({events_sql(catalogue, persons=persons)}) event
        WHERE (day IS NULL OR day <= CAST({day} AS date)) AND (does <> 'arrives' OR area IS NOT NULL)
        ORDER BY person_id, {LATEST_FIRST}
    """


def events_sql(catalogue: Catalogue, *, persons: str = "") -> str:
    """A SELECT of every event that stands: person_id, area, day, record_id, record_type, does, counts_as.

    ``area`` is the village, or the town where no village is known, that now stands in the place of the one named;
    NULL where the record names none in the district. ``day`` is NULL where it has none.
    """
    said = " UNION ALL ".join(
        _said_by(rule, catalogue.record_types[rule.record_type], persons) for rule in heard(catalogue)
    )
    return f"""
        WITH RECURSIVE {_FOLLOWED}{_asked(persons)}
        SELECT coalesce(s.into_id, e.person_id) AS person_id, p.leaf_id AS area, e.day, e.record_id, e.record_type,
               e.does, e.counts_as
        FROM ({said}) e
        LEFT JOIN survivor s ON s.person_id = e.person_id
        LEFT JOIN {{d}}.area_place p ON p.area_id = e.area
    """


def heard(catalogue: Catalogue) -> Iterator[Standing]:
    """The rules of the record types this district has."""
    return (rule for rule in catalogue.rounds.standing if catalogue.record_types[rule.record_type].enabled)


_FOLLOWED = """
        followed (person_id, into_id) AS (
            SELECT person_id, merged_into FROM {d}.person WHERE merged_into IS NOT NULL
            UNION SELECT f.person_id, p.merged_into FROM followed f JOIN {d}.person p ON p.person_id = f.into_id
            WHERE p.merged_into IS NOT NULL
        ), survivor AS (
            SELECT f.person_id, f.into_id FROM followed f
            WHERE NOT EXISTS (SELECT 1 FROM followed g WHERE g.person_id = f.into_id)
        )"""


def _asked(persons: str) -> str:
    """Whoever turned out to be one of the persons asked for is asked for too."""
    if not persons:
        return ""
    return f""", given (person_id) AS ({persons}), asked AS (
            SELECT person_id FROM given UNION SELECT s.person_id FROM survivor s JOIN given g ON g.person_id = s.into_id
        )"""


def _said_by(rule: Standing, record_type: RecordType, persons: str) -> str:
    """What the records of one type say by one rule; whoever leaves or dies need not say from where."""
    role = next(each for each in record_type.people if each.role == rule.role)
    area = f"r.{role.role}_area" if role.area_fields else "NULL::integer"
    day = _day(rule, record_type)
    tests = ["NOT r.voided", *(f"r.{name} IN ({_codes(codes)})" for name, codes in rule.only.items())]
    tests += [f"{day} IS NOT NULL"] if rule.date else []
    joined = f" JOIN asked a ON a.person_id = r.{role.role}_ref" if persons else ""
    return (
        f"SELECT r.{role.role}_ref AS person_id, {area} AS area, {day} AS day, r.record_id,"
        f" '{record_type.code}' AS record_type, '{rule.does}' AS does, '{rule.counts_as}' AS counts_as"
        f" FROM {{d}}.rec_{record_type.code} r{joined}"
        f" WHERE r.{role.role}_ref IS NOT NULL AND {' AND '.join(tests)}"
    )


def _day(rule: Standing, record_type: RecordType) -> str:
    if rule.date:
        field = record_type.by_name[rule.date]
        return f"to_date(r.{field.name}, 'YYYY-MM')" if field.type == "month" else f"r.{field.name}::date"
    if not record_type.event_date and _MOVED_ON in record_type.by_name:
        return f"r.{_MOVED_ON}::date"
    return event_day(record_type, "r")


def _codes(codes: tuple[str, ...]) -> str:
    return ", ".join(f"'{code}'" for code in codes)
