"""One standing comparison as one statement: find what does not go together, keep the worked list, count what changed."""

from __future__ import annotations

from collections.abc import Iterable

from mappings.catalogue import Catalogue, RecordType
from mappings.comparisons import TOWN, Comparison, Side

_DAY = "CAST(:today AS date)"


def side_fields(check: Comparison, side: Side) -> tuple[str, ...]:
    """The fields of this side that the comparison is about, without the day's own where it is the type's."""
    compared: list[str] = []
    if side in check.left:
        compared += [*check.same, *(pair.left for pair in check.compared)]
    if side in check.right:
        compared += [pair.right for pair in check.compared]
    return tuple(dict.fromkeys((*side.fields, *compared)))


def comparable(check: Comparison, catalogue: Catalogue) -> bool:
    """Whether the district has what is compared; of several alternatives those it has."""
    needed = (check.left,) if check.kind == "duplicate" else (check.left, check.right)
    return all(enabled_sides(catalogue, sides) for sides in needed)


def enabled_sides(catalogue: Catalogue, sides: Iterable[Side]) -> list[Side]:
    return [side for side in sides if catalogue.record_types[side.type].enabled]


def comparison_statement(check: Comparison, catalogue: Catalogue) -> str:
    """Upserts the check's items by subject; answers one row: opened, reopened, still open, still closed, gone."""
    return f"""
        WITH found AS ({_found(check, catalogue)}), {_TOWNS}, {_placed(check)}, {_SAVED}, {_VANISHED}
        SELECT count(*) FILTER (WHERE state = 'open' AND opened_at = :now AND times = 1),
               count(*) FILTER (WHERE state = 'open' AND opened_at = :now AND times > 1),
               count(*) FILTER (WHERE state = 'open' AND opened_at <> :now),
               count(*) FILTER (WHERE state = 'closed'), (SELECT count(*) FROM vanished)
          FROM saved
    """


# ---- the records of a side ----


def records_of(check: Comparison, catalogue: Catalogue, sides: Iterable[Side]) -> str:
    """The standing records of these sides, one branch a side: who, when, what the check is about (as a digest)."""
    return " UNION ALL ".join(_branch(check, catalogue, side) for side in enabled_sides(catalogue, sides))


def _branch(check: Comparison, catalogue: Catalogue, side: Side) -> str:
    record_type = catalogue.record_types[side.type]
    about = [f"r.{name}" for name in side_fields(check, side)]
    texts = ", '|', ".join(f"{column}::text" for column in about) or "''"
    pairs = [f"{_as_compared(record_type, name)} AS {alias}" for name, alias in _aliased(check, side)]
    columns = [
        f"r.record_id, '{side.type}'::text AS record_type, '{side.role}'::text AS role, r.source, r.areas",
        f"r.{side.role}_ref AS person_id, {_day(record_type, side)} AS day",
        "(r.recorded_at AT TIME ZONE 'UTC')::date AS told_on",
        f"md5(concat({_day(record_type, side)}, '|', {texts})) AS content",
        *pairs,
    ]
    return f"SELECT {', '.join(columns)} FROM {{d}}.rec_{side.type} r WHERE {_stands(record_type, side)}"


def _aliased(check: Comparison, side: Side) -> list[tuple[str, str]]:
    """Compared fields under names that are the same in every branch."""
    named = [(name, f"same_{rank}") for rank, name in enumerate(check.same)] if side in check.left else []
    for rank, pair in enumerate(check.compared):
        if side in check.left:
            named.append((pair.left, f"left_{rank}"))
        if side in check.right:
            named.append((pair.right, f"right_{rank}"))
    return named


def _as_compared(record_type: RecordType, name: str) -> str:
    """A field's value as text; of a moment only its day."""
    return f"r.{name}::date::text" if record_type.by_name[name].type == "datetime" else f"r.{name}::text"


def _stands(record_type: RecordType, side: Side) -> str:
    tests = ["NOT r.voided", f"r.{side.role}_ref IS NOT NULL"]
    if side.source:
        of_kind = f"SELECT code FROM shared.organisation WHERE kind = '{side.source}'"
        tests.append(f"(r.source = '{side.source}' OR r.source IN ({of_kind}))")
    if side.inside:
        tests.append("r.areas <> '{}'")
    tests += [f"r.{name} IS NULL" for name in side.empty]
    tests += [f"r.{name}::text IN ({_listed(values)})" for name, values in side.where.items()]
    tests += [f"coalesce(r.{name}::text NOT IN ({_listed(values)}), true)" for name, values in side.where_not.items()]
    if side.latest_per:
        tests.append(f"NOT EXISTS ({_later(record_type, side)})")
    return " AND ".join(tests)


