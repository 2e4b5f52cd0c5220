"""A small district in which one person has left traces everywhere a person can, before they are erased."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, insert

from hub import jobs
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.embedded import Urls
from hub.exchange.changelog import number_changes
from hub.exchange.erasure import Erased, erase_person
from hub.exchange.pipeline import apply_staged
from hub.exchange.slices import FeedContext, Page, read_page
from hub.keyring import Keyring
from hub.registry.permissions import SYSTEM_ACTOR, Actor, Right
from hub.settings import Settings, load_settings
from hub.tables import comparison_item, organisation, person_decision, person_pair, person_profile
from mappings.catalogue import Catalogue
from tests.doors import csv_of, identity_number, move_in
from tests.staged import stage
from tests.test_oracle import DEFINITIONS, prepare

NAME, OTHER_NAME = "欧阳抹去", "欧阳抹净"
OLD_NUMBER, NUMBER, CLOSE_NUMBER = identity_number(701), identity_number(703), identity_number(707)
ADDRESS, PHONE, EMPLOYER, SECRET = "抹去巷七号", "19900007077", "抹去工厂", "抹去的随访"
TICKED = f"'{NUMBER[:6]} {NUMBER[6:]}"  # as a file had it
PLANTED = (TICKED, NAME, OTHER_NAME, OLD_NUMBER, NUMBER, ADDRESS, PHONE, EMPLOYER, SECRET)
SPOUSE, SPOUSE_NAME = identity_number(710), "钱仍在"
CHILD = identity_number(712, "20260901")
VILLAGE = "999001001205"  # village 5 of town A
POLICE = Actor(
    name="clerk", organisation="public_security", kind="department", door="upload", rights=frozenset({Right.SUBMIT})
)


@dataclass
class World:
    """The district, what its subscribers had before, and what the erasure said."""

    database: Database
    owner: Database
    settings: Settings
    catalogue: Catalogue
    receipts: list[str] = field(default_factory=list)
    pages: dict[str, list[Page]] = field(default_factory=dict)
    erased: Erased | None = None

    @property
    def context(self) -> FeedContext:
        return FeedContext(self.catalogue, Keyring.load(self.settings.home))

    def person_of(self, number: str) -> UUID | None:
        with self.owner.begin() as connection:
            statement = "SELECT person_id FROM {d}.person_identifier WHERE kind = 'id_no' AND value = :number"
            found = run_sql(connection, statement, number=number)
        return UUID(str(found[0][0])) if found else None

    def put(self, code: str, *rows: dict[str, Any], source: str = "public_security") -> UUID:
        record_type = self.catalogue.record_types[code]
        with self.database.begin() as connection:
            submission_id = stage(connection, record_type, list(rows))
            apply_staged(connection, submission_id, source, record_type, self.catalogue)
            number_changes(connection, submission_id)
        return submission_id

    def send(self, *rows: dict[str, str], name: str = "迁入.csv", **changes: Any) -> str:
        accepted = jobs.accept(
            self.database, self.settings, POLICE, stream=io.BytesIO(csv_of(*rows)), file_name=name,
            record_type="hukou_move_in", organisation="public_security", period="2026-11", door="upload", **changes,
        )  # fmt: skip
        jobs.work(self.database, self.settings, wait=False)
        return accepted.receipt_number

    def pull(self, code: str) -> list[Page]:
        pages, cursor = [], None
        while True:
            with self.database.begin() as connection:
                page = read_page(connection, SYSTEM_ACTOR, self.context, code, cursor, 3)
            pages.append(page)
            cursor = page.next
            if not page.more:
                return pages

    def erase(self, number: str = NUMBER) -> Erased:
        person = self.person_of(number)
        assert person is not None
        basis, reason = "个人信息保护法第四十七条", "本人申请删除"
        return erase_person(self.database, self.settings, self.catalogue, SYSTEM_ACTOR, person, basis, reason)

    def traces(self, *needles: str) -> set[str]:
        """Tables of the district in which any of these is written, as text or as bytes."""
        written = [form for needle in needles for form in (needle, needle.encode().hex())]
        with self.owner.begin() as connection:
            tables = run_sql(
                connection, "SELECT tablename FROM pg_tables WHERE schemaname = :d", d=self.settings.district
            )
            return {str(table) for (table,) in tables if _holds(connection, str(table), written)}


def _holds(connection: Connection, table: str, written: list[str]) -> bool:
    statement = (
        f"SELECT 1 FROM {{d}}.{table} t WHERE EXISTS"
        " (SELECT 1 FROM unnest(CAST(:written AS text[])) w WHERE strpos(t::text, w) > 0) LIMIT 1"
    )
    return bool(run_sql(connection, statement, written=written))


@contextmanager
def lived_in(urls: Urls, home: Path, catalogue: Catalogue) -> Iterator[World]:
    settings = load_settings(
        home, database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker, fictitious_prefixes=("999001",),
        demo=True,
    )  # fmt: skip
    world = World(Database(urls.worker, "d999001"), Database(urls.owner, "d999001"), settings, catalogue)
    with world.owner.begin() as connection:
        prepare(connection, catalogue)
        police = {"code": "public_security", "district": "d999001", "name": "公安分局", "kind": "department"}
        connection.execute(insert(organisation), [police])
    _live(world)
    _send_files(world)
    with world.owner.begin() as connection:
        _note_judgements(connection, world)
    world.pages = {code: world.pull(code) for code in DEFINITIONS}
    yield world
    world.database.close()
    world.owner.close()


def _live(world: World) -> None:
    them = {"id_no": OLD_NUMBER, "name": NAME, "live_addr": ADDRESS, "phone": PHONE, "person_area": 5}
    world.put("resident_roll", them, source="999001001")
    world.put("resident_roll", {**them, "name": OTHER_NAME}, source="999001001")
    child = {"child_id_no": CHILD, "cert_no": "Q999001001", "registered_on": "2026-09-03", "child_area": 6}
    world.put("newborn_hukou", {**child, "mother_id_no": OLD_NUMBER, "mother_name": NAME})
    world.put("identity_correction", {"id_no": OLD_NUMBER, "new_id": NUMBER, "item": "12", "changed_on": "2026-02-01"})
    world.put("hukou_move_in", {**them, "id_no": NUMBER, "move_date": "2026-01-05", "from_addr": "甲"})
    job = {"id_no": NUMBER, "name": NAME, "start_date": "2026-01-05", "employer": EMPLOYER, "post": "乙"}
    world.put("employment", job, source="labour")
    other_job = {"id_no": SPOUSE, "name": SPOUSE_NAME, "start_date": "2026-01-05", "employer": "别处", "post": "乙"}
    world.put("employment", other_job, source="labour")
    _marry(world, "J1", (NUMBER, NAME), (SPOUSE, SPOUSE_NAME))
    _marry(world, "J2", (SPOUSE, SPOUSE_NAME), (NUMBER, NAME))
    visit = {"woman_id_no": NUMBER, "woman_name": NAME, "visit_date": "2026-03-05", "kind": "1"}
    sealed = "\\x" + SECRET.encode().hex()
    world.put("postnatal_visit", {**visit, "sealed": sealed}, source="mch_station")


def _marry(world: World, cert_no: str, husband: tuple[str, str], wife: tuple[str, str]) -> None:
    couple = {"male_id_no": husband[0], "male_name": husband[1], "female_id_no": wife[0], "female_name": wife[1]}
    world.put(
        "marriage", {**couple, "cert_no": cert_no, "registered_on": "2026-01-05", "kind": "甲"}, source="civil_affairs"
    )


def _send_files(world: World) -> None:
    """A row noted for how its number was written, two that clash and wait, one refused, a preview nobody came back to."""
    theirs = {"姓名": NAME, "公民身份号码": NUMBER, "所属社区(村)": VILLAGE}
    noted = move_in(703, **theirs | {"公民身份号码": TICKED, "迁入日期": "2026-11-02"})
    clashing = [move_in(703, **theirs, 迁入日期="2026-11-03", 民族=nation) for nation in ("汉族", "回族")]
    refused = move_in(703, **theirs, 迁入日期="某日")
    other = move_in(720, **{"所属社区(村)": VILLAGE})
    world.receipts.append(world.send(noted, *clashing, refused, other))
    world.receipts.append(world.send(move_in(703, **theirs, 迁入日期="2026-11-05"), name="试检.csv", dry_run=True))


def _note_judgements(connection: Connection, world: World) -> None:
    person, other, now = world.person_of(NUMBER), world.person_of(SPOUSE), utc_now()
    assert person is not None and other is not None
    profile = {"person_id": person, "name": NAME, "name_key": NAME, "id_no": NUMBER, "derived_at": now}
    connection.execute(
        delete(person_profile).where(person_profile.c.person_id == person)
    )  # a worker may have derived it
    connection.execute(insert(person_profile).values(**profile, attributes={"name": [NAME]}, disagreeing=[]))
    first, second = sorted((person, other))
    pair = {"first_id": first, "second_id": second, "score": 1.0, "features": {"name": [NAME]}, "found_at": now}
    connection.execute(insert(person_pair).values(**pair, state="open"))
    decision = {
        "decision_id": new_uuid(),
        "kind": "merge",
        "organisation": "bureau",
        "decided_by": "a",
        "decided_at": now,
    }
    said = {"reason": f"{NAME}同一人", "person_id": person, "other_id": new_uuid(), "id_no": NUMBER}
    connection.execute(insert(person_decision).values(**decision, **said, moved=[["id_no", OLD_NUMBER]], state="done"))
    item = {
        "item_id": new_uuid(),
        "check_code": "X",
        "subject": "s",
        "person_id": person,
        "state": "open",
        "areas": [5],
    }
    seen = {"sides": [], "organisation": "999001001", "evidence": NAME, "opened_at": now, "last_seen_at": now}
    connection.execute(insert(comparison_item).values(**item, **seen))
