"""Who had the old value is told of the correction, whoever it is and however they got it; and it is known who was told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, insert

from hub.casework.challenge_settling import settle_by_itself
from hub.casework.challenges import Raised, raise_challenges
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.exchange.deliver import acknowledge
from hub.exchange.dispute_submission import lift_settled
from hub.exchange.slices import FeedContext, current_epoch, query_slice, read_page, snapshot
from hub.keyring import Keyring
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription, load_subscription
from hub.settings import Settings
from hub.sharing import holdings
from hub.sharing.correction_log import Wanted, find_corrections
from hub.sharing.correction_watch import open_corrections, watch_corrections
from hub.sharing.corrections import FanOut, fan_out, fan_out_of
from hub.tables import slice_export
from mappings.catalogue import Catalogue
from tests.test_oracle import TOWN_A, TOWN_B, prepare
from tests.test_slices import people, send

SLICES = {
    "named": SliceDefinition((SliceType("resident_roll", ("name", "id_no")),)),
    "unnamed": SliceDefinition((SliceType("resident_roll", ("id_no",)),)),
    "once": SliceDefinition((SliceType("resident_roll", ("name",)),)),
    "filed": SliceDefinition((SliceType("resident_roll", ("name",)),)),
    "left": SliceDefinition((SliceType("resident_roll", ("name", "id_no")),), (TOWN_A,)),
    "elsewhere": SliceDefinition((SliceType("resident_roll", ("name", "id_no")),), (TOWN_B,)),
}


@dataclass
class Line:
    """One thing a subscription was literally handed, as a subscriber would note it."""

    record: str
    op: str
    upto: int


@dataclass
class Story:
    """A hub with its subscribers, and a note of every line each of them was ever given."""

    database: Database
    settings: Settings
    context: FeedContext
    cursors: dict[str, str] = field(default_factory=dict)
    given: dict[str, list[Line]] = field(default_factory=dict)

    def send(self, first: int, last: int, area: int, name: str = "李伟", **more: Any) -> None:
        rows = [row | more for row in people(first, last, area, name)]
        send(self.database, self.context.catalogue, rows)

    def pull(self, *codes: str, limit: int = 100) -> None:
        for code in codes:
            with self.database.begin() as connection:
                page = read_page(connection, SYSTEM_ACTOR, self.context, code, self.cursors.get(code), limit)
            self.cursors[code] = page.next
            lines = [Line(one["record_id"], one["op"], one["seq"]) for one in json.loads(f"[{page.changes}]")]
            self.given.setdefault(code, []).extend(lines)

    def snapshot(self, code: str) -> None:
        with self.database.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            *lines, closing = map(json.loads, snapshot(connection, SYSTEM_ACTOR, self.context, code))
            connection.commit()
        self.cursors[code] = closing["snapshot"]["next"]
        self._whole(code, [line["record_id"] for line in lines], closing["snapshot"]["seq"])

    def export(self, code: str, number: str) -> None:
        with self.database.begin() as connection:
            its = load_subscription(connection, code)
            held = [str(one["record_id"]) for one in query_slice(connection, self.context, its.definition)]
            seq = int(str(run_sql(connection, "SELECT last_seq FROM {d}.feed_head")[0][0]))
            row = {
                "export_id": new_uuid(), "export_no": number, "subscription_id": its.subscription_id,
                "epoch": current_epoch(connection, its), "definition_version": its.version, "form": "xlsx", "whole": True,
                "from_seq": 0, "to_seq": seq, "rows": len(held), "digest": "", "made_by": "x", "made_at": utc_now(),
            }  # fmt: skip
            connection.execute(insert(slice_export), [row])
        self._whole(code, held, seq)

    def _whole(self, code: str, held: list[str], seq: int) -> None:
        known = {line.record for line in self.given.setdefault(code, [])}
        self.given[code] += [Line(one, "enter" if one in held else "leave", seq) for one in {*held, *known}]

    def acknowledge(self, *codes: str) -> None:
        with self.database.begin() as connection:
            for code in codes:
                its = load_subscription(connection, code)
                epoch = current_epoch(connection, its)
                number, digest = run_sql(
                    connection,
                    "SELECT first_delivery_no + count - 1, digest FROM {d}.delivery"
                    " WHERE subscription_id = :one AND count > 0 ORDER BY page_no DESC LIMIT 1",
                    one=its.subscription_id,
                )[0]
                assert acknowledge(connection, SYSTEM_ACTOR, its, epoch, int(str(number)), str(digest)).matches

    def record(self, number: int = 0) -> UUID:
        with self.database.begin() as connection:
            rows = run_sql(connection, "SELECT record_id FROM {d}.rec_resident_roll ORDER BY id_no OFFSET :n", n=number)
        return UUID(str(rows[0][0]))

    def corrections(self, **wanted: Any) -> list[FanOut]:
        with self.database.begin() as connection:
            which = Wanted(types=("resident_roll",), everything=True, **wanted)
            return fan_out(
                connection, self.context.catalogue, find_corrections(connection, self.context.catalogue, which)
            )

    def states(self, seq: int) -> dict[str, str]:
        with self.database.begin() as connection:
            return {one.code: one.state for one in fan_out_of(connection, self.context.catalogue, seq)}

    def challenge(self) -> UUID:
        raised = Raised(
            kind="value", record_type="resident_roll", record_id=self.record(), field="name", claimed="李玮",
            raised_by="health", raised_by_name="卫健局", against="999001001",
        )  # fmt: skip
        with self.database.begin() as connection:
            (made,) = raise_challenges(connection, self.settings, utc_now(), [raised])
        self.marks()
        return made

    def marks(self) -> None:
        lift_settled(self.database, self.settings, self.context.catalogue)

    def settle(self) -> None:
        with self.database.begin() as connection:
            assert settle_by_itself(connection, SYSTEM_ACTOR, self.context.catalogue, utc_now()) == 1
        self.marks()

    def watch(self, now: datetime) -> int:
        with self.database.begin() as connection:
            return watch_corrections(connection, self.settings, self.context.catalogue, now)

    def alarms(self) -> list[tuple[Any, ...]]:
        with self.database.begin() as connection:
            return run_sql(
                connection, "SELECT about, facts, closed_at IS NULL FROM {d}.freshness_alarm WHERE kind = 'correction'"
                " ORDER BY opened_at, about",
            )  # fmt: skip

    def notices(self, kind: str) -> list[tuple[Any, ...]]:
        with self.database.begin() as connection:
            return run_sql(
                connection, "SELECT organisation, facts FROM {d}.notice WHERE kind = :kind ORDER BY made_at", kind=kind
            )


@pytest.fixture
def story(database: Database, owner_database: Database, settings: Settings, catalogue: Catalogue) -> Story:
    with owner_database.begin() as connection:
        prepare(connection, catalogue)
        _subscribe(connection, catalogue)
    return Story(database, settings, FeedContext(catalogue, Keyring.load(settings.home)))


def _subscribe(connection: Connection, catalogue: Catalogue) -> None:
    for code, definition in SLICES.items():
        create_subscription(
            connection, SYSTEM_ACTOR, catalogue, code=code, organisation="health", title=code, definition=definition,
            terms=Terms(purpose="核对", legal_basis="条例"),
        )  # fmt: skip


def by_notes(story: Story, one: FanOut) -> set[str]:
    """Brute force, from what each subscriber noted: who held the record before the change, and is told of it.

    Is told: replay the subscriber's whole feed in a throw-away reader, and look whether the change is in it.
    """
    record, seq = str(one.correction.record_id), one.correction.seq
    found = set()
    for code, lines in story.given.items():
        mine = [line for line in lines if line.record == record and line.upto < seq]
        if mine and mine[-1].op != "leave" and _is_told(story, code, seq):
            found.add(code)
    return found


def _is_told(story: Story, code: str, seq: int) -> bool:
    from hub.exchange.slices import _run_page

    with story.database.begin() as connection:
        definition = load_subscription(connection, code).definition
        page = _run_page(connection, story.context, definition, seq - 1, seq, None, 1)
    return page.count == 1


def lived_through(story: Story) -> None:
    story.send(0, 4, 5)
    story.pull("named", "unnamed", "left", "elsewhere")
    story.snapshot("once")
    story.export("filed", "DC-1")
    story.send(4, 6, 5)  # whom only those know of who come back
    story.send(0, 1, 5, "李玮")  # corrected: the name
    story.pull("named")
    story.send(1, 2, 7)  # left: to another town
    story.send(2, 3, 5, change_kind="void")
    story.pull("unnamed", "left", "elsewhere", limit=1)
    story.send(4, 5, 5, "王芳")
    story.send(2, 3, 5, change_kind="correct")  # and brought back


def derived_and_noted(story: Story) -> list[tuple[set[str], set[str]]]:
    changes = [one for one in story.corrections() if one.correction.op != "restore"]
    assert len(changes) == 4
    return [({each.code for each in one.receivers}, by_notes(story, one)) for one in changes]


def test_the_derived_receivers_are_those_who_noted_the_old_value(story: Story) -> None:
    lived_through(story)
    found = derived_and_noted(story)
    assert [derived for derived, _ in found] == [noted for _, noted in found]
    corrected, moved, voided, unseen = (derived for derived, _ in found)
    assert corrected == {"named", "once", "filed", "left"}  # not who has no names, nor the other town
    assert moved == {"left"}
    assert voided == {"named", "unnamed", "once", "filed", "left"}
    assert unseen == {"named", "left"}  # the others have not fetched who came later
    brought_back = next(one for one in story.corrections() if one.correction.op == "restore")
    assert {each.code for each in brought_back.receivers} == voided


@pytest.mark.parametrize("forgotten", ["snapshots", "files", "leaving"])
def test_a_fan_out_that_forgets_somebody_is_found_out(
    story: Story, forgotten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived_through(story)
    real = holdings._events

    def forgetful(handed: Any, *rest: Any) -> Iterator[Any]:
        kept = [one for one in handed if not one.whole or bool(one.export_no) != (forgotten == "files")]
        if forgotten == "leaving":
            return ((*event[:2], "enter", *event[3:]) for event in real(handed, *rest))
        return real(kept, *rest)

    story.send(1, 2, 7, "刘洋")  # whom the town's own slice has lost
    monkeypatch.setattr(holdings, "_events", forgetful)
    changes = [one for one in story.corrections() if one.correction.op != "restore"]
    assert any({each.code for each in one.receivers} != by_notes(story, one) for one in changes)


def test_a_challenged_record_is_followed_to_everybody_who_has_it(story: Story) -> None:
    story.send(0, 1, 5)
    story.pull("named", "unnamed", "left")
    story.acknowledge("named", "unnamed", "left")
    story.snapshot("once")
    story.challenge()
    story.pull("named", "left")
    story.acknowledge("named")
    raised = story.corrections()[0].correction
    assert (raised.op, raised.cause) == ("dispute", "mark")
    assert story.states(raised.seq) == {
        "named": "acknowledged", "unnamed": "waiting", "left": "delivered", "once": "waiting",
    }  # fmt: skip
    story.send(0, 1, 7, "李玮")
    story.settle()
    story.pull("named", "left", "once", "unnamed")
    story.acknowledge("named", "left")
    _, corrected, lifted = story.corrections()
    assert (corrected.correction.cause, lifted.correction.op) == ("challenge", "settle")
    assert {one.code: (one.op, one.state) for one in corrected.receivers} == {
        "named": ("update", "acknowledged"), "left": ("leave", "acknowledged"), "once": ("update", "delivered"),
    }  # fmt: skip
    assert {one.code: one.state for one in lifted.receivers} == {
        "named": "acknowledged", "once": "delivered", "unnamed": "delivered",
    }  # fmt: skip
    assert story.states(raised.seq)["left"] == "acknowledged"  # told of both at once


def test_what_is_not_acknowledged_in_time_alarms_once_and_is_over_by_itself(story: Story) -> None:
    story.send(0, 2, 5)
    story.pull("named", "left")
    story.acknowledge("named", "left")
    story.challenge()
    story.pull("named", "left")
    story.acknowledge("left")
    now, later = utc_now(), utc_now() + timedelta(days=40)
    assert story.watch(now) == 0
    assert story.watch(later) == 1
    assert story.watch(later) == 0
    assert [about for about, _, is_open in story.alarms() if is_open] == ["correction/named"]
    with story.database.begin() as connection:
        late = open_corrections(connection, story.settings, story.context.catalogue, later)
    assert [one.open for one in late] == [1]
    assert [organisation for organisation, _ in story.notices("correction_unacknowledged")][:1] == ["health"]
    story.acknowledge("named")
    assert story.watch(later) == 1
    assert [is_open for _, _, is_open in story.alarms()] == [False]


def test_who_has_it_in_a_file_alone_is_told_which_file(story: Story) -> None:
    story.send(0, 3, 5)
    story.export("filed", "DC-7")
    story.export("named", "DC-8")
    story.pull("named")
    story.send(0, 2, 5, change_kind="void")
    assert story.watch(utc_now()) == 1
    assert story.watch(utc_now()) == 0
    assert story.notices("export_corrected") == [("health", {"items": 2, "number": "DC-7"})]
    first = story.corrections()[0]
    assert {one.code: (one.way, one.state, one.export_no) for one in first.receivers} == {
        "filed": ("export", "waiting", "DC-7"), "named": ("feed", "waiting", ""),
    }  # fmt: skip
    story.export("filed", "DC-9")
    assert story.states(first.correction.seq)["filed"] == "exported"


def test_who_got_the_old_value_by_a_repair_of_the_own_copy_is_told_too(story: Story) -> None:
    story.send(0, 2, 5)
    statement = (
        "INSERT INTO {d}.copy_check (check_id, subscription_id, epoch, definition_version, seq, records, repaired,"
        " begun_at, changed_at) SELECT :id, s.subscription_id, h.epoch || '.1', 1, h.last_seq, 2, ARRAY[:record], :now,"
        " :now FROM {d}.subscription s, {d}.feed_head h WHERE s.code = 'named'"
    )
    with story.database.begin() as connection:
        run_sql(connection, statement, id=new_uuid(), record=story.record(), now=utc_now())
    story.send(0, 2, 5, "李玮")
    told = {one.correction.record_id: {each.code: each.state for each in one.receivers} for one in story.corrections()}
    assert told == {story.record(): {"named": "waiting"}, story.record(1): {}}
