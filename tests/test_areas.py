"""Areas keep their ids while lists are renewed, towns merge and split, and villages are renamed."""

from datetime import date

import pytest
from sqlalchemy import select, update

from hub.database import Database
from hub.errors import BadRequest, Conflict, NotAllowed, NotFound
from hub.registry.area_changes import merge_areas, recode_area, split_area
from hub.registry.areas import AreaIndex, AreaRow, import_areas, load_area_index
from hub.registry.permissions import SYSTEM_ACTOR, Actor
from hub.tables import area, area_version
from hub.tables import audit as audit_table

FOUNDED, LATER, LATEST = date(2020, 1, 1), date(2026, 7, 1), date(2026, 10, 1)
DISTRICT = AreaRow("999001000000", "云岭区", "district")
QINGXI = AreaRow("999001001000", "清溪街道", "town", DISTRICT.code)
BAILU = AreaRow("999001100000", "白鹭镇", "town", DISTRICT.code)
GUANGMING = AreaRow("999001001001", "光明社区居民委员会", "village", QINGXI.code)
EAST_WIND = AreaRow("999001001200", "东风村", "village", QINGXI.code)
OTHER_EAST_WIND = AreaRow("999001100200", "东风村", "village", BAILU.code)
PINE = AreaRow("999001100201", "松岗村（原老松村）", "village", BAILU.code)
LIST = (DISTRICT, QINGXI, BAILU, GUANGMING, EAST_WIND, OTHER_EAST_WIND, PINE)


@pytest.fixture
def index(database: Database) -> AreaIndex:
    with database.begin() as connection:
        import_areas(connection, SYSTEM_ACTOR, LIST, FOUNDED)
        return load_area_index(connection)


def reload(database: Database) -> AreaIndex:
    with database.read() as connection:
        return load_area_index(connection)


def test_the_same_list_again_changes_nothing(database: Database, index: AreaIndex) -> None:
    with database.begin() as connection:
        again = import_areas(connection, SYSTEM_ACTOR, LIST, LATER)
    assert (again.added, again.changed, again.unchanged, again.missing) == ((), (), len(LIST), ())
    assert reload(database) == index
    assert sorted(index.code_of) == list(range(1, len(LIST) + 1))


def test_an_area_is_found_by_every_form_of_its_code(index: AreaIndex) -> None:
    assert index.codes["999001"] == index.codes[DISTRICT.code]
    assert index.codes["999001100"] == index.codes[BAILU.code]
    assert index.town_of[index.codes[PINE.code]] == index.codes["999001100"]
    assert index.town_of[index.codes["999001100"]] == index.codes["999001100"]
    assert index.codes["999001"] not in index.town_of


def test_a_village_is_found_by_old_new_short_and_long_names(index: AreaIndex) -> None:
    pine, light = index.codes[PINE.code], index.codes[GUANGMING.code]
    for name in ("松岗村（原老松村）", "松岗村(原老松村)", "松岗村", "老松村"):
        assert index.names[name] == (pine,)
    assert index.names["光明社区"] == index.names["光明社区居民委员会"] == (light,)


def test_a_name_used_twice_needs_its_town(index: AreaIndex) -> None:
    assert len(index.names["东风村"]) == 2
    assert index.named("东风村", index.codes["999001100"]) == (index.codes[OTHER_EAST_WIND.code],)
    assert index.named("无此村") == ()


def test_the_index_is_kept_while_nothing_changes_and_never_longer(database: Database, index: AreaIndex) -> None:
    """Also not for another transaction's change, nor for one of our own that is taken back."""
    with database.begin() as ours:
        assert load_area_index(ours) is load_area_index(ours)
        with database.begin() as another:
            recode_area(another, SYSTEM_ACTOR, index.codes[EAST_WIND.code], "999001001288", EAST_WIND.name, LATER)
            assert "999001001288" not in load_area_index(ours).codes
        assert "999001001288" in load_area_index(ours).codes
        before = load_area_index(ours)
        with ours.begin_nested() as taken_back:
            successor = update(area).where(area.c.area_id == before.codes[PINE.code])
            ours.execute(successor.values(successor_id=before.codes[OTHER_EAST_WIND.code]))
            assert before.codes[PINE.code] in load_area_index(ours).successor
            taken_back.rollback()
        assert load_area_index(ours) is before


def test_an_area_expands_to_all_below(index: AreaIndex) -> None:
    bailu = index.codes[BAILU.code]
    assert index.expand(bailu) == tuple(sorted((bailu, index.codes[OTHER_EAST_WIND.code], index.codes[PINE.code])))
    assert index.expand(index.codes["999001"]) == tuple(range(1, len(LIST) + 1))
    assert index.expand(4711) == ()


