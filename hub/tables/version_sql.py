"""Pieces of SQL that every stage of the line writes the same way for one record type."""

from __future__ import annotations

from mappings.catalogue import RecordType, Role

# The staged row (s) of a difference row (d). The coalesce keeps the planner from fixing the submission on both sides:
# with stale statistics it would compare every row of one with every row of the other.
SAME_ROW = "s.row_no = d.row_no AND s.submission_id = coalesce(d.submission_id, :submission)"
CHANGES = "('new', 'update', 'void', 'restore', 'reroute', 'relink', 'dispute', 'settle')"


def identifier_joins(
    record_type: RecordType,
    only: Role | None = None,
    staged: str = "s",
    source: str = ":source",
    *,
    as_sent: bool = False,
) -> str:
    """Every identifier of every role (or of one) looked up: aliases ``<role>_i<rank>``, and ``<role>_row``.

    ``as_sent``: by the numbers that records were sent with, not those that are right now.
    """
    joins = []
    for role in (only,) if only else record_type.people:
        for rank, identifier in enumerate(role.identifiers):
            alias, value = f"{role.role}_i{rank}", f"{staged}.{identifier.field}"
            if as_sent and (role, identifier.field) in number_fields(record_type):
                value = number_as_sent(role, identifier.field, staged)
            joins.append(
                f"LEFT JOIN {{d}}.person_identifier {alias}"
                f" ON {alias}.kind = '{identifier.kind}' AND {alias}.value = {value}"
            )
        remembered = row_identifier(record_type, role, staged, source)
        if remembered:
            alias = f"{role.role}_row"
            joins.append(
                f"LEFT JOIN {{d}}.person_identifier {alias} ON {alias}.kind = 'row' AND {alias}.value = {remembered}"
            )
    return "\n".join(joins)


def person_of(record_type: RecordType, role: Role) -> str:
    """The person a staged row means by this role, or NULL: the first identifier that is known, else who was judged."""
    found = [f"{role.role}_i{rank}.person_id" for rank in range(len(role.identifiers))]
    if row_identifier(record_type, role):
        found.append(f"{role.role}_row.person_id")
    return f"coalesce({', '.join(found)})" if found else "NULL::uuid"


def row_identifier(record_type: RecordType, role: Role, staged: str = "s", source: str = ":source") -> str | None:
    """The value of kind ``row`` by which a record that names nobody by number remembers whom it means.

    SQL text, NULL where the row does name them; None where the record's own key rests on that number.
    """
    keys = [record_type.by_name[name] for name in record_type.natural_key]
    if not role.identifiers or any(field.role == role.role and field.part == "id_no" for field in keys):
        return None
    nameless = " AND ".join(f"{staged}.{identifier.field} IS NULL" for identifier in role.identifiers)
    parts = ", ".join(f"coalesce({staged}.{field.name}::text, '')" for field in keys)
    return f"CASE WHEN {nameless} THEN concat_ws('|', CAST({source} AS text), '{record_type.code}', '{role.role}', {parts}) END"


def number_fields(record_type: RecordType) -> list[tuple[Role, str]]:
    """Fields that carry a person's identity number as it is now; a correction's old number stays what it was."""
    if record_type.corrects_identity:
        return []
    return [
        (role, identifier.field)
        for role in record_type.people
        for identifier in role.identifiers
        if identifier.kind == "id_no"
    ]


def identifiers_disagree(record_type: RecordType) -> str:
    """True where two identifiers of one role point to different persons, or to one who has another identity number."""
    tests = []
    for role in record_type.people:
        for rank, identifier in enumerate(role.identifiers):
            if rank:
                tests.append(f"{role.role}_i0.person_id <> {role.role}_i{rank}.person_id")
            if identifier.kind == "id_no" and len(role.identifiers) > 1:  # link gives a person one number, not two
                tests.append(f"(s.{identifier.field} IS NOT NULL AND {role.role}_i{rank}.person_id IS NULL)")
    return f"coalesce({' OR '.join(tests)}, false)" if tests else "false"


def record_key(record_type: RecordType, people: dict[str, str], staged: str = "s") -> str:
    """The natural key as text: persons by their id (so that a corrected number finds the old record), the rest as kept."""
    parts = []
    for name in record_type.natural_key:
        field = record_type.by_name[name]
        value = f"{staged}.{name}::text"
        if field.part == "id_no":
            value = f"coalesce({people[field.role]}::text, {staged}.{name})"
        parts.append(f"coalesce({value}, '')")
    return " || '|' || ".join(parts)


def event_day(record_type: RecordType, staged: str = "s") -> str:
    """The day something happened, as a date; NULL where the type has none."""
    if not record_type.event_date:
        return "NULL::date"
    field = record_type.by_name[record_type.event_date]
    column = f"{staged}.{field.name}"
    return f"to_date({column}, 'YYYY-MM')" if field.type == "month" else f"{column}::date"


def version_columns(record_type: RecordType) -> list[str]:
    """Column names of a record's version, in the order every statement lists them."""
    people = [name for role in record_type.people for name in (f"{role.role}_ref", f"{role.role}_area")]
    people += [f"{role.role}_as" for role, _ in number_fields(record_type)]
    fields = [field.name for field in record_type.plain_fields]
    envelope = ["record_id", "version", "source", "record_key", "voided", "submission_id", "row_no", "recorded_at"]
    return [*envelope, "content_digest", "areas", "disputed", *people, *fields]


def current_number(column: str) -> str:
    """The identity number as it is now: another one where this one was corrected since."""
    replaced = f"SELECT i.replaced_by FROM {{d}}.person_identifier i WHERE i.kind = 'id_no' AND i.value = {column}"
    return f"coalesce(({replaced}), {column})"


def number_as_sent(role: Role, field: str, version: str) -> str:
    """The number its source gave; it decides whom the record means, whatever is right by now (``<role>_as``)."""
    return f"coalesce({version}.{role.role}_as, {version}.{field})"


def numbers_now(record_type: RecordType, version: str) -> list[tuple[str, str]]:
    """Column and value of each number that is right now, and of the one that was sent where that is another."""
    found = []
    for role, field in number_fields(record_type):
        sent = number_as_sent(role, field, version)
        right = current_number(sent)
        found += [(field, right), (f"{role.role}_as", f"nullif({sent}, {right})")]
    return found
