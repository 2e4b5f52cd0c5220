"""The statement that derives every attribute of a set of persons from the records that stand, and nothing else.

Each record says something of a person by one of its roles; what it says is ranked by the rules of attributes.toml.
Nothing here looks at when a record arrived: the same records give the same attributes in whatever order they came.
"""

from __future__ import annotations

from itertools import count

from hub.people.name_keys import name_key_sql
from hub.registry.scope import is_care_only
from hub.tables.version_sql import event_day
from mappings.catalogue import Attribute, AttributeSource, Catalogue, RecordType

Said = tuple[int, int, Attribute, AttributeSource]  # its number, how late in the order of belief, and what
_TEXTS = ("text", "name")
_LATE = 1 << 30  # days: what has no date comes after what has one


def statements_sql(catalogue: Catalogue) -> str:
    """CTEs up to ``placed``: the best that each organisation says of the persons in :persons; place 1 is believed.

    ``disagrees`` is true where that is something else.
    """
    return f"""
        rule (saying, attribute, rank, last_resort, is_event, rule_date, compared, compare_first, is_text)
            AS (VALUES {_rules(catalogue)}),
        said AS ({_said_of_persons(catalogue)}),
        ranked AS (
            SELECT s.*, r.attribute, r.last_resort, r.is_event, r.rule_date, r.compared, r.compare_first, r.is_text,
                   CASE r.rule_date WHEN 'source' THEN r.rank WHEN 'first' THEN {_days("s.since")}
                                    ELSE {_days("s.since", latest=True)} END AS first_key,
                   CASE r.rule_date WHEN 'source' THEN {_days("s.since", latest=True)} ELSE r.rank END AS second_key,
                   (s.area = p.home_area) IS TRUE AS at_home
            FROM said s JOIN rule r USING (saying)
            JOIN {{d}}.person p ON p.person_id = s.person_id AND p.merged_into IS NULL AND p.erased_at IS NULL
        ), own AS (
            SELECT DISTINCT ON (person_id, attribute, source) * FROM ranked
            ORDER BY person_id, attribute, source, {_BELIEF}
        ), ordered AS (
            SELECT *, row_number() OVER among_all AS place, first_value(value) OVER among_all AS believed,
                   first_value(since) OVER among_all AS believed_since,
                   first_value(source) OVER among_all AS believed_source
            FROM own WINDOW among_all AS (PARTITION BY person_id, attribute ORDER BY {_BELIEF})
        ), placed AS (
            SELECT *, compared AND NOT last_resort AND source <> believed_source
                      AND NOT (is_event AND rule_date = 'latest' AND (since < believed_since) IS TRUE)
                      AND CASE WHEN value = believed THEN false ELSE {_alike("value")} <> {_alike("believed")} END
                   AS disagrees
            FROM ordered
        )
    """


# Equal values of equal rank differ only in the record that is named beside them.
_BELIEF = 'last_resort, first_key, second_key, at_home DESC, source COLLATE "C", value COLLATE "C" DESC, record_id DESC'


def profiles_sql(catalogue: Catalogue) -> str:
    """CTEs up to ``derived``: one row for each person of :persons of whom any record speaks."""
    return f"""
        {statements_sql(catalogue)}, best AS (
            SELECT person_id, {_believed("name")} AS name, {_believed("sex")} AS sex,
                   {_believed("birth_date")}::date AS birth_date, {_believed("id_no")} AS said_id_no,
                   {_believed("died_on")}::date AS died_on,
                   jsonb_object_agg(attribute, jsonb_build_array(value, record_type, record_id, source, since))
                       FILTER (WHERE place = 1) AS attributes,
                   coalesce(array_agg(DISTINCT attribute ORDER BY attribute) FILTER (WHERE disagrees), '{{}}') AS disagreeing
            FROM placed GROUP BY person_id
        ), number AS (
            SELECT DISTINCT ON (i.person_id) i.person_id, i.value AS id_no
            FROM {{d}}.person_identifier i JOIN best b USING (person_id)
            WHERE i.kind = 'id_no' AND i.replaced_by IS NULL
            ORDER BY i.person_id, (i.value = b.said_id_no) IS TRUE DESC, i.valid_to IS NULL DESC, i.value COLLATE "C" DESC
        ), derived AS (
            SELECT b.person_id, b.name, {name_key_sql("b.name")} AS name_key,
                   coalesce(b.sex, {_sex_in("n.id_no")}) AS sex,
                   coalesce(b.birth_date, {_birth_date_in("n.id_no")}) AS birth_date,
                   n.id_no, p.home_area, b.died_on, b.attributes, b.disagreeing
            FROM best b JOIN {{d}}.person p USING (person_id) LEFT JOIN number n USING (person_id)
        )
    """


def _believed(attribute: str) -> str:
    return f"max(value) FILTER (WHERE place = 1 AND attribute = '{attribute}')"