def test_a_newer_list_adds_and_leaves_what_it_does_not_name(database: Database, index: AreaIndex) -> None:
    new = AreaRow("999001100202", "柳坪村", "village", BAILU.code)
    with database.begin() as connection:
        done = import_areas(connection, SYSTEM_ACTOR, [*LIST[:-1], new], LATER)
    assert (done.added, done.missing) == ((new.code,), (PINE.code,))
    after = reload(database)
    assert after.codes[new.code] == len(LIST) + 1
    assert after.codes[PINE.code] in after.kind


def test_another_name_for_a_known_code_is_refused_unless_said_to_be_the_same(
    database: Database, index: AreaIndex
) -> None:
    renamed = AreaRow(PINE.code, "松岗新村", "village", BAILU.code)
    with database.begin() as connection, pytest.raises(BadRequest, match="松岗新村"):
        import_areas(connection, SYSTEM_ACTOR, [*LIST[:-1], renamed], LATER)
    with database.begin() as connection:
        done = import_areas(connection, SYSTEM_ACTOR, [*LIST[:-1], renamed], LATER, {PINE.code: PINE.code})
    after = reload(database)
    assert done.changed == (PINE.code,)
    assert after.name_of[index.codes[PINE.code]] == "松岗新村"
    assert after.names["老松村"] == after.names["松岗新村"]


def test_a_recoded_village_keeps_its_id_and_is_found_by_both_codes(database: Database, index: AreaIndex) -> None:
    recoded = AreaRow("999001100299", PINE.name, "village", BAILU.code)
    newer = [*LIST[:-1], recoded]
    same_as = {recoded.code: PINE.code}
    for expected in ((recoded.code,), ()):
        with database.begin() as connection:
            assert import_areas(connection, SYSTEM_ACTOR, newer, LATER, same_as).changed == expected
    after = reload(database)
    assert after.codes[recoded.code] == after.codes[PINE.code] == index.codes[PINE.code]
    assert after.code_of[index.codes[PINE.code]] == recoded.code


def test_an_old_list_after_a_recoding_is_refused(database: Database, index: AreaIndex) -> None:
    with database.begin() as connection:
        recode_area(connection, SYSTEM_ACTOR, index.codes[PINE.code], "999001100299", PINE.name, LATER)
    with database.begin() as connection, pytest.raises(BadRequest, match="a former code, now 999001100299"):
        import_areas(connection, SYSTEM_ACTOR, LIST, LATER)


@pytest.mark.parametrize(
    "row",
    [
        AreaRow("99900110020", "短村", "village", BAILU.code),
        AreaRow("99900110020Ⅱ", "怪村", "village", BAILU.code),
        AreaRow("999001100300", " ", "village", BAILU.code),
        AreaRow("999001100300", "无上级村", "village"),
        AreaRow("999001100300", "错上级村", "village", DISTRICT.code),
        AreaRow("999001100300", "外地村", "village", "999002100000"),
        AreaRow(PINE.code, PINE.name, "village", BAILU.code),
    ],
)
def test_a_faulty_list_is_refused_whole(database: Database, index: AreaIndex, row: AreaRow) -> None:
    with database.begin() as connection, pytest.raises(BadRequest):
        import_areas(connection, SYSTEM_ACTOR, [*LIST, row], LATER)
    assert reload(database) == index


def test_a_list_cannot_move_a_village_to_another_town(database: Database, index: AreaIndex) -> None:
    moved = AreaRow(EAST_WIND.code, EAST_WIND.name, "village", BAILU.code)
    with database.begin() as connection, pytest.raises(Conflict):
        import_areas(connection, SYSTEM_ACTOR, [*(row for row in LIST if row != EAST_WIND), moved], LATER)


def test_a_merged_town_leaves_its_villages_and_its_codes_to_the_other(database: Database, index: AreaIndex) -> None:
    qingxi, bailu = index.codes[QINGXI.code], index.codes[BAILU.code]
    villages = {index.codes[GUANGMING.code], index.codes[EAST_WIND.code]}
    with database.begin() as connection:
        change = merge_areas(connection, SYSTEM_ACTOR, [qingxi], bailu, LATER)
    assert change.replaced == {qingxi: bailu}
    assert change.moved_villages == dict.fromkeys(villages, bailu)
    after = reload(database)
    assert after.codes["999001001"] == after.codes[QINGXI.code] == bailu
    assert after.names["清溪街道"] == (bailu,)
    assert after.current(qingxi) == bailu
    assert qingxi not in after.kind and after.expand(qingxi) == ()
    assert villages < {*after.expand(bailu)}
    assert {after.town_of[each] for each in villages} == {bailu}


