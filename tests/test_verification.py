"""Names and numbers are verified without giving anything out: exact answers, three words, limits that find who guesses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
import polars as pl
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from hub.database import Database, new_uuid, run_sql
from hub.embedded import Cluster
from hub.errors import HubError, NotAllowed
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.people import verification
from hub.people.verification import (
    ConsentNeeded,
    DayIsUsedUp,
    NothingToVerify,
    Pairs,
    PurposeMissing,
    TooManyRows,
    TriesOutNames,
    Verified,
)
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings, VerificationPolicy, load_settings
from mappings.catalogue import Catalogue
from tests import district
from tests.doors import identity_number
from tests.fresh_databases import FreshDatabases
from tests.staged import stage

PURPOSE = "办理养老待遇核对"
KNOWN = [identity_number(100 + 2 * serial) for serial in range(60)]
UNKNOWN = [identity_number(500 + 2 * serial) for serial in range(20)]
NAMES = ["李伟", "王小明", "买买提·阿不都", "Anna Lee", "張麗華", "刘洋", "陈静", "杨国庆", "赵磊", "黄秀英"]
OLD, NEW = identity_number(801), identity_number(803)
ONLY_CARE = identity_number(820)
MERGED, SURVIVOR = identity_number(830), identity_number(832)
FIFTEEN = "999001" + "650307" + "101"


class Planted:
    """A district in which it is known what every name and number must answer."""

    def __init__(self, worker: Database, served: Database, settings: Settings) -> None:
        self.worker, self.served, self.settings = worker, served, settings
        self.names: dict[str, set[str]] = {}

    def plant(
        self, connection: Connection, catalogue: Catalogue, code: str, source: str, *rows: dict[str, Any]
    ) -> None:
        record_type = catalogue.record_types[code]
        submission_id = stage(connection, record_type, list(rows))
        apply_staged(connection, submission_id, source, record_type, catalogue)
        number_changes(connection, submission_id)

    def ask(self, pairs: list[tuple[str, str]], who: Actor | None = None, **policy: Any) -> Verified:
        settings = msgspec.structs.replace(self.settings, verification=VerificationPolicy(**policy))
        asked = Pairs(
            names=pl.Series([name for name, _ in pairs], dtype=pl.String),
            numbers=pl.Series([number for _, number in pairs], dtype=pl.String),
        )
        return verification.verify(self.served, settings, who or asker(), asked, PURPOSE)


def asker(organisation: str = "labour", **facts: Any) -> Actor:
    return district.actor(organisation, **facts)


@pytest.fixture(scope="module")
def planted(
    cluster: Cluster, fresh_databases: FreshDatabases, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planted]:
    name = fresh_databases.take()
    urls, home = cluster.urls(name), tmp_path_factory.mktemp("verified") / "home"
    settings = load_settings(home, database_url=urls.app, fictitious_prefixes=("999001",), demo=True)
    made = Planted(Database(urls.worker, "d999001"), Database(urls.app, "d999001"), settings)
    owner = Database(urls.owner, "d999001")
    with owner.begin() as connection:
        district.found(connection)
        _plant_people(connection, made, catalogue)
    owner.close()
    yield made
    made.worker.close()
    made.served.close()
    fresh_databases.give_back(name)


def _plant_people(connection: Connection, made: Planted, catalogue: Catalogue) -> None:
    made.names = {number: {NAMES[place % len(NAMES)]} for place, number in enumerate(KNOWN)}
    rows = [{"id_no": number, "name": min(names)} for number, names in made.names.items()]
    made.plant(connection, catalogue, "resident_roll", district.QINGXI_OFFICE, *rows)
    job = {
        "id_no": KNOWN[0],
        "name": "李玮",
        "start_date": "2026-01-05",
        "employer": "厂",
    }  # another source writes it so
    made.plant(connection, catalogue, "employment", "labour", job)
    made.names[KNOWN[0]].add("李玮")
    voided = {"id_no": KNOWN[1], "name": "错误名", "start_date": "2026-01-05", "employer": "厂"}
    made.plant(connection, catalogue, "employment", "labour", voided)
    made.plant(connection, catalogue, "employment", "labour", {**voided, "change_kind": "void"})
    made.plant(connection, catalogue, "resident_roll", district.QINGXI_OFFICE, {"id_no": OLD, "name": "孙更正"})
    correction = {"id_no": OLD, "name": "孙更正", "new_id": NEW, "item": "12", "changed_on": "2026-02-01"}
    made.plant(connection, catalogue, "identity_correction", "public_security", correction)
    made.names |= {OLD: {"孙更正"}, NEW: {"孙更正"}}
    visit = {"woman_id_no": ONLY_CARE, "woman_name": "周只诊", "visit_date": "2026-03-05", "kind": "1"}
    made.plant(connection, catalogue, "postnatal_visit", "mch_station", visit)
    old_style = verification._numbers(pl.Series([FIFTEEN]), None, ("999001",))[0]
    made.plant(connection, catalogue, "resident_roll", district.QINGXI_OFFICE, {"id_no": old_style, "name": "郑旧号"})
    made.names[FIFTEEN] = {"郑旧号"}
    for number in (MERGED, SURVIVOR):
        made.plant(connection, catalogue, "resident_roll", district.QINGXI_OFFICE, {"id_no": number, "name": "冯合并"})
        made.names[number] = {"冯合并"}
    _merge(connection)


def _merge(connection: Connection) -> None:
    """As a merge leaves it: the identifiers and records are the survivor's."""
    whose = "SELECT person_id FROM {d}.person_identifier WHERE value = :value"
    kept, gone = (run_sql(connection, whose, value=value)[0][0] for value in (SURVIVOR, MERGED))
    move = "UPDATE {d}.person_identifier SET person_id = :kept, replaced_by = :number WHERE person_id = :gone"
    run_sql(connection, move, kept=kept, gone=gone, number=SURVIVOR)
    run_sql(
        connection, "UPDATE {d}.rec_resident_roll SET person_ref = :kept WHERE person_ref = :gone", kept=kept, gone=gone
    )
    run_sql(connection, "UPDATE {d}.person SET merged_into = :kept WHERE person_id = :gone", kept=kept, gone=gone)


