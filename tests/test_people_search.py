"""Finding a person: enough has to be asked, little is answered, every search is counted and noted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from msgspec import structs

from hub.database import Database, new_uuid, run_sql, utc_now
from hub.embedded import Cluster
from hub.errors import BadRequest, NotAllowed
from hub.people.search import (
    Found,
    NotOwnArea,
    NumberNeeded,
    TooLittleAsked,
    TooManySearches,
    find_people,
)
from hub.registry.permissions import Actor
from hub.registry.scope import reach_of
from mappings.catalogue import Catalogue
from tests.district import BAILU, GUANGMING, QINGXI
from tests.settled_people import (
    BUREAU,
    CERTIFICATE,
    CLERK,
    COMMERCE,
    HEALTH,
    LABOUR,
    MEI,
    NAMES,
    NOBODY,
    QIANG,
    REASONED,
    TOWN,
    YUAN,
    Settled,
    settled_people,
)
from tests.test_rights_matrix import switch_scopes_off

Ground = tuple[Settled, Database, Database]
BORN = date(1990, 3, 7)


@pytest.fixture(scope="module")
def ground(cluster: Cluster, catalogue: Catalogue) -> Iterator[Ground]:
    with settled_people(cluster, catalogue, "people_search") as settled:
        yield settled


def find(ground: Ground, who: Actor, catalogue: Catalogue, *, wall: bool = True, **asked: Any) -> Found:
    settled, served, owner = ground
    with (served if wall else owner).begin(reach_of(who)) as connection:
        return find_people(connection, who, catalogue, settled.areas, purpose=REASONED, **asked)


def ids(found: Found) -> set[object]:
    return {one.person_id for one in found.people}


# ---- towns ----


def test_a_town_finds_who_lives_in_its_area_by_the_beginning_of_the_name(ground: Ground, catalogue: Catalogue) -> None:
    settled = ground[0]
    found = find(ground, TOWN, catalogue, name="李 晓", area=QINGXI)
    assert ids(found) == {settled[MEI]}
    assert found.people[0].name == NAMES[MEI]
    assert found.people[0].id_no == f"{MEI[:6]}********{MEI[-4:]}"
    assert found.people[0].home == "光明社区"
    assert ids(find(ground, TOWN, catalogue, name="王志", birth_date=BORN)) == {settled[QIANG]}
    assert ids(find(ground, TOWN, catalogue, name="王志", birth_date=date(1991, 3, 7))) == set()


def test_a_town_finds_nobody_elsewhere(ground: Ground, catalogue: Catalogue) -> None:
    with pytest.raises(NotOwnArea):
        find(ground, TOWN, catalogue, name="赵思", area=BAILU)
    assert ids(find(ground, TOWN, catalogue, id_no=YUAN)) == set()
    assert ids(find(ground, TOWN, catalogue, name="赵思", birth_date=BORN)) == set()


def test_with_the_scopes_saying_yes_row_security_still_keeps_the_neighbours_out(
    ground: Ground, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch_scopes_off(monkeypatch)
    asked: dict[str, Any] = {"name": "赵思", "area": BAILU}
    assert ids(find(ground, TOWN, catalogue, **asked)) == set()
    assert ids(find(ground, TOWN, catalogue, id_no=YUAN)) == set()
    assert ids(find(ground, TOWN, catalogue, **asked, wall=False)) == {ground[0][YUAN]}  # both down: the test can fail


def test_without_row_security_the_scopes_keep_them_out(ground: Ground, catalogue: Catalogue) -> None:
    assert ids(find(ground, TOWN, catalogue, id_no=YUAN, wall=False)) == set()
    assert ids(find(ground, COMMERCE, catalogue, id_no=QIANG, wall=False)) == set()


# ---- departments ----


def test_a_department_finds_a_whole_number_of_somebody_it_has_records_of(ground: Ground, catalogue: Catalogue) -> None:
    settled = ground[0]
    assert ids(find(ground, LABOUR, catalogue, id_no=f" {MEI.lower()} ")) == {settled[MEI]}
    assert ids(find(ground, LABOUR, catalogue, id_no=MEI, name="李晓梅")) == {settled[MEI]}
    assert ids(find(ground, LABOUR, catalogue, id_no=MEI, name="李小梅")) == set()
    assert ids(find(ground, LABOUR, catalogue, id_no=QIANG)) == set()
    assert ids(find(ground, CLERK, catalogue, id_no=YUAN)) == {settled[YUAN]}


def test_a_slice_finds_whom_it_speaks_of_and_shows_its_own_fields(ground: Ground, catalogue: Catalogue) -> None:
    found = find(ground, COMMERCE, catalogue, id_no=MEI)
    assert ids(found) == {ground[0][MEI]}
    assert (found.people[0].name, found.people[0].birth_date) == ("", "")  # its slice has the number alone
    assert ids(find(ground, HEALTH, catalogue, id_no=MEI)) == set()  # the mother is not told by its slice of births
    assert ids(find(ground, HEALTH, catalogue, id_no=CERTIFICATE)) == {ground[0][CERTIFICATE]}


def test_a_department_cannot_browse_names(ground: Ground, catalogue: Catalogue) -> None:
    with pytest.raises(NumberNeeded):
        find(ground, LABOUR, catalogue, name="李晓", area=GUANGMING)


# ---- the bureau ----


def test_the_bureau_finds_anybody_masked(ground: Ground, catalogue: Catalogue) -> None:
    settled = ground[0]
    for asked in ({"id_no": MEI}, {"name": "李晓", "area": QINGXI}, {"name": "李晓", "birth_date": BORN}):
        found = find(ground, BUREAU, catalogue, **asked)
        assert ids(found) == {settled[MEI]}
        assert not [value for value in (MEI, NAMES[MEI], "光明社区", "1990-03-07") if value in repr(found)]
    assert ids(find(ground, BUREAU, catalogue, name="李晓", area=BAILU)) == set()


def test_a_corrected_number_still_finds_the_person(ground: Ground, catalogue: Catalogue) -> None:
    settled, _, owner = ground
    former = f"{MEI[:-4]}0000"
    with owner.begin() as connection:
        run_sql(connection, _FORMER, value=former, person=settled[MEI], now=MEI)
    assert ids(find(ground, BUREAU, catalogue, id_no=former)) == {settled[MEI]}
    assert ids(find(ground, LABOUR, catalogue, id_no=former)) == {settled[MEI]}


_FORMER = (
    "INSERT INTO {d}.person_identifier (kind, value, person_id, replaced_by) VALUES ('id_no', :value, :person, :now)"
)

# ---- never a list ----


@pytest.mark.parametrize(
    "asked",
    [
        {}, {"name": "李"}, {"name": "李", "area": QINGXI}, {"name": "李晓"}, {"area": QINGXI}, {"birth_date": BORN},
        {"name": "李·", "area": QINGXI}, {"id_no": "999"}, {"id_no": "' OR 1=1"}, {"name": "李\0晓", "area": QINGXI},
    ],
)  # fmt: skip
def test_too_little_is_asked(ground: Ground, catalogue: Catalogue, asked: dict[str, Any]) -> None:
    with pytest.raises(TooLittleAsked):
        find(ground, TOWN, catalogue, **asked)


@pytest.mark.parametrize("last", ["\ud7ff", "\U0010ffff"])
def test_a_name_may_end_in_any_letter(ground: Ground, catalogue: Catalogue, last: str) -> None:
    assert find(ground, BUREAU, catalogue, name=f"李{last}", birth_date=BORN).people == ()


def test_an_area_that_is_none_is_refused(ground: Ground, catalogue: Catalogue) -> None:
    with pytest.raises(BadRequest):
        find(ground, BUREAU, catalogue, name="李晓", area=999)


def test_no_more_than_fifty_are_answered_and_it_is_said_that_there_are_others(
    ground: Ground, catalogue: Catalogue
) -> None:
    _, _, owner = ground
    with owner.begin() as connection:
        for number in range(60):
            run_sql(connection, _NAMESAKE, id=new_uuid(), name=f"孙同名{number}", home=GUANGMING, now=utc_now())
    found = find(ground, TOWN, catalogue, name="孙同", area=GUANGMING, limit=1_000)
    assert (len(found.people), found.more) == (50, True)
    assert len(find(ground, TOWN, catalogue, name="孙同", area=GUANGMING, limit=7).people) == 7


_NAMESAKE = """
WITH made AS (INSERT INTO {d}.person (person_id, home_area, created_at) VALUES (:id, :home, :now))
INSERT INTO {d}.person_profile (person_id, name, name_key, home_area, attributes, disagreeing, derived_at)
VALUES (:id, :name, :name, :home, '{}', '{}', :now)
"""


def test_merged_and_erased_persons_are_not_found(ground: Ground, catalogue: Catalogue) -> None:
    _, _, owner = ground
    merged, erased = new_uuid(), new_uuid()
    with owner.begin() as connection:
        for person in (merged, erased):
            run_sql(connection, _NAMESAKE, id=person, name="周不见", home=GUANGMING, now=utc_now())
        assert len(find(ground, TOWN, catalogue, name="周不", area=GUANGMING).people) == 0  # not yet committed
    assert ids(find(ground, TOWN, catalogue, name="周不", area=GUANGMING)) == {merged, erased}
    with owner.begin() as connection:
        run_sql(connection, "UPDATE {d}.person SET merged_into = :kept WHERE person_id = :id", kept=erased, id=merged)
        run_sql(connection, "UPDATE {d}.person SET erased_at = :now WHERE person_id = :id", now=utc_now(), id=erased)
    assert ids(find(ground, TOWN, catalogue, name="周不", area=GUANGMING)) == set()


def test_a_days_searches_are_limited_and_begin_anew_the_next_day(ground: Ground, catalogue: Catalogue) -> None:
    who = structs.replace(LABOUR, name="busy")
    asked: dict[str, Any] = {"id_no": YUAN, "a_day": 3}
    for _ in range(3):
        find(ground, who, catalogue, **asked, today=date(2026, 7, 1))
    with pytest.raises(TooManySearches):
        find(ground, who, catalogue, **asked, today=date(2026, 7, 1))
    find(ground, who, catalogue, **asked, today=date(2026, 7, 2))


def test_who_has_not_the_right_finds_nobody(ground: Ground, catalogue: Catalogue) -> None:
    with pytest.raises(NotAllowed):
        find(ground, NOBODY, catalogue, id_no=MEI)


def test_every_search_is_noted_with_what_kind_of_thing_was_asked_and_no_value(
    ground: Ground, catalogue: Catalogue
) -> None:
    find(ground, BUREAU, catalogue, id_no="999001199901019999", name="吴有人")
    with ground[2].begin() as connection:
        object_, facts = run_sql(connection, _LAST_LINE)[0]
    assert object_ == "people"
    assert (facts["criteria"], facts["count"], facts["purpose"]) == (["id_no", "name"], 0, "other")  # type: ignore[index]
    assert "吴有人" not in repr(facts)
    assert "999001199901019999" not in repr(facts)


_LAST_LINE = "SELECT object, facts FROM {d}.audit WHERE act = 'read-person' ORDER BY audit_id DESC LIMIT 1"
