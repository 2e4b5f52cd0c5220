"""Finding a person: by their number, or by name with an area or a birth date. Never a way to list people.

Towns find who lives in their own area and whom their records name; departments only a number they already have, of a
person they have records of; the bureau anybody, masked, with a reason. Every search is counted and noted, found or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, ClassVar, Literal, cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection, literal_column
from sqlalchemy.dialects import postgresql

from hub import audit
from hub.database import run_sql, utc_now
from hub.errors import BadRequest, HubError, NotAllowed
from hub.people.name_keys import name_key
from hub.people.purposes import Purpose, oversees
from hub.people.relations import part_in
from hub.people.seeing import Reader, SeenRecord, close, reader_of, see_records
from hub.people.telling import Teller
from hub.registry.areas import AreaIndex
from hub.registry.organisations import AREA_KINDS
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import open_homes, open_identifier
from mappings.catalogue import Catalogue, Field

MOST_ANSWERS, LEAST_NAME = 50, 2
SEARCHES_A_DAY = 300
_LAST_LETTER = "\U0010ffff"
_NUMBER = re.compile(r"[0-9A-Z]{6,30}")
_HOME: Any = literal_column("p.home_area")
Criterion = Literal["id_no", "name", "area", "birth_date"]


class TooLittleAsked(BadRequest):
    """请填完整身份号码，或姓名（至少两字）加区划或出生日期。 Give a whole number, or a name with an area or a birth date."""

    problem = "too-little-asked"


class NumberNeeded(NotAllowed):
    """部门只能凭完整身份号码查找，可同时填姓名核对。 A department finds people by their whole identity number only."""

    problem = "number-needed"


class NotOwnArea(NotAllowed):
    """只能查找本辖区的人员。 Only people of one's own area can be found."""

    problem = "not-own-area"


class TooManySearches(HubError):
    """今天的查找次数已用完，请明天再试或联系区信息中心。 No searches are left today: try tomorrow, or ask the operators."""

    status: ClassVar[int] = 429
    problem: ClassVar[str] = "too-many-searches"


def area_named(areas: AreaIndex, code: str) -> int | None:
    """The area a door was given by its code; None where none was given."""
    if not code:
        return None
    if code not in areas.codes:
        raise BadRequest(f"没有区划 {code[:20]}。 No area has the code {code[:20]}.")
    return areas.codes[code]


class FoundPerson(msgspec.Struct, frozen=True, kw_only=True):
    """Enough to choose the right one, as the reader may read it."""

    person_id: UUID
    name: str
    id_no: str
    birth_date: str
    home: str


