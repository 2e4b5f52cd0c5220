"""Whatever way it is asked, in one slice or in several, nobody is given a list of people to be hunted."""

from __future__ import annotations

from itertools import product

import pytest

from hub.database import Database
from hub.errors import NotAllowed
from hub.registry.hunting_rules import BIRTH_TYPES
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.scope import reach_of
from hub.registry.slice_conditions import Op, ops_of
from hub.registry.slice_definition import Condition, SliceDefinition, SliceType, check_definition, refuse_hunting
from hub.registry.subscriptions import Terms, change_subscription, create_subscription, renew_subscription, set_state
from mappings.catalogue import Catalogue
from tests import district

KEEPER = reach_of(SYSTEM_ACTOR)
TERMS = Terms(purpose="核对", legal_basis="条例")
SOME_DAY, A_CODE = ("2008-01-01",), ("1",)


def on(place: str, op: Op = "in") -> SliceType:
    """A record type with one condition, of any op."""
    record_type, _, name = place.partition(".")
    values = {"in": A_CODE, "not_in": A_CODE, "empty": (), "not_empty": (), "from": SOME_DAY, "to": SOME_DAY}[op]
    return SliceType(record_type, (), (Condition(name, op, values),))


def asked_every_way(catalogue: Catalogue, place: str) -> list[SliceType]:
    record_type, _, name = place.partition(".")
    return [on(place, op) for op in sorted(ops_of(catalogue.record_types[record_type].by_name[name]))]


def refused_by(*types: SliceType) -> str:
    try:
        refuse_hunting(SliceDefinition(types))
    except NotAllowed as refused:
        return str(refused.facts["rule"])
    return ""


# place and place, in one record type or in two, whatever the conditions ask
TOGETHER = {
    ("resident_roll.sex", "resident_roll.birth_date"): "sex-by-age",
    ("resident_roll.sex", "residence_registration.birth_date"): "sex-by-age",
    ("newborn_hukou.child_sex", "newborn_hukou.child_birth_date"): "sex-by-age",
    ("resident_roll.sex", "resident_roll.marital"): "sex-by-marriage",
    ("resident_roll.sex", "resident_roll.marital_changed_on"): "sex-by-marriage",
    ("resident_roll.sex", "resident_roll.relation"): "sex-by-marriage",
    ("employment.sex", "marriage.kind"): "sex-by-marriage",
    ("employment.sex", "divorce.mode"): "sex-by-marriage",
}
ALONE = {
    "marriage.female_birth_date": "sex-by-age",
    "fertility_registration.female_birth_date": "sex-by-age",
    "marriage.female_prior_marital": "sex-by-marriage",
    "divorce.children_n": "childbearing",
    "birth_certificate.mother_id_no": "births-by-parent",
    "birth_certificate.mother_birth_date": "births-by-parent",
    "newborn_hukou.father_name": "births-by-parent",
    "newborn_hukou.follow": "births-by-parent",
    "newborn_hukou.relation": "births-by-marriage",
    "adoption.birth_parent": "births-by-parent",
    "town_arrival.mother_id_no": "births-by-parent",
}


@pytest.mark.parametrize("places", TOGETHER, ids=" with ".join)
def test_what_hunts_together_is_refused_however_each_is_asked(catalogue: Catalogue, places: tuple[str, str]) -> None:
    ways = [asked_every_way(catalogue, place) for place in places]
    assert len(ways[0]) * len(ways[1]) >= 12
    for first, second in product(*ways):
        assert refused_by(first, second) == refused_by(second, first) == TOGETHER[places]
        assert refused_by(first) == refused_by(second) == ""


@pytest.mark.parametrize("place", ALONE)
def test_what_hunts_alone_is_refused_however_it_is_asked(catalogue: Catalogue, place: str) -> None:
    for one in asked_every_way(catalogue, place):
        assert refused_by(one) == ALONE[place], one


@pytest.mark.parametrize("births", sorted(BIRTH_TYPES))
def test_no_births_are_picked_by_marriage_wherever_the_marriage_is_asked_about(
    catalogue: Catalogue, births: str
) -> None:
    for place in (
        "resident_roll.marital",
        "hukou_move_in.marital",
        "death_certificate.marital",
        "marriage.kind",
        "divorce.mode",
    ):
        for one in asked_every_way(catalogue, place):
            assert refused_by(SliceType(births, ()), one) == "births-by-marriage", one
            assert refused_by(one) == ""