def _later(record_type: RecordType, side: Side) -> str:
    """A later record of the same; an identity number stands for its person, as in natural keys."""
    fields = (record_type.by_name[name] for name in side.latest_per)
    columns = [f"{field.role}_ref" if field.part == "id_no" else field.name for field in fields]
    order = "coalesce({day}, '-infinity'::date), {alias}.recorded_at, {alias}.record_id"
    newer = order.format(day=_day(record_type, side, "n"), alias="n")
    older = order.format(day=_day(record_type, side), alias="r")
    same = " AND ".join(f"n.{column} = r.{column}" for column in columns)
    return f"SELECT 1 FROM {{d}}.rec_{side.type} n WHERE NOT n.voided AND {same} AND ({newer}) > ({older})"


def _day(record_type: RecordType, side: Side, alias: str = "r") -> str:
    """The day something happened, or the birthday on which one is old enough."""
    name = side.at or record_type.event_date
    if not name:
        return "NULL::date"
    column = f"{alias}.{name}"
    day = f"to_date({column}, 'YYYY-MM')" if record_type.by_name[name].type == "month" else f"{column}::date"
    return f"({day} + interval '{side.years} years')::date" if side.years else day


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


# ---- what does not go together, by kind ----


def _found(check: Comparison, catalogue: Catalogue) -> str:
    """Pairs (l, r) or single records (l): of several that tell the same, the one that came first. A subject comes once."""
    left, right = (records_of(check, catalogue, sides) for sides in (check.left, check.right or check.left))
    unexplained = [f"NOT EXISTS ({_explains(one)})" for one in _branches(check, catalogue, check.unless)]
    if check.kind == "missing":
        lacks = [f"NOT EXISTS ({_of_person(one)})" for one in _branches(check, catalogue, check.right)]
        tests = " AND ".join([_waited(check), *lacks, *unexplained])
        return f"""
            SELECT DISTINCT ON (l.person_id) l.person_id, {_subject("l")} AS subject, jsonb_build_array({_side("l")}) AS sides,
                   l.areas
              FROM ({left}) l WHERE {tests} ORDER BY l.person_id, l.record_id
        """
    once, order = _ONE_OF[check.kind]
    tests = " AND ".join([*_pair_tests(check), *unexplained])
    return f"""
        SELECT DISTINCT ON ({once}) l.person_id, {_subject("l")} || '|' || {_subject("r")} AS subject,
               jsonb_build_array({_side("l")}, {_side("r")}) AS sides, l.areas || r.areas AS areas
          FROM ({left}) l JOIN ({right}) r ON {_together(check)}
         WHERE {tests} ORDER BY {once}, {order}
    """


# what comes once, and which of the others goes with it
_ONE_OF = {
    "both": ("r.record_type, r.record_id, r.role", "l.record_id"),
    "duplicate": ("r.record_type, r.record_id, r.role", "l.record_id"),
    "order": ("l.record_type, l.record_id, l.role", "r.record_id"),
    "differs": ("l.record_id, l.role, r.record_id, r.role", "l.record_type"),
}


def _branches(check: Comparison, catalogue: Catalogue, sides: Iterable[Side]) -> list[str]:
    return [_branch(check, catalogue, side) for side in enabled_sides(catalogue, sides)]


def _together(check: Comparison) -> str:
    """One join condition that can be hashed."""
    if check.kind != "duplicate":
        return "r.person_id = l.person_id"
    same = [f"r.same_{rank} = l.same_{rank}" for rank in range(len(check.same))]
    person = ["r.person_id = l.person_id"] if check.by_person else []
    return " AND ".join([*person, "r.source = l.source", *same])


def _pair_tests(check: Comparison) -> list[str]:
    if check.kind == "duplicate":
        return ["r.record_id > l.record_id"]
    if check.kind == "order":
        return [f"r.day < l.day - {check.slack_days}"]
    if check.kind == "both":
        return [_waited(check)]
    return [f"({' OR '.join(_says_otherwise(check))})"]


def _says_otherwise(check: Comparison) -> list[str]:
    """An empty field says nothing, nor does a code without an equivalent."""
    tests = []
    for rank, pair in enumerate(check.compared):
        left, right = f"l.left_{rank}", f"r.right_{rank}"
        if pair.equivalent:
            wrong = [
                f"{left} = '{code}' AND {right} NOT IN ({_listed(codes)})" for code, codes in pair.equivalent.items()
            ]
            tests.append("(" + " OR ".join(wrong) + ")")
        else:
            tests.append(f"{left} <> {right}")
    return tests