class Found(msgspec.Struct, frozen=True, kw_only=True):
    people: tuple[FoundPerson, ...]
    more: bool  # there are others: ask more narrowly


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched for, written one way."""

    name: str  # as a key
    area: int | None
    birth_date: date | None
    id_no: str

    @property
    def criteria(self) -> list[Criterion]:
        given: dict[Criterion, object] = {
            "id_no": self.id_no, "name": self.name, "area": self.area, "birth_date": self.birth_date,
        }  # fmt: skip
        return [name for name, value in given.items() if value]


def find_people(
    connection: Connection, actor: Actor, catalogue: Catalogue, areas: AreaIndex, *, name: str = "",
    area: int | None = None, birth_date: date | None = None, id_no: str = "", purpose: Purpose,
    limit: int = MOST_ANSWERS, a_day: int = SEARCHES_A_DAY, today: date | None = None,
) -> Found:  # fmt: skip
    """Whoever fits, at most ``limit``; TooLittleAsked, NumberNeeded, NotOwnArea or TooManySearches where it may not be."""
    require(actor, Right.READ_PERSON, Right.OPERATE)
    asked = Asked(name=name_key(name.strip()), area=area, birth_date=birth_date, id_no=_one_way(id_no))
    _refuse_too_wide(actor, areas, asked)
    _count_search(connection, actor, a_day, today or utc_now().date())
    reader = reader_of(connection, actor, catalogue, areas)
    teller = Teller(catalogue=catalogue, areas=areas, view=reader.view)
    most = min(limit, MOST_ANSWERS)
    finding = _by_number if asked.id_no else _by_name
    fitting = finding(connection, reader, teller, asked, most)
    found = Found(people=tuple(fitting[:most]), more=len(fitting) > most)
    _note_search(connection, actor, asked, found, purpose)
    return found


def _one_way(number: str) -> str:
    return "".join(number.split()).upper()


def _refuse_too_wide(actor: Actor, areas: AreaIndex, asked: Asked) -> None:
    if asked.id_no:
        if not _NUMBER.fullmatch(asked.id_no):
            raise TooLittleAsked()
        return
    if len(asked.name) < LEAST_NAME or "\0" in asked.name or not (asked.area or asked.birth_date):
        raise TooLittleAsked()
    if not oversees(actor) and actor.kind not in AREA_KINDS:
        raise NumberNeeded()
    if asked.area is not None and asked.area not in areas.kind:
        raise BadRequest(f"没有现行区划 {asked.area}。 No such area in force.")


def _count_search(connection: Connection, actor: Actor, a_day: int, today: date) -> None:
    """One row an account, begun anew every day; what was refused is not counted."""
    rows = run_sql(
        connection,
        "INSERT INTO {d}.person_search AS s (account, organisation, day, searches)"
        " VALUES (:account, :organisation, :today, 1) ON CONFLICT (account) DO UPDATE SET day = excluded.day,"
        " searches = CASE WHEN s.day = excluded.day THEN s.searches + 1 ELSE 1 END RETURNING searches",
        account=actor.name, organisation=actor.organisation, today=today,
    )  # fmt: skip
    if cast(int, rows[0][0]) > a_day:
        raise TooManySearches(a_day=a_day)


def _note_search(connection: Connection, actor: Actor, asked: Asked, found: Found, purpose: Purpose) -> None:
    people = [str(one.person_id) for one in found.people]
    audit.record(
        connection, actor, Right.READ_PERSON, "people", what="search", criteria=asked.criteria, count=len(people),
        more=found.more, purpose=purpose.code, reason=purpose.text, digest=audit.digest_of(people),
    )  # fmt: skip


# ---- by a number ----


def _by_number(connection: Connection, reader: Reader, teller: Teller, asked: Asked, most: int) -> list[FoundPerson]:
    """Whose number this is or was, if the reader may see anything of them; a name or a birth date given must fit."""
    open_identifier(connection, asked.id_no)
    owners = run_sql(
        connection,
        "SELECT DISTINCT person_id FROM {d}.person_identifier WHERE value = :value AND kind IN ('id_no', 'birth_cert')",
        value=asked.id_no,
    )
    close(connection, reader.actor)
    people = [cast(UUID, person) for (person,) in owners]
    records = see_records(connection, reader, people) if people else []
    return [*_of_records(teller, asked, people, records)][: most + 1]


def _of_records(
    teller: Teller, asked: Asked, people: Sequence[UUID], records: Sequence[SeenRecord]
) -> Iterator[FoundPerson]:
    """What the reader's own records say of them, the newest first: nothing of a profile that rests on others'."""
    newest = sorted(records, key=lambda one: one.recorded_at, reverse=True)
    for person in people:
        theirs = [(one, role) for one in newest for role, who in one.people.items() if who == person]
        if theirs and _fits(teller.catalogue, asked, theirs):
            said = {part: _first_said(teller, theirs, part) for part in ("name", "id_no", "birth_date")}
            yield FoundPerson(person_id=person, home="", **said)


def _fits(catalogue: Catalogue, asked: Asked, theirs: Sequence[tuple[SeenRecord, str]]) -> bool:
    names = {name_key(str(value)) for value in _said(catalogue, theirs, "name")}
    born = {str(value) for value in _said(catalogue, theirs, "birth_date")}
    if asked.name and asked.name not in names:
        return False
    return not asked.birth_date or asked.birth_date.isoformat() in born


def _said(catalogue: Catalogue, theirs: Sequence[tuple[SeenRecord, str]], part: str) -> Iterator[object]:
    for record, role in theirs:
        for field in catalogue.record_types[record.record_type].plain_fields:
            if (field.role, field.part) == (role, part) and record.values.get(field.name):
                yield record.values[field.name]


def _first_said(teller: Teller, theirs: Sequence[tuple[SeenRecord, str]], part: str) -> str:
    types = teller.catalogue.record_types
    said = (part_in(types[record.record_type], teller, record, role, part) for record, role in theirs)
    return next(filter(None, said), "")


# ---- by a name ----


def _by_name(connection: Connection, reader: Reader, teller: Teller, asked: Asked, most: int) -> list[FoundPerson]:
    """Who lives in the reader's own area; for the bureau in the area named, or in the district."""
    if oversees(reader.actor):
        wanted = [asked.area] if asked.area else _towns(teller.areas)
        open_homes(connection, wanted)
        found = _profiles(connection, teller, asked, _named(asked, "true"), most + 1)
        close(connection, reader.actor)
        return found
    if asked.area is not None and not reader.scope.in_own_areas(asked.area):
        raise NotOwnArea()
    own = reader.scope.people(_HOME).compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call]
    return _profiles(connection, teller, asked, _named(asked, str(own)), most + 1)


