"""Which slices there may be, on what terms, and which nobody may have."""

from datetime import date

import msgspec
import pytest
from sqlalchemy import select

from hub.database import Database
from hub.errors import BadRequest, ClinicalBoundary, Conflict, NotAllowed, NotFound
from hub.registry.area_changes import split_area
from hub.registry.areas import AreaRow, load_area_index
from hub.registry.hunting_rules import CARE_ONLY_TYPES
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.scope import reach_of, scope_for
from hub.registry.slice_definition import Condition, SliceDefinition, SliceType, check_definition, definition_digest
from hub.registry.subscriptions import (
    Terms,
    change_subscription,
    create_subscription,
    list_subscriptions,
    load_for_pull,
    load_subscription,
    load_version,
    set_state,
)
from hub.tables import subscription
from mappings.catalogue import Catalogue
from tests import district
from tests.district import BAILU, DISTRICT, GUANGMING, QINGXI, QINGXI_OFFICE, actor

TODAY = date(2026, 11, 22)
KEEPER = reach_of(SYSTEM_ACTOR)
TERMS = Terms(purpose="户籍登记", legal_basis="户口登记条例第七条", expires_on=date(2027, 6, 30))


@pytest.fixture
def hub(database: Database, app_database: Database) -> Database:
    """The district with its organisations, seen from the web door."""
    with database.begin() as connection:
        district.found(connection)
    return app_database


def slice_of(record_type: str, *fields: str, areas: tuple[int, ...] | None = None, on: str = "") -> SliceDefinition:
    conditions = (Condition(on, "not_empty"),) if on else ()
    return SliceDefinition((SliceType(record_type, fields, conditions),), areas)


# ---- what a slice may be ----


def check(definition: SliceDefinition, catalogue: Catalogue, kind: str = "department", *own: int) -> None:
    check_definition(definition, catalogue, kind, own or None)


def test_an_ordinary_slice_is_allowed(catalogue: Catalogue) -> None:
    check(slice_of("birth_certificate", "cert_no", "child_name", "mother_name"), catalogue)
    check(slice_of("marriage", "male_name", "female_name", areas=(QINGXI,)), catalogue, "town", QINGXI, GUANGMING)
    check(slice_of("birth_certificate", "cert_no", "weight_g"), catalogue, "care")


@pytest.mark.parametrize("kind", ["department", "town", "village", "upper", "bureau", "information_centre"])
def test_no_clinical_field_of_any_type_leaves_care(catalogue: Catalogue, kind: str) -> None:
    clinical = [(one.code, each.name) for one in catalogue.record_types.values() for each in one.clinical_fields]
    assert len(clinical) > 10
    for record_type, field in clinical:
        with pytest.raises(ClinicalBoundary):
            check(slice_of(record_type, field, areas=(QINGXI,)), catalogue, kind, QINGXI)


@pytest.mark.parametrize("kind", ["department", "town", "care"])
def test_no_condition_looks_at_a_clinical_field(catalogue: Catalogue, kind: str) -> None:
    for on in ("gest_weeks", "parity"):
        with pytest.raises(ClinicalBoundary):
            check(slice_of("birth_certificate", "cert_no", areas=(QINGXI,), on=on), catalogue, kind, QINGXI)


@pytest.mark.parametrize("record_type", sorted(CARE_ONLY_TYPES))
def test_records_that_tell_by_existing_stay_in_care(catalogue: Catalogue, record_type: str) -> None:
    plain = [each.name for each in catalogue.record_types[record_type].plain_fields][:1]
    for kind in ("department", "town", "upper"):
        with pytest.raises((ClinicalBoundary, BadRequest)) as refused:
            check(slice_of(record_type, *plain, areas=(QINGXI,)), catalogue, kind, QINGXI)
        assert refused.type is ClinicalBoundary or not plain


@pytest.mark.parametrize("kind", ["department", "care", "town"])
@pytest.mark.parametrize(
    ("record_type", "on"),
    [("birth_certificate", "mother_id_no"), ("birth_certificate", "father_name"), ("newborn_hukou", "follow")],
)
def test_births_are_not_filtered_by_their_parents(catalogue: Catalogue, kind: str, record_type: str, on: str) -> None:
    with pytest.raises(NotAllowed):
        check(slice_of(record_type, "cert_no", areas=(QINGXI,), on=on), catalogue, kind, QINGXI)


def test_births_are_not_filtered_by_marriage_even_in_another_type(catalogue: Catalogue) -> None:
    births = SliceType("newborn_hukou", ("child_name",))
    marriages = SliceType("marriage", ("female_name",), (Condition("female_prior_marital", "in", ("10",)),))
    check(SliceDefinition((births, SliceType(marriages.record_type, marriages.fields))), catalogue)
    with pytest.raises(NotAllowed, match="marriage"):
        check(SliceDefinition((births, marriages)), catalogue)


