"""A completeness certificate says what is true, says what is open, and cannot be forged or fooled."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from hub.database import Database, run_sql
from hub.errors import BadRequest, NotAllowed, NotFound
from hub.exchange.erasure import erase_person
from hub.exchange.slices import FeedContext
from hub.keyring import Keyring
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor
from hub.registry.slice_definition import Condition, SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, change_subscription, renew_subscription
from hub.settings import Settings
from hub.sharing.certificate_proof import compare_copy, sign_certificate, wrong_in_certificate
from hub.sharing.certificates import WantedCertificates, issue_monthly, list_certificates, load_certificate
from mappings.catalogue import Catalogue
from tests.certified import NOVEMBER, OCTOBER, RECEIVER, ZONE, Certified, four, why
from tests.doors import identity_number
from tests.test_oracle import OF_TOWN_A, WHOLE, prepare

TERMS = Terms(purpose="核对", legal_basis="条例")
NAMED = SliceDefinition((SliceType("resident_roll", ("id_no",), (Condition("name", "in", ("李伟",)),)),), (2,))


@pytest.fixture
def hub(database: Database, owner_database: Database, settings: Settings, catalogue: Catalogue) -> Certified:
    with owner_database.begin() as connection:
        prepare(connection, catalogue)
    return Certified(database, owner_database, FeedContext(catalogue, Keyring.load(settings.home), window=4))


def test_a_month_that_was_acknowledged_is_closed_and_comes_out_again(hub: Certified) -> None:
    hub.send(1, 8)
    hub.pull()
    hub.send(1, 3, NOVEMBER, name="王芳")
    one = hub.issue()
    assert (four(one), one.closed, one.content["open"]) == ((7, 7, 7, 7), True, [])
    assert one.content["segments"][0]["by_type"] == {"resident_roll": 7}
    assert one.content["feed"]["to_seq"] == 7
    assert wrong_in_certificate(one.content, hub.keys) == []
    assert hub.recompute(one).same


def test_what_was_never_fetched_is_open_by_its_numbers(hub: Certified) -> None:
    hub.send(1, 8)
    hub.pull(most=1)
    one = hub.issue()
    assert (four(one), one.closed, one.gap) == ((7, 3, 3, 3), False, 4)
    assert why(one) == [("never_delivered", 4, 7)]
    assert one.content["statement"].startswith("未闭合")


def test_what_was_sent_and_not_fetched_or_fetched_and_not_acknowledged_is_told_apart(hub: Certified) -> None:
    hub.send(1, 8)
    hub.pull(acknowledged=False, most=3)  # it came back for the second and the third page, not behind the third
    assert (four(hub.issue()), why(hub.issue())) == (
        (7, 7, 6, 0),
        [("not_acknowledged", 1, 6), ("not_fetched", 7, 7)],
    )
    hub.pull(acknowledged=False)
    assert why(hub.issue()) == [("not_acknowledged", 1, 7)]


def test_an_acknowledgement_with_another_digest_leaves_it_open(hub: Certified) -> None:
    hub.send(1, 6)
    hub.pull(acknowledged=False)
    hub.acknowledge(3, hub.pages[0].digest)
    hub.acknowledge(5, "0" * 64)
    one = hub.issue()
    assert (four(one), why(one)) == ((5, 5, 5, 3), [("mismatch", 4, 5)])
    hub.acknowledge(5, hub.pages[1].digest)
    assert hub.issue().closed
    assert [line.partition(" → ")[0].split()[-2:] for line in hub.recompute(one).differences] == [
        ["acknowledged:", "3"]
    ]


def test_an_empty_month_is_closed(hub: Certified) -> None:
    hub.send(1, 3, NOVEMBER)
    one = hub.issue(OCTOBER)
    assert (four(one), one.closed, one.content["segments"]) == ((0, 0, 0, 0), True, [])
    assert wrong_in_certificate(one.content, hub.keys) == []
    for wrong in ("2099-01", "2025-13", "november", "5..1", "1..9"):
        with pytest.raises(BadRequest):
            hub.issue(wrong)


def test_a_page_across_the_end_of_a_month_counts_in_both(hub: Certified) -> None:
    hub.send(1, 6)
    hub.send(6, 9, NOVEMBER)
    hub.pull()  # pages of three: 1-3, 4-6, 7-8
    october, november = hub.issue(OCTOBER), hub.issue(NOVEMBER)
    assert (four(october), four(november)) == ((5, 5, 5, 5), (3, 3, 3, 3))
    assert [piece["part"] for piece in october.content["segments"][0]["deliveries"]] == [3, 2]
    assert october.closed and november.closed
    assert hub.issue("4..8").expected == 5
    assert hub.issue("5..6").period == "4..6"  # whole deliveries


def test_a_restored_hub_is_certified_across_its_epochs(hub: Certified) -> None:
    hub.send(1, 5)
    hub.pull()
    hub.send(5, 7)
    hub.change("UPDATE {d}.feed_head SET epoch = 'restored', epoch_start = last_seq")
    before = hub.issue()
    assert (before.closed, why(before)) == (False, [("never_delivered", 1, 6)])  # the snapshot is due
    hub.begin_anew()
    hub.send(7, 9)
    hub.pull()
    one = hub.issue()
    told = [
        (part["kind"], part["epoch"].partition(".")[0] == "restored", part["expected"])
        for part in one.content["segments"]
    ]
    assert told == [("changes", False, 4), ("snapshot", True, 6), ("changes", True, 2)]
    assert (four(one), one.closed) == ((12, 12, 12, 12), True)
    assert hub.recompute(one).same
    assert wrong_in_certificate(one.content, hub.keys) == []


def change(hub: Certified, definition: Any) -> None:
    with hub.database.begin() as connection:
        change_subscription(
            connection, SYSTEM_ACTOR, hub.context.catalogue, hub.code, definition=definition, terms=TERMS
        )


def test_a_definition_changed_in_the_month_is_counted_by_each_version(hub: Certified) -> None:
    hub.send(1, 5)
    hub.pull(most=1)  # three of four: the fourth lies in the snapshot
    change(hub, OF_TOWN_A)
    hub.send(3, 5, name="王芳")  # an update of what the new definition has not: nobody's business
    hub.send(9, 12, area=7)  # another town
    assert hub.begin_anew()["count"] == 4
    hub.send(5, 7)
    hub.pull()
    one = hub.issue()
    told = [(part["kind"], part["definition_version"], part["expected"]) for part in one.content["segments"]]
    assert told == [("changes", 1, 3), ("snapshot", 2, 4), ("changes", 2, 2)]
    assert one.closed
    change(hub, WHOLE)
    assert hub.recompute(one).same
    assert hub.issue().content["segments"] == one.content["segments"]  # closed by the epochs before


def test_a_renewal_begins_no_segment_of_its_own(hub: Certified) -> None:
    hub.send(1, 5)
    hub.pull()
    with hub.database.begin() as connection:
        renew_subscription(connection, SYSTEM_ACTOR, hub.context.catalogue, hub.code, terms=TERMS)
    hub.send(5, 7)
    hub.pull()
    one = hub.issue()
    assert (len(one.content["segments"]), four(one), one.closed) == (1, (6, 6, 6, 6), True)


@pytest.mark.parametrize("definition", [WHOLE, NAMED])
def test_a_lawful_erasure_changes_no_figure(hub: Certified, settings: Settings, definition: Any) -> None:
    hub.send(1, 4)
    hub.pull()
    if definition != WHOLE:
        change(hub, definition)
        hub.begin_anew()
    one = hub.issue()
    assert one.closed
    with hub.owner.begin() as connection:
        rows = run_sql(connection, "SELECT person_id FROM {d}.person_identifier WHERE value = :n", n=identity_number(2))
    basis = ("个人信息保护法第四十七条", "本人申请删除")
    erase_person(hub.database, settings, hub.context.catalogue, SYSTEM_ACTOR, rows[0][0], *basis)  # type: ignore[arg-type]
    assert hub.recompute(one).same
    assert hub.issue().content["segments"] == one.content["segments"]


TAMPERED = {
    "a row taken away": "DELETE FROM {d}.delivery WHERE page_no = 2",
    "the last row taken away": "DELETE FROM {d}.delivery WHERE page_no = 3",
    "a row's range made shorter": "UPDATE {d}.delivery SET to_seq = to_seq - 1 WHERE page_no = 2",
    "a row's count made smaller": "UPDATE {d}.delivery SET count = count - 1 WHERE page_no = 2",
    "a digest that was never sent": "UPDATE {d}.delivery SET digest = repeat('0', 64) WHERE page_no = 2",
}


@pytest.mark.parametrize("statement", TAMPERED.values(), ids=TAMPERED.keys())
def test_a_delivery_that_somebody_changed_afterwards_is_noticed(hub: Certified, statement: str) -> None:
    hub.send(1, 9)
    hub.pull()
    one = hub.issue()
    assert one.closed
    hub.change(statement)
    assert not hub.issue().closed
    assert not hub.recompute(one).same


def test_a_snapshot_that_somebody_took_away_is_noticed(hub: Certified) -> None:
    hub.send(1, 5)
    hub.change("UPDATE {d}.feed_batch SET recorded_at = '2025-09-10'")
    hub.pull()
    hub.change("UPDATE {d}.feed_head SET epoch = 'restored', epoch_start = last_seq")
    hub.begin_anew()
    hub.send(5, 7)
    hub.pull()
    assert hub.issue().closed
    hub.change("DELETE FROM {d}.delivery WHERE kind = 'snapshot'")
    assert [gap[0] for gap in why(hub.issue())] == ["broken"]


def leaves(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    below = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    found = [deeper for key, value in below for deeper in leaves(value, (*path, key))]
    yield from found or [path]


def forged(content: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    made: Any = copy.deepcopy(content)
    place = made
    for key in path[:-1]:
        place = place[key]
    was = place[path[-1]]
    place[path[-1]] = not was if isinstance(was, bool) else was + 1 if isinstance(was, int) else f"{was}x"
    return made  # type: ignore[no-any-return]


def test_a_certificate_with_any_field_changed_is_refused_without_a_hub(hub: Certified) -> None:
    hub.send(1, 5)
    hub.pull(most=1)
    content = json.loads(json.dumps(hub.issue().content))
    assert wrong_in_certificate(content, hub.keys) == []
    paths = list(leaves(content))
    assert len(paths) > 40
    assert [path for path in paths if not wrong_in_certificate(forged(content, path), hub.keys)] == []
    assert wrong_in_certificate({}, hub.keys)
    assert wrong_in_certificate(content, {})


def test_figures_that_do_not_add_up_are_told_even_if_signed(hub: Certified) -> None:
    hub.send(1, 5)
    hub.pull(most=1)
    content = hub.issue().content
    unsigned = {name: part for name, part in content.items() if name != "signature"}
    for path in (
        ("totals", "sent"),
        ("closed",),
        ("segments", 0, "expected"),
        ("segments", 0, "deliveries", 0, "digest"),
    ):
        assert wrong_in_certificate(sign_certificate(hub.context.keyring, forged(unsigned, path)), hub.keys), path


def test_a_receivers_own_copy_is_held_beside_the_certificate(hub: Certified) -> None:
    hub.send(1, 6)
    hub.pull()
    hub.change("UPDATE {d}.feed_head SET epoch = 'restored', epoch_start = last_seq")
    hub.begin_anew()
    hub.send(6, 9)
    hub.pull()
    content = hub.issue().content
    verdict = compare_copy(content, hub.copy)
    assert (verdict.whole, verdict.same, verdict.changes) == (True, 4, 13)
    assert compare_copy(content, hub.copy[:-1]).missing == ("6..8",)
    assert compare_copy(
        content, [hub.copy[0].replace("李伟", "李纬").replace("\\u4f1f", "\\u7eac"), *hub.copy[1:]]
    ).different == ("1..3",)


def test_who_may_read_one_and_who_may_not(hub: Certified) -> None:
    hub.send(1, 3)
    hub.pull()
    one = hub.issue()
    bureau = Actor(name="quju", organisation="bureau", kind="bureau", door="panel", rights=ROLES["bureau_operator"])
    stranger = Actor(name="x", organisation="labour", kind="department", door="panel", rights=ROLES["department_clerk"])
    with hub.database.begin() as connection:
        assert load_certificate(connection, bureau, one.certificate_no).closed
        assert list_certificates(connection, stranger) == []
        with pytest.raises(NotFound):
            load_certificate(connection, stranger, one.certificate_no)
    with pytest.raises(NotFound):
        hub.issue(actor=stranger)
    assert hub.issue(actor=bureau).closed
    hub.change("UPDATE shared.organisation SET kind = 'care' WHERE code = 'health'")
    assert [part["by_type"] for part in hub.issue().content["segments"]] == [{}]  # others may read it: totals alone
    with pytest.raises(NotAllowed):
        hub.issue(actor=bureau)
    hub.change("UPDATE {d}.subscription SET providers = '{labour}'")
    with hub.database.begin() as connection:
        assert len(list_certificates(connection, stranger, WantedCertificates(code=hub.code, period=OCTOBER))) == 3
        assert RECEIVER.organisation == one.organisation


def test_last_month_is_certified_for_everybody_once(hub: Certified) -> None:
    hub.send(1, 3)
    hub.change("UPDATE {d}.subscription SET created_at = '2025-10-01'")
    assert issue_monthly(hub.database, hub.context, ZONE, date(2025, 11, 1)) == 3
    assert issue_monthly(hub.database, hub.context, ZONE, date(2025, 11, 2)) == 0