def _waited(check: Comparison) -> str:
    return f"coalesce(l.day, l.told_on) <= {_DAY} - {check.grace_days}"


def _of_person(branch: str) -> str:
    return f"SELECT 1 FROM ({branch}) o WHERE o.person_id = l.person_id"


def _explains(branch: str) -> str:
    return f"{_of_person(branch)} AND o.day >= l.day"


def _subject(alias: str) -> str:
    return f"{alias}.record_id::text || '/' || {alias}.role"


def _side(alias: str) -> str:
    named = ("record_type", "record_id", "role", "source", "content")
    listed = ", ".join(f"'{name}', {alias}.{name}" for name in named)
    return f"jsonb_build_object({listed}, 'person', {alias}.person_id)"


# ---- who works it off ----

_TOWNS = """
towns AS MATERIALIZED (
    SELECT a.area_id, min(o.code) AS code
      FROM {d}.area_place a
      JOIN shared.organisation o
        ON o.area_id = a.town_id AND o.kind = 'town' AND o.enabled AND o.district = :district
     GROUP BY a.area_id
)
"""


def _placed(check: Comparison) -> str:
    """Each find with its unit: the town of the person's home, else one the records lie in; the bureau for who is not here."""
    unit = _taking_part(check.works)
    if check.works == TOWN:
        of_records = "(SELECT min(t.code) FROM towns t WHERE t.area_id = ANY (f.areas))"
        unit = f"coalesce(h.code, {of_records}, {_taking_part(check.otherwise)})"
    return f"""
        placed AS (
            SELECT f.person_id, f.subject, f.sides, {unit} AS organisation,
                   ARRAY(SELECT DISTINCT a FROM unnest(f.areas) a ORDER BY a) AS areas
              FROM found f
              LEFT JOIN {{d}}.person p ON p.person_id = f.person_id
              LEFT JOIN towns h ON h.area_id = p.home_area
        )
    """


def _taking_part(code: str) -> str:
    """The organisation, if it takes part here; else the bureau."""
    here = "FROM shared.organisation WHERE enabled AND district = :district AND"
    return f"coalesce((SELECT code {here} code = '{code}'), (SELECT min(code) {here} kind = 'bureau'), '{code}')"


# ---- the worked list ----

# Persons who were merged or split do not change what the records say.
_SAYS = "(({alias}.sides #- '{{0,person}}') #- '{{1,person}}')"
_CHANGED = f"{_SAYS.format(alias='item')} IS DISTINCT FROM {_SAYS.format(alias='excluded')}"
_AGAIN = f"(item.state = 'gone' OR item.state = 'closed' AND {_CHANGED})"
_SAVED = f"""
saved AS (
    INSERT INTO {{d}}.comparison_item AS item
           (item_id, check_code, subject, person_id, sides, organisation, areas, state, opened_at, last_seen_at)
    SELECT (lpad(to_hex(CAST(:millis AS bigint)), 12, '0') || '7'
               || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid,
           :check, subject, person_id, sides, organisation, areas, 'open', :now, :now
      FROM placed
    ON CONFLICT (check_code, subject) DO UPDATE
       SET person_id = excluded.person_id, sides = excluded.sides, areas = excluded.areas,
           organisation = excluded.organisation, last_seen_at = excluded.last_seen_at,
           state = CASE WHEN {_AGAIN} THEN 'open' ELSE item.state END,
           times = item.times + CASE WHEN {_AGAIN} THEN 1 ELSE 0 END,
           opened_at = CASE WHEN {_AGAIN} THEN excluded.opened_at ELSE item.opened_at END,
           closed_at = CASE WHEN {_AGAIN} THEN NULL ELSE item.closed_at END,
           closed_by = CASE WHEN {_AGAIN} THEN NULL ELSE item.closed_by END
    RETURNING item.state, item.opened_at, item.times
)
"""
_VANISHED = """
vanished AS (
    UPDATE {d}.comparison_item item SET state = 'gone', closed_at = :now, closed_by = NULL
     WHERE item.check_code = :check AND item.state <> 'gone'
       AND NOT EXISTS (SELECT 1 FROM placed WHERE placed.subject = item.subject)
    RETURNING item.item_id
)
"""
RETIRED = """
UPDATE {d}.comparison_item SET state = 'gone', closed_at = :now, closed_by = NULL
 WHERE state <> 'gone' AND check_code <> ALL (CAST(:known AS text[]))
RETURNING item_id
"""