# Days there are, in the years there were: a number that tells another one tells none.
_DAY_IN_NUMBER = (
    r"^\d{6}((19|20)\d\d((0[1-9]|1[0-2])(0[1-9]|1\d|2[0-8])|(0[13-9]|1[0-2])(29|30)|(0[13578]|1[02])31)"
    r"|((19|20)(0[48]|[2468][048]|[13579][26])|2000)0229)\d{3}[\dX]$"
)


def _birth_date_in(number: str) -> str:
    """The day of birth an identity number tells (GB 11643): what there is to search by where nobody says more."""
    return f"CASE WHEN {number} ~ '{_DAY_IN_NUMBER}' THEN to_date(substr({number}, 7, 8), 'YYYYMMDD') END"


def _sex_in(number: str) -> str:
    """Odd is male."""
    return f"CASE WHEN {number} ~ '^\\d{{17}}[\\dX]$' THEN (2 - substr({number}, 17, 1)::int % 2)::text END"


def _days(day: str, *, latest: bool = False) -> str:
    counted = f"DATE '1800-01-01' - {day}" if latest else f"{day} - DATE '1800-01-01'"
    return f"coalesce({counted}, {_LATE})"


def _alike(value: str) -> str:
    """As much of a value as is compared."""
    return f"""CASE WHEN is_text THEN {name_key_sql(value)}
                    WHEN compare_first > 0 THEN left({value}, compare_first) ELSE {value} END"""


def _rules(catalogue: Catalogue) -> str:
    """What holds of each saying, whoever it is said of."""
    return ", ".join(
        f"({number}, '{one.name}', {rank}, {source.last_resort},"
        f" {bool(catalogue.record_types[source.record_type].event_date)}, '{one.date}', {one.compared},"
        f" {one.compare_first}, {one.type in _TEXTS})"
        for said in _heard(catalogue).values()
        for number, rank, one, source in said
    )


# ---- what one record says of one of its persons ----


def _heard(catalogue: Catalogue) -> dict[tuple[str, str], list[Said]]:
    """By record type and role, everything that can be said there; the sayings are numbered through."""
    heard: dict[tuple[str, str], list[Said]] = {}
    numbers = count(1)
    for attribute in catalogue.attributes.values():
        for rank, source in enumerate(attribute.sources):
            record_type = catalogue.record_types[source.record_type]
            if record_type.enabled and not is_care_only(record_type):
                said = (next(numbers), rank, attribute, source)
                heard.setdefault((source.record_type, source.role), []).append(said)
    return heard


def _said_of_persons(catalogue: Catalogue) -> str:
    """One branch a role of a record type: every record is read once, whatever it says."""
    return " UNION ALL ".join(
        _said_by(catalogue.record_types[code], role, said) for (code, role), said in _heard(catalogue).items()
    )


def _said_by(record_type: RecordType, role: str, said: list[Said]) -> str:
    """Arrays, because PostgreSQL prepares the expressions of VALUES anew for every record."""
    numbers = ", ".join(str(number) for number, *_ in said)
    values = ", ".join(_value(record_type, attribute, source) for *_, attribute, source in said)
    days = ", ".join(_since(record_type, source) for *_, source in said)
    asks_who = any(source.organisation for *_, source in said)
    sender = "LEFT JOIN shared.organisation o ON o.code = v.source" if asks_who else ""
    return f"""
        SELECT v.{role}_ref AS person_id, a.saying, a.value, a.since,
               '{record_type.code}'::text AS record_type, v.record_id, v.source, v.{role}_area AS area
        FROM {{d}}.rec_{record_type.code} v {sender}
        CROSS JOIN LATERAL unnest(ARRAY[{numbers}], ARRAY[{values}]::text[], ARRAY[{days}]::date[])
                           a (saying, value, since)
        WHERE v.{role}_ref = ANY(CAST(:persons AS uuid[])) AND NOT v.voided AND a.value <> ''
    """


def _value(record_type: RecordType, attribute: Attribute, source: AttributeSource) -> str:
    """What is said, as text; NULL where it does not hold."""
    conditions = _conditions(source)
    said = _text(record_type, attribute, source)
    return f"CASE WHEN {' AND '.join(conditions)} THEN {said} END" if conditions else said


def _text(record_type: RecordType, attribute: Attribute, source: AttributeSource) -> str:
    if source.value:
        return f"'{source.value}'"
    if source.person:
        return f"v.{source.person}_ref::text"
    return f"to_char(v.{source.field}, 'YYYY-MM-DD')" if attribute.type == "date" else f"v.{source.field}::text"


def _conditions(source: AttributeSource) -> list[str]:
    tests = [
        f"v.{field} IN ({', '.join(chr(39) + code + chr(39) for code in codes)})"
        for field, codes in source.only.items()
    ]
    if source.unless:
        tests.append(f"v.{source.unless} IS NULL")
    if source.organisation:
        tests.append(f"'{source.organisation}' IN (v.source, o.kind)")
    return tests


def _since(record_type: RecordType, source: AttributeSource) -> str:
    if not source.date:
        return event_day(record_type, "v")
    field = record_type.by_name[source.date]
    return f"to_date(v.{field.name}, 'YYYY-MM')" if field.type == "month" else f"v.{field.name}::date"
