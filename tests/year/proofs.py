"""What must be true of a year: asked of the register and the account, held against what really happened."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hub.casework.standing import standing_sql
from tests.year.rows import KEYS, village_code
from tests.year.world import MONTHS, Person, month_end

if TYPE_CHECKING:
    from tests.year.loop import Year

FLOWS = "start + opening + births - deaths + moved_in - moved_out + corrected_in - corrected_out"
BALANCES = f'{FLOWS} + adjusted_in - adjusted_out + excused = "end"'
Rows = list[tuple[object, ...]]


def residents(year: Year, month: int) -> dict[Person, int]:
    """Who stands in the register at the end of a month, by what is known now, and in which village."""
    rows = year.register.ask(
        f"SELECT s.person_id, s.area FROM ({standing_sql(year.register.catalogue)}) s", day=month_end(month)
    )
    known, villages = _known_people(year), year.village_ids()
    stands: dict[Person, int] = {}
    for person_id, area in rows:
        person = known[person_id]
        assert person not in stands, f"{person.name} stands twice"
        stands[person] = villages[int(str(area))]
    return stands


def _known_people(year: Year) -> dict[object, Person]:
    """Whom the hub's persons are: by number, else by name and day of birth."""
    everybody = [*year.world.people, *year.towns.never_there, *year.departments.told_of]
    numbers = {person.id_no: person for person in everybody}
    names = {(person.name, str(person.born)): person for person in everybody}
    known: dict[object, Person] = {}
    for person_id, name, born in year.register.ask(_NAMED):
        if (str(name), str(born)) in names:
            known[person_id] = names[str(name), str(born)]
    for person_id, number in year.register.ask(_NUMBERED):
        if str(number) in numbers:
            known[person_id] = numbers[str(number)]
    return known


def differences(year: Year) -> list[str]:
    """Everybody the register has elsewhere than they are; empty when it tells the truth."""
    last = year.months - 1
    books, truth = residents(year, last), year.world.living_on(month_end(last))
    return [
        f"{one.name} {one.id_no}: {_place(year, books.get(one))}, in truth {_place(year, truth.get(one))} {one.stays}"
        for one in {**books, **truth}
        if books.get(one) != truth.get(one)
    ]


def _place(year: Year, village: int | None) -> str:
    return "nowhere" if village is None else village_code(year.world, village)


def wrong_counts(year: Year) -> Rows:
    """Areas whose last line of the account ends in another number than live there: villages, towns and the district."""
    truth: Counter[int] = Counter()
    areas = year.register.areas()
    for village in year.world.living_on(month_end(year.months - 1)).values():
        area = areas.codes[village_code(year.world, village)]
        truth.update((area, areas.town_of[area], areas.parent[areas.town_of[area]] or 0))
    counted = year.register.ask('SELECT area, "end" FROM {d}.balance WHERE month = :month', month=_last_month(year))
    ends = {int(str(area)): int(str(end)) for area, end in counted}
    return [(area, ends.get(area), truth[area]) for area in {**ends, **truth} if ends.get(area, 0) != truth[area]]


def _last_month(year: Year) -> str:
    return MONTHS[year.months - 1]


def out_of_balance(year: Year) -> Rows:
    """Lines of the account that do not add up, or do not begin where the month before ended."""
    return [*year.register.ask(_DOES_NOT_ADD_UP), *year.register.ask(_DOES_NOT_FOLLOW)]


def open_lines(year: Year) -> set[tuple[str, int, str]]:
    """Month, town and record of every line nobody answered."""
    areas = year.register.areas()
    towns = {areas.codes[year.world.district.towns[town].code]: town for town in year.offices()}
    rows = year.register.ask(_OPEN)
    return {(str(month), towns[int(str(town))], str(record)) for month, town, record in rows}


def unsettled(year: Year) -> Rows:
    """Challenges that are not over, and records that are still marked as disputed."""
    marked = " UNION ALL ".join(
        f"SELECT '{code}', count(*)::text FROM {{d}}.rec_{code} WHERE disputed AND NOT voided HAVING count(*) > 0"
        for code in KEYS
    )
    over = "SELECT kind, state FROM {d}.challenge WHERE state NOT IN ('closed', 'withdrawn')"
    return [*year.register.ask(over), *year.register.ask(marked)]


def lost_changes(year: Year) -> Rows:
    """Changes of the log up to the last round that touch a town and are on no town's list."""
    return year.register.ask(_LOST, types=list(KEYS))


_NUMBERED = """
SELECT coalesce(p.merged_into, p.person_id), i.value FROM {d}.person_identifier i JOIN {d}.person p USING (person_id)
WHERE i.kind = 'id_no'
"""
_NAMED = """
SELECT child_ref, child_name, child_birth_date FROM {d}.rec_birth_certificate
UNION ALL SELECT person_ref, name, birth_date FROM {d}.rec_town_arrival
"""
_DOES_NOT_ADD_UP = f"SELECT month, area, unexplained FROM {{d}}.balance WHERE NOT ({BALANCES}) OR unexplained <> 0"
_DOES_NOT_FOLLOW = """
SELECT b.month, b.area, b.start, sum(p."end") FROM {d}.balance b
JOIN {d}.area a ON a.area_id = b.area OR a.successor_id = b.area
JOIN {d}.balance p ON p.area = a.area_id AND p.month = (SELECT max(month) FROM {d}.balance_month WHERE month < b.month)
GROUP BY 1, 2, 3 HAVING b.start <> sum(p."end")
"""
_OPEN = """
SELECT m.month, i.town, i.record_id FROM {d}.round_item i JOIN {d}.monthly_round m USING (round_id) WHERE i.state = 'open'
"""
_LOST = """
SELECT c.seq, c.record_type, c.op FROM {d}.change_log c
WHERE c.seq <= (SELECT max(up_to_seq) FROM {d}.monthly_round) AND c.op IN ('new', 'update', 'void', 'restore')
  AND c.record_type = ANY (CAST(:types AS text[]))
  AND NOT EXISTS (SELECT 1 FROM {d}.round_change r WHERE r.seq = c.seq)
"""
