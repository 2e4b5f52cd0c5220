"""What is known of a person: by the declared precedence, the same in whatever order it came, disagreement shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, seed
from hypothesis import settings as often
from hypothesis import strategies as st
from sqlalchemy import Connection

from hub.database import Database, run_sql
from hub.embedded import Cluster
from hub.people.attributes import KnownAttribute, attributes_of, derive
from hub.people.profile_check import profile_differences
from hub.people.profiles import catch_up, lag
from mappings.catalogue import Catalogue
from tests.conftest import clone_template, execute
from tests.district import BAILU, GUANGMING, QINGXI, QINGXI_OFFICE, enter, found
from tests.told import ANN, BAILU_OFFICE, BEN, Row, is_known, person_of, profile_of, send, story


@pytest.fixture(scope="module")
def district(cluster: Cluster) -> Iterator[Database]:
    """One database for all stories: each is one transaction that is rolled back."""
    clone_template(cluster, "attributes")
    database = Database(cluster.urls("attributes").worker, "d999001")
    owner = Database(cluster.urls("attributes").owner, "d999001")
    with owner.begin() as connection:
        found(connection)
        enter(connection, BAILU_OFFICE, "town", BAILU)
        enter(connection, "civil_affairs", "department")
    yield database
    owner.close()
    database.close()
    execute(cluster, "DROP DATABASE attributes WITH (FORCE)")


def known(connection: Connection, catalogue: Catalogue, number: str) -> dict[str, KnownAttribute]:
    return {one.name: one for one in attributes_of(connection, catalogue, person_of(connection, number))}


# ---- the rules, as a table ----


@dataclass(frozen=True)
class Case:
    """What was sent (type, source, row), and what is then known of ANN."""

    sent: tuple[tuple[str, str, Row], ...]
    attribute: str
    value: str | None
    others: tuple[str, ...] = ()


def roll(source: str, **fields: Any) -> tuple[str, str, Row]:
    return "resident_roll", source, {"id_no": ANN, "name": "安", **fields}


def wed(day: str, kind: str = "1") -> tuple[str, str, Row]:
    row = {"cert_no": f"J{day}{kind}", "registered_on": day, "female_id_no": ANN, "male_id_no": BEN, "kind": kind}
    return "marriage", "civil_affairs", row


def parted(day: str) -> tuple[str, str, Row]:
    row = {"cert_no": f"L{day}", "registered_on": day, "female_id_no": ANN, "male_id_no": BEN}
    return "divorce", "civil_affairs", row


def job(employer: str, day: str, **fields: Any) -> tuple[str, str, Row]:
    return "employment", "labour", {"id_no": ANN, "name": "安", "start_date": day, "employer": employer, **fields}


def died(code: str, source: str, **fields: Any) -> tuple[str, str, Row]:
    return code, source, {"id_no": ANN, "name": "安", **fields}


POLICE, TOWN = "public_security", QINGXI_OFFICE
CASES = {
    "identity by public security first": Case((roll(TOWN, name="安安"), roll(POLICE)), "name", "安", ("安安",)),
    "a name in traditional characters is the same name": Case(
        (roll(TOWN, name="陳 麗·娜"), roll(POLICE, name="陈丽娜")), "name", "陈丽娜"
    ),
    "the address by the town first, lines are not compared": Case(
        (roll(POLICE, live_addr="一路1号"), roll(TOWN, live_addr="二路2号")), "live_addr", "二路2号"
    ),
    "villages of one town go together": Case(
        (roll(TOWN, live_div="999001001001"), roll(POLICE, live_div="999001001000")), "live_div", "999001001001"
    ),
    "another town is said": Case(
        (roll(TOWN, live_div="999001001001"), roll(POLICE, live_div="999001100000")),
        "live_div", "999001001001", ("999001100000",),
    ),
    "the divorce is later": Case((parted("2020-05-01"), wed("2010-05-01")), "marital", "40"),
    "the second wedding is later still": Case(
        (wed("2021-05-01", "2"), parted("2020-05-01"), wed("2010-05-01")), "marital", "20"
    ),
    "of one day the divorce": Case((wed("2020-05-01"), parted("2020-05-01")), "marital", "40"),
    "a reissued certificate is no wedding": Case((parted("2020-05-01"), wed("2022-05-01", "4")), "marital", "40"),
    "a dated roll is later": Case(
        (wed("2010-05-01"), roll(TOWN, marital="30", marital_changed_on="2022-01-01")), "marital", "30"
    ),
    "an older roll still stands, and says otherwise": Case(
        (wed("2015-05-01"), roll(TOWN, marital="10", marital_changed_on="2009-01-01")), "marital", "20", ("10",)
    ),
    "married and first marriage are one status": Case(
        (wed("2015-05-01"), roll(TOWN, marital="21")), "marital", "20"
    ),
    "the employer by labour first": Case((roll(TOWN, workplace="甲厂"), job("乙厂", "2020-01-01")), "workplace", "乙厂", ("甲厂",)),
    "not once the work has ended": Case(
        (roll(TOWN, workplace="甲厂"), job("乙厂", "2020-01-01", ended_on="2021-01-01")), "workplace", "甲厂"
    ),
    "of two jobs the later": Case((job("丙厂", "2022-01-01"), job("乙厂", "2020-01-01")), "workplace", "丙厂"),
    "the day of death by the certificate": Case(
        (
            died("cremation", "civil_affairs", home="馆", cremation_no="1", death_date="2026-01-03", cremated_on="2026-01-05"),
            died("death_certificate", "health", cert_no="S1", death_date="2026-01-02"),
        ),
        "died_on", "2026-01-02", ("2026-01-03",),
    ),
    "the cremation stands in": Case(
        (died("cremation", "civil_affairs", home="馆", cremation_no="1", cremated_on="2026-01-05"),), "died_on", "2026-01-05"
    ),
    "a move abroad is no death": Case(
        (roll(TOWN), died("hukou_cancel", POLICE, cancel_date="2026-01-05", kind="7")), "died_on", None
    ),
    "a cancelled registration for death is one": Case(
        (died("hukou_cancel", POLICE, cancel_date="2026-01-05", happened_on="2026-01-04", kind="1"),), "died_on", "2026-01-04"
    ),
    "a phone is another phone, no disagreement": Case(
        (roll(TOWN, phone="13900000001"), job("乙厂", "2020-01-01", phone="13900000002")), "phone", "13900000002"
    ),
    "what is heard in passing disagrees with nobody": Case(
        (roll(TOWN, education="10"), ("marriage", "civil_affairs", {**wed("2010-01-01")[2], "female_education": "60"})),
        "education", "10",
    ),
    "of two towns' rolls the one where they live": Case(
        (roll(TOWN, education="60", person_area=None), roll(BAILU_OFFICE, education="10", person_area=BAILU)),
        "education", "10", ("60",),
    ),
    "nobody is known to be pregnant": Case(
        (
            ("antenatal_booking", "mch_station", {"handbook_no": "1", "woman_id_no": ANN, "woman_phone": "13900000009"}),
        ),
        "phone", None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_who_is_believed(district: Database, catalogue: Catalogue, name: str) -> None:
    """The value, and what others say, whichever came first."""
    case = CASES[name]
    for sent in (case.sent, case.sent[::-1]):
        with story(district) as connection:
            for code, source, row in sent:
                send(connection, catalogue, code, source, row)
            believed = known(connection, catalogue, ANN).get(case.attribute)
            assert (believed.value if believed else None) == case.value
            assert tuple(other.value for other in (believed.disagreeing if believed else ())) == case.others
            catch_up(connection, catalogue)
            assert stored_like(profile_of(connection, ANN), case)


def stored_like(profile: dict[str, Any] | None, case: Case) -> bool:
    if profile is None:
        return case.value is None
    stored = profile["attributes"].get(case.attribute, [None])[0]
    return bool(stored == case.value and (case.attribute in profile["disagreeing"]) == bool(case.others))


# ---- whatever happens in whatever order ----

Version = tuple[str, str, Row]
days = st.sampled_from(["2019-03-01", "2020-03-01", "2020-06-01"])
words = st.sampled_from(["甲", "乙", "陳", "陈", None])
marital = st.sampled_from([None, "10", "20", "21", "40"])
numbers = st.sampled_from([ANN, BEN])

SAYINGS: dict[str, st.SearchStrategy[Row]] = {
    "resident_roll": st.fixed_dictionaries(
        {"name": words, "education": st.sampled_from([None, "10", "60"]), "workplace": words, "marital": marital,
         "marital_changed_on": st.none() | days, "sex": st.sampled_from([None, "1", "2"]), "live_addr": words}
    ),
    "hukou_move_in": st.fixed_dictionaries(
        {"name": words, "marital": marital, "hukou_addr": words, "person_area": st.sampled_from([QINGXI, GUANGMING, BAILU])}
    ),
    "employment": st.fixed_dictionaries({"name": words, "post": words, "ended_on": st.none() | days}),
    "death_certificate": st.fixed_dictionaries({"name": words, "sex": st.sampled_from([None, "1", "2"])}),
    "marriage": st.fixed_dictionaries({"male_name": words, "female_name": words, "kind": st.sampled_from(["1", "2", "4"])}),
    "divorce": st.fixed_dictionaries({"male_name": words}),
}  # fmt: skip
COUPLE_KEY = {"male_id_no": st.just(BEN), "female_id_no": st.just(ANN)}


@st.composite
def record(draw: st.DrawFn) -> tuple[Version, ...]:
    """One record of one source through its life: sent, perhaps corrected, perhaps voided."""
    code = draw(st.sampled_from(sorted(SAYINGS)))
    source, key = draw(KEYS[code])
    row = {**key, **draw(SAYINGS[code])}
    life = [{**row, "change_kind": "new"}]
    if draw(st.booleans()):
        life.append({**key, **draw(SAYINGS[code]), "change_kind": "correct"})
    if draw(st.integers(0, 3)) == 0:
        life.append({**life[-1], "change_kind": "void"})
    return tuple((code, source, version) for version in life)


def sent_by(source: str, **key: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, Row]]:
    return st.tuples(st.just(source), st.fixed_dictionaries(key))


KEYS: dict[str, st.SearchStrategy[tuple[str, Row]]] = {
    "resident_roll": st.one_of(*(sent_by(one, id_no=numbers) for one in (POLICE, TOWN, BAILU_OFFICE))),
    "hukou_move_in": sent_by(POLICE, id_no=numbers, move_date=days),
    "employment": sent_by("labour", id_no=numbers, start_date=days, employer=st.sampled_from(["甲厂", "乙厂"])),
    "death_certificate": sent_by("health", id_no=numbers, cert_no=st.sampled_from("12"), death_date=days),
    "marriage": sent_by("civil_affairs", cert_no=st.sampled_from("12"), registered_on=days, **COUPLE_KEY),
    "divorce": sent_by("civil_affairs", cert_no=st.sampled_from("12"), registered_on=days, **COUPLE_KEY),
}  # fmt: skip


@st.composite
def told_twice(draw: st.DrawFn) -> tuple[list[Version], list[Version]]:
    """The same records in two orders of arrival; each record's own versions stay in order."""
    lives = draw(st.lists(record(), min_size=1, max_size=5, unique_by=key_of))
    turns = [number for number, life in enumerate(lives) for _ in life]
    first, second = (interleaved(lives, draw(st.permutations(turns))) for _ in range(2))
    return first, second


