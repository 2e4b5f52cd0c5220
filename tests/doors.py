"""A founded district behind its web door: who signs in, what they send, and a worker that does what was queued."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

from litestar import Litestar
from sqlalchemy import Connection, insert

from hub import jobs
from hub.app import create_app
from hub.database import Database, new_uuid, utc_now
from hub.keyring import Keyring
from hub.limits import Limits
from hub.registry.api_keys import issue_key
from hub.registry.areas import AreaRow, import_areas, load_area_index
from hub.registry.organisations import Organisation, OrganisationKind, save_organisation
from hub.registry.passwords import hash_password
from hub.registry.permissions import ROLES, SYSTEM_ACTOR
from hub.settings import Settings, load_settings
from hub.tables import account
from mappings.catalogue import Catalogue, load_catalogue
from tests.factories import distinct_name

HEADERS = ("姓名", "公民身份号码", "性别", "出生日期", "民族", "所属社区(村)", "迁入日期")
TOWN, OTHER_TOWN = "999001001", "999001100"
VILLAGE, OTHER_VILLAGE = "999001001001", "999001100200"
AREAS = (
    AreaRow("999001000000", "云岭区", "district"),
    AreaRow("999001001000", "清溪街道", "town", "999001000000"),
    AreaRow(VILLAGE, "光明社区", "village", "999001001000"),
    AreaRow("999001001002", "和平社区", "village", "999001001000"),
    AreaRow("999001100000", "白鹭镇", "town", "999001000000"),
    AreaRow(OTHER_VILLAGE, "松坪村", "village", "999001100000"),
)
ORGANISATIONS: tuple[tuple[str, OrganisationKind, str, str], ...] = (
    ("public_security", "department", "云岭区公安分局", "Public security"),
    ("health", "department", "云岭区卫健局", "Health"),
    ("labour", "department", "云岭区人社局", "Labour"),
    ("mch_station", "care", "云岭区妇幼服务站", "Maternal and child health"),
    ("bureau", "bureau", "云岭区人口信息管理局", "District bureau"),
    (TOWN, "town", "清溪街道", "Qingxi office"),
    (OTHER_TOWN, "town", "白鹭镇", "Bailu town"),
)
STAFF = (
    ("gongan", "public_security", "department_clerk"),
    ("renshe", "labour", "department_clerk"),
    ("fuyou", "mch_station", "care_worker"),
    ("qingxi", TOWN, "town_officer"),
    ("bailu", OTHER_TOWN, "town_officer"),
    ("quju", "bureau", "bureau_operator"),
    ("shenji", "bureau", "auditor"),
)
PASSWORD = "秋水长天-2026"
THIS_MONTH = datetime.now(UTC).astimezone().strftime("%Y-%m")


@dataclass(frozen=True)
class Hub:
    """The application and what is behind it."""

    app: Litestar
    settings: Settings
    worker: Database
    served: Database
    keys: dict[str, str]

    def work(self) -> None:
        """Do everything that is queued, then return."""
        jobs.work(self.worker, self.settings, wait=False)

    def key_of(self, organisation: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[organisation]}"}


@contextmanager
def founded_hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    """``database`` is the worker's, ``app_database`` the web door's."""
    with app_database.begin() as connection:
        keys = _found(connection, settings)
    key = Keyring.load(settings.home).audit_key
    audit_database = Database(settings.audit_url, settings.district, audit_key=key) if settings.audit_url else None
    with application_over(settings, app_database, catalogue, audit_database) as app:
        yield Hub(app, settings, database, app_database, keys)
    if audit_database is not None:
        audit_database.close()


@contextmanager
def serving_hub(
    settings: Settings, worker: Database, served: Database, catalogue: Catalogue, keys: dict[str, str]
) -> Iterator[Hub]:
    """A district that is founded already: one that was restored."""
    with application_over(settings, served, catalogue) as app:
        yield Hub(app, settings, worker, served, keys)


@contextmanager
def served_hub(settings: Settings, worker: Database, served: Database, catalogue: Catalogue) -> Iterator[Hub]:
    """A district that is founded already, with its auditor's connection."""
    key = Keyring.load(settings.home).audit_key
    audit_database = Database(settings.audit_url or "", settings.district, audit_key=key)
    with application_over(settings, served, catalogue, audit_database) as app:
        yield Hub(app, settings, worker, served, {})
    audit_database.close()