def test_where_a_parent_lives_is_an_area_and_whether_one_lives_anywhere_is_not(catalogue: Catalogue) -> None:
    for place in ("birth_certificate.father_live_div", "birth_certificate.mother_hukou_div"):
        assert refused_by(on(place, "in")) == ""
        for op in ("empty", "not_empty", "not_in"):
            assert refused_by(on(place, op)) == "births-by-parent"  # type: ignore[arg-type]


def test_ordinary_conditions_stay_allowed(catalogue: Catalogue) -> None:
    for place in (
        "resident_roll.birth_date", "resident_roll.sex", "death_certificate.death_date", "marriage.registered_on",
        "newborn_hukou.registered_on", "newborn_hukou.child_birth_date", "birth_certificate.issued_on",
        "hukou_cancel.kind", "employment.industry", "birth_certificate.birth_place_class", "newborn_hukou.cert_no",
    ):  # fmt: skip
        for one in asked_every_way(catalogue, place):
            assert refused_by(one) == "", one


def test_a_comparison_of_everybody_is_no_list_of_some(catalogue: Catalogue) -> None:
    """The standing check of marriages below the age looks at both birth dates, and still runs."""
    from hub.people.comparison import refuse_hunting as refuse_check

    for check in catalogue.comparisons.values():
        refuse_check(catalogue, check)


# ---- over several subscriptions ----

WOMEN = SliceDefinition((SliceType("resident_roll", ("name", "id_no"), (Condition("sex", "in", ("2",)),)),))
GROWN = SliceDefinition((SliceType("hukou_move_in", ("id_no",), (Condition("birth_date", "to", ("2008-01-01",)),)),))
BIRTHS = SliceDefinition((SliceType("newborn_hukou", ("child_name", "mother_id_no")),))
SECOND = SliceDefinition((SliceType("marriage", ("female_id_no",), (Condition("kind", "not_in", ("1",)),)),))


@pytest.fixture
def hub(database: Database, app_database: Database) -> Database:
    with database.begin() as connection:
        district.found(connection)
    return app_database


def subscribe(hub: Database, catalogue: Catalogue, code: str, definition: SliceDefinition, who: str = "labour") -> None:
    with hub.begin(KEEPER) as connection:
        create_subscription(
            connection, SYSTEM_ACTOR, catalogue, code=code, organisation=who, title=code, definition=definition, terms=TERMS
        )  # fmt: skip


@pytest.mark.parametrize(("first", "second"), [(WOMEN, GROWN), (BIRTHS, SECOND)], ids=["sex and age", "births"])
def test_two_slices_that_give_the_list_together_are_not_given_to_one_organisation(
    hub: Database, catalogue: Catalogue, first: SliceDefinition, second: SliceDefinition
) -> None:
    check_definition(second, catalogue, "department", None)  # by itself it is lawful
    for who, one, other in (("labour", first, second), ("health", second, first)):
        subscribe(hub, catalogue, f"{who}-one", one, who)
        with pytest.raises(NotAllowed, match=f"{who}-one") as refused:
            subscribe(hub, catalogue, f"{who}-other", other, who)
        assert refused.value.facts["subscriptions"] == [f"{who}-one"]
    subscribe(hub, catalogue, "elsewhere", second, "commerce")  # who does not hold the first


def test_neither_suspending_nor_changing_is_a_way_round(hub: Database, catalogue: Catalogue) -> None:
    harmless = SliceDefinition((SliceType("death_certificate", ("cert_no",)),))
    subscribe(hub, catalogue, "one", WOMEN)
    subscribe(hub, catalogue, "other", harmless)
    with hub.begin(KEEPER) as connection:
        set_state(connection, SYSTEM_ACTOR, "one", "suspended")
        with pytest.raises(NotAllowed):
            change_subscription(connection, SYSTEM_ACTOR, catalogue, "other", definition=GROWN, terms=TERMS)
        change_subscription(connection, SYSTEM_ACTOR, catalogue, "one", definition=GROWN, terms=TERMS)  # its own past
        renew_subscription(connection, SYSTEM_ACTOR, catalogue, "one", terms=TERMS)
        with pytest.raises(NotAllowed):
            change_subscription(connection, SYSTEM_ACTOR, catalogue, "other", definition=WOMEN, terms=TERMS)
        set_state(connection, SYSTEM_ACTOR, "one", "ended")
        change_subscription(connection, SYSTEM_ACTOR, catalogue, "other", definition=WOMEN, terms=TERMS)
