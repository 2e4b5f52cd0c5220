"""Ways to have a certificate say what is not so, or never say what is: each is shut."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from hub.exchange.slices import snapshot
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor
from hub.sharing.certificates import issue_monthly, list_certificates
from tests.certified import NOVEMBER, OCTOBER, RECEIVER, ZONE, Certified, four, why
from tests.test_certificates import hub

__all__ = ["hub"]


def whole(hub: Certified) -> dict[str, Any]:
    """A snapshot that is laid down, and never comes back for."""
    with hub.database.begin(isolation="REPEATABLE READ") as connection:
        *_, last = snapshot(connection, RECEIVER, hub.context, hub.code)
    closing: dict[str, Any] = json.loads(last)["snapshot"]
    return closing


def test_a_snapshot_taken_twice_because_the_first_was_lost_can_still_be_closed(hub: Certified) -> None:
    hub.send(1, 5)
    first, second = whole(hub), whole(hub)
    assert not hub.issue().closed
    hub.acknowledge(second["first_delivery_no"] + second["count"] - 1, second["digest"])
    one = hub.issue()
    assert (four(one), why(one), one.closed) == ((4, 4, 4, 4), [], True)
    assert first["count"] == 4


def test_numbers_of_a_snapshot_nobody_fetched_are_not_closed(hub: Certified) -> None:
    hub.send(1, 5)
    hub.pull()
    whole(hub)
    assert not hub.issue("5..8").closed


def test_a_page_that_differs_is_closed_by_its_own_number_alone(hub: Certified) -> None:
    hub.send(1, 8)
    hub.pull(acknowledged=False)
    hub.acknowledge(3, "0" * 64)
    hub.acknowledge(7, hub.pages[2].digest)
    assert why(hub.issue()) == [("mismatch", 1, 3)]
    hub.acknowledge(3, hub.pages[0].digest)
    assert hub.issue().closed


def test_a_wrong_word_about_what_was_acknowledged_can_be_taken_back(hub: Certified) -> None:
    hub.send(1, 5)
    hub.pull()
    hub.acknowledge(3, "0" * 64)
    assert why(hub.issue()) == [("mismatch", 1, 3)]
    hub.acknowledge(3, hub.pages[0].digest)
    assert hub.issue().closed


def test_a_certificate_issued_before_the_month_was_over_does_not_stand_for_it(hub: Certified) -> None:
    hub.send(1, 3)
    hub.pull()
    one = hub.issue()
    hub.change("UPDATE {d}.subscription SET created_at = '2025-10-01'")
    hub.change("UPDATE {d}.certificate SET issued_at = '2025-10-15'")
    assert issue_monthly(hub.database, hub.context, ZONE, date(2025, 11, 1)) == 3
    assert one.closed


def test_time_and_definition_do_not_lose_a_tail(hub: Certified) -> None:
    """Suspended, moved to a new epoch twice, never read again: open until somebody reads."""
    hub.send(1, 6)
    hub.pull(most=1)
    hub.change("UPDATE {d}.subscription SET epoch = epoch + 1 WHERE code = 'whole'")
    hub.change("UPDATE {d}.subscription SET epoch = epoch + 1 WHERE code = 'whole'")
    hub.send(6, 8, NOVEMBER)
    assert not hub.issue(OCTOBER).closed and not hub.issue(NOVEMBER).closed


def test_how_much_of_what_is_clinical_by_existing_was_delivered_is_for_care_alone(hub: Certified) -> None:
    one = hub.issue()
    bureau = Actor(name="quju", organisation="bureau", kind="bureau", door="panel", rights=ROLES["bureau_operator"])
    named = "jsonb_set(definition, '{record_types,0,record_type}', '\"postnatal_visit\"')"
    hub.change(f"UPDATE {{d}}.subscription_version SET definition = {named}")
    with hub.database.begin() as connection:
        assert list_certificates(connection, bureau) == []
        assert [each.certificate_no for each in list_certificates(connection, RECEIVER)] == [one.certificate_no]


def test_one_subscription_that_cannot_be_certified_keeps_no_other_from_it(hub: Certified) -> None:
    hub.send(1, 3)
    hub.change("UPDATE {d}.subscription SET created_at = '2025-10-01'")
    named = "jsonb_set(definition, '{record_types,0,record_type}', '\"no_such_type\"')"
    hub.change(
        f"UPDATE {{d}}.subscription_version SET definition = {named} WHERE subscription_id ="
        " (SELECT min(subscription_id::text)::uuid FROM {d}.subscription)"
    )
    with pytest.raises(ExceptionGroup):
        issue_monthly(hub.database, hub.context, ZONE, date(2025, 11, 1))
    with hub.database.begin() as connection:
        assert len(list_certificates(connection, SYSTEM_ACTOR)) == 2