def test_nobody_is_filtered_by_sex_together_with_marriage_or_age(catalogue: Catalogue) -> None:
    for other in ("marital", "birth_date"):
        conditions = (Condition("sex", "in", ("2",)), Condition(other, "not_empty"))
        with pytest.raises(NotAllowed):
            check(SliceDefinition((SliceType("resident_roll", ("name",), conditions),)), catalogue)


def test_types_switched_off_or_restricted_are_refused(catalogue: Catalogue) -> None:
    off = [one for one in catalogue.record_types.values() if not one.enabled]
    assert off
    for one in off:
        with pytest.raises(NotAllowed):
            check(slice_of(one.code, one.fields[0].name), catalogue, "care")


def test_towns_subscribe_to_their_own_area_only(catalogue: Catalogue) -> None:
    for areas in (None, (BAILU,), (QINGXI, BAILU), (DISTRICT,)):
        with pytest.raises(NotAllowed):
            check(slice_of("marriage", "male_name", areas=areas), catalogue, "town", QINGXI, GUANGMING)
    with pytest.raises(NotAllowed):
        check(slice_of("marriage", "male_name", areas=(QINGXI,)), catalogue, "town")


@pytest.mark.parametrize("kind", ["bureau", "information_centre"])
def test_who_watches_over_the_exchange_subscribes_to_nobody(catalogue: Catalogue, kind: str) -> None:
    with pytest.raises(NotAllowed):
        check(slice_of("marriage", "male_name"), catalogue, kind)


def test_everything_wrong_with_a_definition_is_said_at_once(catalogue: Catalogue) -> None:
    wrong = SliceDefinition(
        (
            SliceType("no_such_type", ("x",)),
            SliceType("marriage", ("no_such_field", "cert_no", "cert_no"), (Condition("office", "in"),)),
            SliceType("divorce", ()),
        ),
        (),
    )
    with pytest.raises(BadRequest) as refused:
        check(wrong, catalogue)
    problems = refused.value.facts["problems"]
    assert isinstance(problems, list) and len(problems) == 6


def test_a_definition_has_one_digest_in_whatever_order_it_is_written() -> None:
    one = SliceDefinition((SliceType("a", ("x", "y")), SliceType("b", ("z",))), (1, 2))
    same = SliceDefinition((SliceType("b", ("z",)), SliceType("a", ("y", "x"))), (2, 1))
    assert definition_digest(one) == definition_digest(same)
    assert definition_digest(one) != definition_digest(SliceDefinition(one.record_types, None))


# ---- subscriptions ----


def subscribe(
    database: Database, catalogue: Catalogue, organisation: str, definition: SliceDefinition, terms: Terms = TERMS
) -> str:
    with database.begin(KEEPER) as connection:
        made = create_subscription(
            connection,
            SYSTEM_ACTOR,
            catalogue,
            code=f"{organisation}-births",
            organisation=organisation,
            title="出生信息",
            definition=definition,
            terms=terms,
        )
        return made.code


BIRTHS = slice_of("birth_certificate", "cert_no", "child_name", "mother_name")


def test_a_subscription_is_pulled_by_its_organisation_until_it_expires(hub: Database, catalogue: Catalogue) -> None:
    code = subscribe(hub, catalogue, "public_security", BIRTHS)
    with hub.begin(KEEPER) as connection:
        found = load_for_pull(connection, actor(), catalogue, code, TODAY)
        assert found.definition == BIRTHS and found.version == found.epoch == 1
        assert load_subscription(connection, found.subscription_id) == found
        assert load_for_pull(connection, actor(), catalogue, code, date(2027, 6, 30)) == found
        with pytest.raises(NotAllowed, match="2027-06-30"):
            load_for_pull(connection, actor(), catalogue, code, date(2027, 7, 1))


def test_anothers_subscription_looks_as_if_it_did_not_exist(hub: Database, catalogue: Catalogue) -> None:
    code = subscribe(hub, catalogue, "public_security", BIRTHS)
    with hub.begin(KEEPER) as connection:
        for wanted in (code, "no-such-subscription"):
            with pytest.raises(NotFound):
                load_for_pull(connection, actor("labour"), catalogue, wanted, TODAY)
        with pytest.raises(NotAllowed):
            load_for_pull(connection, actor(role="auditor"), catalogue, code, TODAY)