def key_of(life: tuple[Version, ...]) -> tuple[object, ...]:
    code, source, row = life[0]
    return code, source, *(row[name] for name in NATURAL_KEYS[code])


NATURAL_KEYS = {
    "resident_roll": ("id_no",),
    "hukou_move_in": ("id_no", "move_date"),
    "employment": ("id_no", "start_date", "employer"),
    "death_certificate": ("cert_no", "death_date"),
    "marriage": ("cert_no",),
    "divorce": ("cert_no",),
}


def interleaved(lives: Sequence[tuple[Version, ...]], turns: Sequence[int]) -> list[Version]:
    waiting = [list(life) for life in lives]
    return [waiting[turn].pop(0) for turn in turns]


@seed(1)
@often(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(orders=told_twice())
def test_the_same_records_give_the_same_profile(
    district: Database, catalogue: Catalogue, orders: tuple[list[Version], list[Version]]
) -> None:
    """What is stored while following the log is what is derived from nothing, in either order."""
    outcomes = [follow(district, catalogue, order) for order in orders]
    assert outcomes[0] == outcomes[1]


def follow(district: Database, catalogue: Catalogue, order: list[Version]) -> dict[str, Any]:
    with story(district) as connection:
        for number, (code, source, row) in enumerate(order):
            send(connection, catalogue, code, source, row)
            if number == 1:
                catch_up(connection, catalogue, limit=1)
        while catch_up(connection, catalogue, limit=5):
            pass
        assert lag(connection) == 0
        assert profile_differences(connection, catalogue) == []
        stored = everybody(connection)
        run_sql(connection, "DELETE FROM {d}.person_profile")
        persons = run_sql(connection, "SELECT person_id FROM {d}.person")
        derive(connection, catalogue, [cast(UUID, person) for (person,) in persons])
        assert everybody(connection) == stored
        return stored


def everybody(connection: Connection) -> dict[str, Any]:
    """Profiles by number, without what differs from one telling to the next: ids."""
    return {number: told_by(profile_of(connection, number)) for number in (ANN, BEN) if is_known(connection, number)}


def told_by(profile: dict[str, Any] | None) -> list[object]:
    if profile is None:
        return []
    said = {name: (value, code, *rest) for name, (value, code, _, *rest) in profile["attributes"].items()}
    return [said, *(profile[name] for name in ("name", "name_key", "sex", "id_no", "died_on", "disagreeing"))]