def test_merging_closes_and_opens_validity(database: Database, index: AreaIndex) -> None:
    qingxi, east = index.codes[QINGXI.code], index.codes[EAST_WIND.code]
    with database.begin() as connection:
        merge_areas(connection, SYSTEM_ACTOR, [qingxi], index.codes[BAILU.code], LATER)
        columns = (area_version.c.area_id, area_version.c.valid_from, area_version.c.valid_to, area_version.c.reason)
        query = select(*columns).where(area_version.c.area_id.in_([qingxi, east]))
        versions = connection.execute(query.order_by(area_version.c.area_id, area_version.c.version)).all()
    assert [tuple(row) for row in versions] == [
        (qingxi, FOUNDED, LATER, "import"),
        (east, FOUNDED, LATER, "import"),
        (east, LATER, None, "merge"),
    ]


def test_a_twice_merged_area_leads_to_the_last(database: Database, index: AreaIndex) -> None:
    light, east, pine = (index.codes[row.code] for row in (GUANGMING, EAST_WIND, PINE))
    with database.begin() as connection:
        assert merge_areas(connection, SYSTEM_ACTOR, [light], east, LATER).moved_villages == {}
        merge_areas(connection, SYSTEM_ACTOR, [east], pine, LATEST)
    after = reload(database)
    assert after.codes[GUANGMING.code] == after.codes[EAST_WIND.code] == pine
    assert after.names["东风村"] == tuple(sorted((pine, index.codes[OTHER_EAST_WIND.code])))


def test_a_split_town_gives_named_villages_to_a_new_town(database: Database, index: AreaIndex) -> None:
    bailu, pine = index.codes[BAILU.code], index.codes[PINE.code]
    new = AreaRow("999001101000", "石桥镇", "town", DISTRICT.code)
    with database.begin() as connection:
        change = split_area(connection, SYSTEM_ACTOR, bailu, new, [pine], LATER)
    after = reload(database)
    new_id = after.codes["999001101"]
    assert change.moved_villages == {pine: new_id} and change.replaced == {}
    assert new_id == len(LIST) + 1
    assert after.town_of[pine] == new_id and pine not in after.expand(bailu)
    assert after.parent[new_id] == after.codes["999001"]


@pytest.mark.parametrize(
    ("absorbed", "into"),
    [((QINGXI,), GUANGMING), ((BAILU,), BAILU), ((), BAILU), ((PINE, PINE), EAST_WIND), ((DISTRICT,), DISTRICT)],
)
def test_unlike_areas_do_not_merge(
    database: Database, index: AreaIndex, absorbed: tuple[AreaRow, ...], into: AreaRow
) -> None:
    with database.begin() as connection, pytest.raises(BadRequest):
        merge_areas(
            connection, SYSTEM_ACTOR, [index.codes[row.code] for row in absorbed], index.codes[into.code], LATER
        )


def test_an_area_merged_away_takes_no_part_in_later_changes(database: Database, index: AreaIndex) -> None:
    light, east = index.codes[GUANGMING.code], index.codes[EAST_WIND.code]
    with database.begin() as connection:
        merge_areas(connection, SYSTEM_ACTOR, [light], east, LATER)
    with database.begin() as connection, pytest.raises(NotFound):
        recode_area(connection, SYSTEM_ACTOR, light, "999001001009", "光明社区", LATEST)


def test_a_code_in_use_is_not_given_again(database: Database, index: AreaIndex) -> None:
    with database.begin() as connection, pytest.raises(BadRequest):
        recode_area(connection, SYSTEM_ACTOR, index.codes[PINE.code], EAST_WIND.code, PINE.name, LATER)


def test_a_change_before_the_last_one_is_refused(database: Database, index: AreaIndex) -> None:
    with database.begin() as connection, pytest.raises(BadRequest):
        recode_area(connection, SYSTEM_ACTOR, index.codes[PINE.code], "999001100299", PINE.name, date(2019, 1, 1))


def test_areas_change_only_by_who_keeps_the_registry_and_never_unseen(database: Database, index: AreaIndex) -> None:
    clerk = Actor(name="wang", organisation="labour", kind="department", door="panel", rights=frozenset())
    with database.begin() as connection, pytest.raises(NotAllowed):
        import_areas(connection, clerk, LIST, LATER)
    with database.begin() as connection:
        recode_area(connection, SYSTEM_ACTOR, index.codes[PINE.code], PINE.code, "松岗村", LATER)
        lines = connection.execute(select(audit_table.c.object).order_by(audit_table.c.audit_id)).scalars().all()
        assert connection.execute(select(area).where(area.c.successor_id.is_not(None))).all() == []
    assert lines == ["areas", f"area/{index.codes[PINE.code]}"]