def test_without_purpose_and_legal_basis_there_is_no_slice(hub: Database, catalogue: Catalogue) -> None:
    with pytest.raises(BadRequest) as refused:
        subscribe(hub, catalogue, "public_security", BIRTHS, Terms(purpose=" ", legal_basis=""))
    assert refused.value.facts["missing"] == ["purpose", "legal_basis"]


def test_a_changed_subscription_begins_a_new_epoch_and_keeps_its_versions(hub: Database, catalogue: Catalogue) -> None:
    code = subscribe(hub, catalogue, "public_security", BIRTHS)
    narrower = slice_of("birth_certificate", "cert_no")
    with hub.begin(KEEPER) as connection:
        changed = change_subscription(connection, SYSTEM_ACTOR, catalogue, code, definition=narrower, terms=TERMS)
        assert (changed.version, changed.epoch, changed.definition) == (2, 2, narrower)
        assert load_version(connection, changed.subscription_id, 1) == BIRTHS


def test_a_suspended_subscription_resumes_and_an_ended_one_does_not(hub: Database, catalogue: Catalogue) -> None:
    code = subscribe(hub, catalogue, "public_security", BIRTHS)
    with hub.begin(KEEPER) as connection:
        set_state(connection, SYSTEM_ACTOR, code, "suspended")
        with pytest.raises(NotAllowed):
            load_for_pull(connection, actor(), catalogue, code, TODAY)
        set_state(connection, SYSTEM_ACTOR, code, "active")
        assert load_for_pull(connection, actor(), catalogue, code, TODAY).epoch == 1
        set_state(connection, SYSTEM_ACTOR, code, "ended")
        with pytest.raises(Conflict):
            set_state(connection, SYSTEM_ACTOR, code, "active")
        with pytest.raises(Conflict):
            change_subscription(connection, SYSTEM_ACTOR, catalogue, code, definition=BIRTHS, terms=TERMS)


@pytest.mark.parametrize("organisation", ["labour", "commerce", "999001001"])
def test_no_organisation_outside_care_gets_a_clinical_slice(
    hub: Database, catalogue: Catalogue, organisation: str
) -> None:
    clinical = slice_of("birth_certificate", "cert_no", "gest_weeks", areas=(QINGXI,))
    with pytest.raises(ClinicalBoundary):
        subscribe(hub, catalogue, organisation, clinical)
    with hub.begin(KEEPER) as connection:
        assert connection.execute(select(subscription)).all() == []


def test_a_field_classed_clinical_later_is_no_longer_pulled(hub: Database, catalogue: Catalogue) -> None:
    code = subscribe(hub, catalogue, "public_security", BIRTHS)
    births = catalogue.record_types["birth_certificate"]
    fields = tuple(
        msgspec.structs.replace(each, sensitivity="clinical") if each.name == "child_name" else each
        for each in births.fields
    )
    types = catalogue.record_types | {births.code: msgspec.structs.replace(births, fields=fields)}
    stricter = msgspec.structs.replace(catalogue, record_types=types)
    with hub.begin(KEEPER) as connection, pytest.raises(ClinicalBoundary):
        load_for_pull(connection, actor(), stricter, code, TODAY)


def test_a_village_gone_to_another_town_is_no_longer_pulled(hub: Database, catalogue: Catalogue) -> None:
    office, village = QINGXI_OFFICE, slice_of("marriage", "male_name", areas=(GUANGMING,))
    code = subscribe(hub, catalogue, office, village)
    new = AreaRow("999001101000", "石桥镇", "town", "999001000000")
    with hub.begin(KEEPER) as connection:
        assert load_for_pull(connection, actor(office), catalogue, code, TODAY).definition == village
        split_area(connection, SYSTEM_ACTOR, QINGXI, new, [GUANGMING], TODAY)
        with pytest.raises(NotAllowed):
            load_for_pull(connection, actor(office), catalogue, code, TODAY)


def test_an_area_that_does_not_exist_is_refused(hub: Database, catalogue: Catalogue) -> None:
    with pytest.raises(BadRequest):
        subscribe(hub, catalogue, "public_security", slice_of("marriage", "male_name", areas=(4711,)))


def test_subscriptions_are_kept_by_the_registrys_keeper_only(hub: Database, catalogue: Catalogue) -> None:
    subscribe(hub, catalogue, "public_security", BIRTHS)
    with hub.begin(KEEPER) as connection:
        areas = load_area_index(connection)
        own = scope_for(actor(), areas).own_subscriptions(subscription)
        foreign = scope_for(actor("labour"), areas).own_subscriptions(subscription)
        assert [len(list_subscriptions(connection, each)) for each in (own, foreign)] == [1, 0]
        with pytest.raises(NotAllowed):
            set_state(connection, actor(), "public_security-births", "ended")