@contextmanager
def application_over(
    settings: Settings, app_database: Database, catalogue: Catalogue, audit_database: Database | None = None
) -> Iterator[Litestar]:
    """The application over this hub. Its routes are the same for every test and take long to make: made once."""
    with hub_behind(_application(settings.max_file_bytes), settings, app_database, catalogue, audit_database) as app:
        yield app


@contextmanager
def hub_behind(
    app: Litestar,
    settings: Settings,
    app_database: Database,
    catalogue: Catalogue,
    audit_database: Database | None = None,
) -> Iterator[Litestar]:
    """The application with this hub behind it for a while: what it keeps is made anew, as when it starts."""
    before = dict(app.state.items())
    app.state.update(
        settings=settings,
        database=app_database,
        catalogue=catalogue,
        keyring=Keyring.load(settings.home),
        audit_database=audit_database,
        limits=Limits(settings.requests_per_minute),
    )
    yield app
    app.state.update(before)


@cache
def _application(max_file_bytes: int) -> Litestar:
    settings = load_settings(Path("/nowhere"), max_file_bytes=max_file_bytes)
    return create_app(settings, Database("postgresql+psycopg://nobody@/", settings.district), load_catalogue(), None)  # type: ignore[arg-type]


def _found(connection: Connection, settings: Settings) -> dict[str, str]:
    import_areas(connection, SYSTEM_ACTOR, AREAS, date(2020, 1, 1))
    codes = load_area_index(connection).codes
    for code, kind, name, name_en in ORGANISATIONS:
        area_id = codes[f"{code}000"] if kind == "town" else None
        one = Organisation(
            code=code, district=settings.district, name=name, name_en=name_en, kind=kind, area_id=area_id
        )
        save_organisation(connection, SYSTEM_ACTOR, one)
    for login, organisation, role in STAFF:
        open_account(connection, login, organisation, role)
    scopes = ROLES["integrator"]
    return {
        code: issue_key(connection, SYSTEM_ACTOR, organisation=code, title="接口", scopes=scopes).text
        for code in ("public_security", "labour", "health")
    }


def open_account(
    connection: Connection, login: str, organisation: str, role: str, *, must_change: bool = False
) -> None:
    row = {"account_id": new_uuid(), "login": login, "name": login, "organisation": organisation, "roles": [role]}
    secret = {"password_hash": _hash(), "must_change_password": must_change, "created_at": utc_now()}
    connection.execute(insert(account), [row | secret])


@cache
def _hash() -> str:
    """The password's hash is made to be slow: once is enough for all accounts of a test run."""
    return hash_password(PASSWORD)


def identity_number(serial: int, birth: str = "19900307") -> str:
    """A well-formed number of nobody: the prefix 999001 is assigned to no place."""
    body = f"999001{birth}{serial:03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(weight * int(digit) for weight, digit in zip(weights, body, strict=True))
    return body + "10X98765432"[total % 11]


def move_in(serial: int, **changes: str) -> dict[str, str]:
    """One row of a police station's list of people who moved in, under its own headers."""
    row = {
        "姓名": "王小明" if serial == 1 else distinct_name(serial),
        "公民身份号码": identity_number(serial),
        "性别": "男" if serial % 2 else "女",
        "出生日期": "1990-03-07",
        "民族": "汉族",
        "所属社区(村)": VILLAGE,
        "迁入日期": f"{THIS_MONTH}-01",
    }
    return row | changes


def csv_of(*rows: dict[str, str]) -> bytes:
    lines = [",".join(HEADERS), *(",".join(row[header] for header in HEADERS) for row in rows)]
    return ("\r\n".join(lines) + "\r\n").encode()