WRITTEN = str.maketrans("張麗華", "张丽华")


def expected(planted: Planted, name: str, number: str) -> str:
    """The same in plain Python: whose number, and whether any of their names is written so."""
    names = planted.names.get(number)
    plain = {"".join(one.translate(WRITTEN).lower().replace("·", "").split()) for one in names or ()}
    asked = "".join(name.translate(WRITTEN).lower().replace("·", "").replace("•", "").split())
    return "not_found" if names is None else "match" if asked in plain else "mismatch"


def test_every_answer_is_what_plain_python_says(planted: Planted) -> None:
    pairs = [(min(planted.names[number]), number) for number in planted.names]
    pairs += [("王小明", number) for number in KNOWN] + [("李伟", number) for number in UNKNOWN]
    pairs += [("李玮", KNOWN[0]), ("买买提阿不都", KNOWN[2]), ("买买提 • 阿不都", KNOWN[2]), ("ANNA  LEE", KNOWN[3])]
    pairs += [("张丽华", KNOWN[4]), ("張麗華", KNOWN[4]), ("错误名", KNOWN[1])]
    told = planted.ask(pairs)
    assert told.answers == [expected(planted, name, number) for name, number in pairs]
    assert {name: getattr(told.counts, name) for name in ("match", "mismatch", "not_found")} == {
        name: told.answers.count(name) for name in ("match", "mismatch", "not_found")
    }
    assert min(told.counts.match, told.counts.mismatch, told.counts.not_found) > 10


@pytest.mark.parametrize("written", [
    f" {KNOWN[0]} ", f"'{KNOWN[0]}", KNOWN[0].lower(), KNOWN[0].translate({ord(str(n)): 0xFF10 + n for n in range(10)}),
    f"{KNOWN[0][:6]} {KNOWN[0][6:14]} {KNOWN[0][14:]}",
])  # fmt: skip
def test_a_number_is_found_however_it_is_typed(planted: Planted, written: str) -> None:
    assert planted.ask([("李伟", written)]).answers == ["match"]


def test_what_cannot_be_a_number_is_not_found(planted: Planted) -> None:
    assert set(planted.ask([("李伟", ""), ("李伟", "1.2E+17"), ("李伟", "护照E1234567")]).answers) == {"not_found"}


def test_a_name_of_a_voided_record_does_not_match_and_other_sources_names_do(planted: Planted) -> None:
    assert planted.ask([("错误名", KNOWN[1]), ("李玮", KNOWN[0]), ("李伟", KNOWN[0])]).answers == [
        "mismatch",
        "match",
        "match",
    ]


def test_a_corrected_number_answers_as_its_person_and_so_does_a_merged_persons(planted: Planted) -> None:
    asked = [("孙更正", OLD), ("孙更正", NEW), ("冯合并", MERGED), ("冯合并", SURVIVOR), ("郑旧号", FIFTEEN)]
    assert planted.ask(asked).answers == ["match"] * 5


def test_who_is_known_to_care_alone_is_not_found(planted: Planted) -> None:
    """Not even a mismatch: that there is such a record says it all."""
    assert planted.ask([("周只诊", ONLY_CARE), ("别的人", ONLY_CARE)]).answers == ["not_found", "not_found"]


def test_the_serving_role_cannot_look_for_itself(planted: Planted) -> None:
    with planted.served.begin(reach_of(asker())) as connection:
        assert run_sql(connection, "SELECT count(*) FROM {d}.person_identifier") == [(0,)]
    with planted.served.begin() as connection:
        row = run_sql(
            connection, "SELECT * FROM {d}.verify_people(ARRAY[:number], ARRAY['李伟'], ARRAY['李伟'])", number=KNOWN[0]
        )
    assert row == [(1, "match")]