def _towns(areas: AreaIndex) -> list[int]:
    return [area_id for area_id, kind in areas.kind.items() if kind == "town"]


def _named(asked: Asked, own: str) -> str:
    """A range instead of LIKE: the index serves it behind row security too."""
    tests = ["f.name_key >= :name AND f.name_key < :beyond", f"({own})"]
    if asked.area is not None:
        tests.append("f.home_area = ANY (CAST(:homes AS integer[]))")
    return " AND ".join(tests)


def _profiles(connection: Connection, teller: Teller, asked: Asked, rows: str, most: int) -> list[FoundPerson]:
    """Profiles of persons who stand: neither merged away nor erased."""
    if asked.birth_date:
        rows += " AND f.birth_date = :born"
    homes = teller.areas.expand(asked.area) if asked.area is not None else ()
    found = run_sql(
        connection,
        "SELECT f.person_id, f.name, f.id_no, f.birth_date, f.home_area FROM {d}.person_profile f"
        " JOIN {d}.person p ON p.person_id = f.person_id AND p.merged_into IS NULL AND p.erased_at IS NULL"
        f" WHERE {rows} ORDER BY f.name_key, f.birth_date, f.person_id LIMIT :most",
        **_bound(rows, {
            "name": asked.name, "beyond": _beyond(asked.name), "born": asked.birth_date, "homes": list(homes),
        }),
        most=most,
    )  # fmt: skip
    return [_found_person(teller, row) for row in found]


def _bound(rows: str, values: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if f":{name}" in rows}


def _beyond(key: str) -> str:
    """After all that begin with the key, in the order of code points: no name goes on with the last of them."""
    return key + _LAST_LETTER if key else ""


_NAME, _ID_NO, _BORN = (
    Field(name=name, title="", type=cast(Any, kind), sensitivity="sensitive")
    for name, kind in (("name", "name"), ("id_no", "id_no"), ("birth_date", "date"))
)
_LIVES = Field(name="home", title="", type="area", sensitivity="personal")


def _found_person(teller: Teller, row: tuple[object, ...]) -> FoundPerson:
    person_id, name, number, born, home = row
    area = teller.areas.code_of.get(cast(int, home)) if home else None
    return FoundPerson(
        person_id=cast(UUID, person_id),
        name=teller.words(_NAME, name).title,
        id_no=teller.words(_ID_NO, number).title,
        birth_date=teller.words(_BORN, born).title,
        home=teller.words(_LIVES, area).title,
    )
