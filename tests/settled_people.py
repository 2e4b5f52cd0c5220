"""A few fictitious people of two towns with records from many sources, for tests of who may read what of whom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from hub.database import Database, run_sql, utc_now
from hub.embedded import Cluster
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.people.attributes import derive
from hub.people.purposes import Purpose
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.slice_definition import Condition, SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from mappings.catalogue import Catalogue
from tests import district
from tests.conftest import clone_template, execute
from tests.district import BAILU, GUANGMING, QINGXI, QINGXI_OFFICE, actor
from tests.doors import identity_number
from tests.staged import stage

MEI, QIANG, YU, YUAN = (identity_number(number) for number in (2, 3, 5, 7))
NAMES = {MEI: "李晓梅", QIANG: "王志强", YU: "王小雨", YUAN: "赵思远"}
CERTIFICATE = "T999001234"
VERIFY = Purpose(code="verify")
REASONED = Purpose(code="other", text="核对群众反映的情况")
GUANGMING_CODE, BAILU_CODE = "999001001001", "999001100000"

CLERK = actor("public_security", "department_clerk", name="gongan")
LABOUR = actor("labour", "department_clerk", name="renshe")
COMMERCE = actor("commerce", "department_clerk", name="shijian")
HEALTH = actor("health", "department_clerk", name="weijian")
CARE = actor("mch_station", "care_worker", name="fuyou")
TOWN = actor(QINGXI_OFFICE, "town_officer", name="qingxi", area_id=QINGXI)
BUREAU = actor("bureau", "bureau_operator", name="quju")
NOBODY = actor("bureau", "auditor", name="shenji")


def _said(role: str, number: str, area: int | None = None, **facts: object) -> dict[str, Any]:
    prefix = "" if role == "person" else f"{role}_"
    place = {f"{role}_area": area} if area else {}
    return {f"{prefix}name": NAMES[number], f"{prefix}id_no": number, **place, **facts}


ROLL = {"household_no": "H-01", "live_div": GUANGMING_CODE}
BATCHES: tuple[tuple[str, str, list[dict[str, Any]]], ...] = (
    (
        QINGXI_OFFICE, "resident_roll",
        [_said("person", MEI, GUANGMING, relation="12", phone="13812345678", birth_date="1990-03-07", **ROLL),
         _said("person", QIANG, GUANGMING, relation="02", birth_date="1990-03-07", **ROLL)],
    ),
    ("public_security", "resident_roll", [_said("person", YUAN, BAILU, household_no="H-01", live_div=BAILU_CODE)]),
    (
        "public_security", "hukou_move_in",
        [_said("person", YUAN, BAILU, move_date="2026-05-06", reason="1", hukou_div=BAILU_CODE)],
    ),
    (
        "civil_affairs", "marriage",
        [_said("male", QIANG, GUANGMING, cert_no="J1", registered_on="2020-02-02", office="云岭区民政局")
         | _said("female", MEI, GUANGMING)],
    ),
    (
        "mch_station", "birth_certificate",
        [{"child_name": NAMES[YU], "cert_no": CERTIFICATE, "birth_time": "2024-06-01T08:00:00",
          "issued_on": "2024-06-03", "facility": "云岭区妇幼服务站"}
         | _said("mother", MEI, GUANGMING) | _said("father", QIANG, GUANGMING)],
    ),
    ("mch_station", "antenatal_booking", [_said("woman", MEI, GUANGMING, handbook_no="S1", booked_on="2023-12-01")]),
    (
        "labour", "employment",
        [_said("person", MEI, GUANGMING, employer="云岭制衣厂", start_date="2021-03-01", emp_form="1")],
    ),
    (
        "labour", "social_insurance",
        [_said("person", MEI, scheme="110", kind="1", month="2021-03"),
         _said("person", MEI, scheme="310", kind="1", month="2021-04"),
         _said("person", MEI, scheme="110", kind="2", month="2023-01")],
    ),
)  # fmt: skip


class Settled:
    """The register, and who is who in it."""

    def __init__(self, connection: Connection, catalogue: Catalogue) -> None:
        district.found(connection)
        for source, record_type, rows in BATCHES:
            self.put(connection, catalogue, source, record_type, rows)
        self.people = {str(value): person for value, person in run_sql(connection, _PEOPLE)}
        derive(connection, catalogue, self.people.values())  # type: ignore[arg-type]
        self._subscribe(connection, catalogue)
        self.areas: AreaIndex = load_area_index(connection)

    def __getitem__(self, number: str) -> UUID:
        return UUID(str(self.people[number]))

    def put(
        self, connection: Connection, catalogue: Catalogue, source: str, record_type: str, rows: list[dict[str, Any]]
    ) -> UUID:
        """Records through link and merge, with the ledger's line they came by."""
        its = catalogue.record_types[record_type]
        submission_id = stage(connection, its, rows)
        run_sql(
            connection, _SUBMISSION, id=submission_id, number=f"R-{source}-{submission_id.hex[-6:]}",
            organisation=source, record_type=record_type, now=utc_now(),
        )  # fmt: skip
        apply_staged(connection, submission_id, source, its, catalogue)
        number_changes(connection, submission_id)
        return submission_id

    def _subscribe(self, connection: Connection, catalogue: Catalogue) -> None:
        """Commerce: employments of one employer form, by number; health: births of one town, without the parents."""
        work = SliceType("employment", ("id_no", "employer"), (Condition("emp_form", "in", ("1",)),))
        births = SliceType("birth_certificate", ("child_name", "issued_on", "facility"))
        wanted = {
            "commerce": SliceDefinition((work,)), "health": SliceDefinition((births,), (QINGXI,)),
            "labour": SliceDefinition((SliceType("hukou_move_in", ("name", "id_no")),), (QINGXI,)),
        }  # fmt: skip
        for code, definition in wanted.items():
            create_subscription(
                connection, SYSTEM_ACTOR, catalogue, code=f"of-{code}", organisation=code, title="订阅",
                definition=definition, terms=Terms(purpose="核对", legal_basis="条例"),
            )  # fmt: skip


_PEOPLE = "SELECT value, person_id FROM {d}.person_identifier WHERE kind IN ('id_no', 'birth_cert')"
_SUBMISSION = (
    "INSERT INTO {d}.submission (submission_id, receipt_number, operation_id, organisation, record_type, door, actor,"
    " file_name, file_size, file_sha256, stored_as, state, received_at) VALUES (:id, :number, :number, :organisation,"
    " :record_type, 'api', 'a', 'f', 1, '', '', 'merged', :now)"
)


@contextmanager
def settled_people(cluster: Cluster, catalogue: Catalogue, name: str) -> Iterator[tuple[Settled, Database, Database]]:
    """Whoever is settled there, the database as the web door sees it, and as its owner does."""
    clone_template(cluster, name)
    urls = cluster.urls(name)
    served, owner = Database(urls.app, "d999001"), Database(urls.owner, "d999001")
    with owner.begin() as connection:
        settled = Settled(connection, catalogue)
    yield settled, served, owner
    served.close()
    owner.close()
    execute(cluster, f"DROP DATABASE {name} WITH (FORCE)")