def test_nobody_else_may_call_the_function(planted: Planted) -> None:
    with pytest.raises(ProgrammingError), planted.served.begin() as connection:
        connection.exec_driver_sql("SET LOCAL ROLE hub_care")
        run_sql(connection, "SELECT * FROM {d}.verify_people(ARRAY['1'], ARRAY['1'], ARRAY['1'])")


def test_what_is_kept_are_counts_and_no_name_or_number(planted: Planted) -> None:
    who = asker("health")
    told = planted.ask([("李伟", KNOWN[0]), ("谁也不是", KNOWN[1])], who)
    with planted.worker.begin() as connection:
        kept = run_sql(connection, "SELECT * FROM {d}.verification WHERE organisation = 'health'")
        lines = run_sql(
            connection,
            "SELECT outcome, facts::text FROM {d}.audit WHERE act = 'verify-people' AND organisation = 'health'",
        )
    assert len(kept) == 1 and kept[0][0] == told.verification_id and kept[0][-4:] == (2, 1, 1, 0)
    assert [outcome for outcome, _ in lines] == ["done"]
    assert not any(value in str((kept, lines)) for value in ("李伟", "谁也不是", KNOWN[0], KNOWN[1]))


@pytest.mark.parametrize(("pairs", "policy", "refusal"), [
    ([], {}, NothingToVerify),
    ([("李伟", KNOWN[0])] * 3, {"rows_a_request": 2}, TooManyRows),
    ([(name, KNOWN[0]) for name in NAMES[:4]], {}, TriesOutNames),
    ([("李伟", KNOWN[0])] * 3, {"rows_a_day": 2}, DayIsUsedUp),
    ([("谁也不是", number) for number in KNOWN], {"mismatch_rows": 60}, ConsentNeeded),
])  # fmt: skip
def test_what_is_too_much_or_looks_like_guessing_is_refused_and_noted(
    planted: Planted, pairs: list[tuple[str, str]], policy: dict[str, Any], refusal: type[HubError]
) -> None:
    who = asker("commerce", name=f"asker-{refusal.problem}")
    with pytest.raises(refusal):
        planted.ask(pairs, who, **policy)
    with planted.worker.begin() as connection:
        said = "SELECT outcome, facts->>'why' FROM {d}.audit WHERE actor = :actor"
        assert run_sql(connection, said, actor=who.name) == [("refused", refusal.problem)]
        assert run_sql(connection, "SELECT 1 FROM {d}.verification WHERE organisation = 'commerce'") == []


def test_three_names_to_a_number_pass_and_the_bureau_may_agree_to_more_mismatches(planted: Planted) -> None:
    assert planted.ask([(name, KNOWN[0]) for name in NAMES[:3]]).counts.mismatch == 2
    wrong = [("谁也不是", number) for number in KNOWN]
    assert (
        planted.ask(wrong, asker("public_security"), mismatch_rows=60, consented=("public_security",)).counts.mismatch
        == 60
    )


def test_yesterdays_rows_do_not_count_today(planted: Planted) -> None:
    with planted.worker.begin() as connection:
        run_sql(
            connection,
            "INSERT INTO {d}.verification VALUES (:id, 'bureau', 'a', 'p', now() - interval '25 hours', 9, 0, 9, 0)",
            id=new_uuid(),
        )
    assert planted.ask([("李伟", KNOWN[0])], asker("bureau"), rows_a_day=1).counts.match == 1


@pytest.mark.parametrize("purpose", ["", "核对", "核对" + KNOWN[0], "字" * 201])
def test_without_a_purpose_there_is_no_answer(planted: Planted, purpose: str) -> None:
    pairs = Pairs(names=pl.Series(["李伟"]), numbers=pl.Series([KNOWN[0]]))
    with pytest.raises(PurposeMissing):
        verification.verify(planted.served, planted.settings, asker(), pairs, purpose)


def test_who_has_not_the_right_is_refused(planted: Planted) -> None:
    with pytest.raises(NotAllowed):
        planted.ask([("李伟", KNOWN[0])], asker(rights=frozenset({Right.SUBMIT})))


def test_an_answer_says_nothing_but_the_three_words(planted: Planted) -> None:
    body = msgspec.json.decode(msgspec.json.encode(planted.ask([("李伟", KNOWN[0]), ("李伟", KNOWN[1])])))
    assert set(body) == {"verification_id", "counts", "answers"}
    assert set(body["counts"]) == {"match", "mismatch", "not_found"} and set(body["answers"]) == {"match", "mismatch"}
    with planted.worker.begin() as connection:
        people = run_sql(connection, "SELECT person_id FROM {d}.person")
        ids = {str(UUID(str(person))) for (person,) in people}
    assert body["verification_id"] not in ids


def test_the_look_at_spellings_would_show_without_the_key(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "name_key", str)
    assert planted.ask([("张 丽华", KNOWN[4])]).answers == ["mismatch"] != [expected(planted, "张 丽华", KNOWN[4])]
