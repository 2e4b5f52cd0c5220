"""The fictitious district is founded in a hub: its areas, organisations, people's accounts and systems' keys."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy import Connection

from hub.demo.areas import DISTRICT_NAME, VALID_FROM, District, area_rows
from hub.demo.departments import UNITS
from hub.demo.names import PREFIX
from hub.errors import Conflict
from hub.registry.accounts import create_account
from hub.registry.api_keys import issue_key, register_ssh_key
from hub.registry.areas import import_areas, load_area_index
from hub.registry.organisations import Organisation, OrganisationKind, list_organisations, save_organisation
from hub.registry.passwords import new_password
from hub.registry.permissions import ROLES, Actor, Right
from hub.settings import AccountPolicy, Settings

FOUNDER = Actor(
    name="command:demo",
    organisation="hub",
    kind="hub",
    door="command",
    rights=frozenset({Right.OPERATE, Right.SUBMIT, Right.READ_SUBMISSION, Right.PULL_SLICE, Right.READ_REGISTRY}),
)
KINDS: dict[str, OrganisationKind] = {
    "public_security": "department", "health": "department", "civil_affairs": "department", "labour": "department",
    "commerce": "department", "mch_station": "care", "information_centre": "information_centre", "bureau": "bureau",
}  # fmt: skip
MORE_UNITS = {"information_centre": f"{DISTRICT_NAME}信息中心", "bureau": f"{DISTRICT_NAME}人口信息管理局"}
NAMES_EN = {
    "public_security": "Public security", "health": "Health", "civil_affairs": "Civil affairs", "labour": "Labour",
    "commerce": "Market regulation", "mch_station": "Maternal and child health", "bureau": "District bureau",
    "information_centre": "Information centre",
}  # fmt: skip
STAFF = (
    ("gongan", "周和", "public_security", "department_clerk"),
    ("weijian", "沈宁", "health", "department_clerk"),
    ("minzheng", "何田", "civil_affairs", "department_clerk"),
    ("renshe", "许平", "labour", "department_clerk"),
    ("shijian", "唐文", "commerce", "department_clerk"),
    ("fuyou", "秦安", "mch_station", "care_worker"),
    ("gongan-sj", "孟川", "public_security", "data_officer"),
    ("weijian-sj", "叶舟", "health", "data_officer"),
    ("minzheng-sj", "范青", "civil_affairs", "data_officer"),
    ("renshe-sj", "邵远", "labour", "data_officer"),
    ("shijian-sj", "康立", "commerce", "data_officer"),
    ("quju", "顾岚", "bureau", "bureau_operator"),
    ("xitong", "段平", "information_centre", "system_administrator"),
    ("anquan", "雷宁", "information_centre", "security_administrator"),
    ("shenji", "方明", "bureau", "auditor"),
    ("qingxi", "万和", "999001001", "town_officer"),
    ("bailu", "钱山", "999001100", "town_officer"),
)


SFTP_SENDER = "health"


class Login(NamedTuple):
    """A demo account as it is printed: never outside a demo."""

    login: str
    password: str
    organisation: str
    role: str


class Founded(msgspec.Struct, frozen=True):
    """What the demo must remember between two starts: logins and keys in the clear, in a file only the owner reads."""

    logins: tuple[Login, ...]
    keys: dict[str, str]


def data_officer(organisation: str) -> Actor:
    """Who asks for slices and answers requests in an organisation of the demo; in the bureau its operator."""
    return colleague(organisation, "bureau_operator" if organisation == "bureau" else "data_officer")


def colleague(organisation: str, role: str) -> Actor:
    """The one of these duties there, by the login they also have on the pages."""
    login = next(login for login, _, its, held in STAFF if (its, held) == (organisation, role))
    return Actor(name=login, organisation=organisation, kind=KINDS[organisation], door="command", rights=ROLES[role])


def found(connection: Connection, settings: Settings, district: District) -> Founded:
    """Areas, organisations, accounts and keys; the logins are kept beside the demo's files."""
    import_areas(connection, FOUNDER, area_rows(district), VALID_FROM)
    _enter_organisations(connection, settings, district)
    founded = Founded(_open_accounts(connection, settings.accounts), _issue_keys(connection))
    _register_sftp_key(connection, settings.home)
    _write_private(_kept(settings.home), msgspec.json.encode(founded))
    return founded


def already_founded(connection: Connection, settings: Settings) -> Founded | None:
    """What an earlier start founded, if it did; Conflict where a real district is at home."""
    if not list_organisations(connection, settings.district):
        return None
    kept = _kept(settings.home)
    if not kept.exists():
        raise Conflict("此处已有正式数据，不能再建演示区。 A real district is at home here: choose another --home.")
    return msgspec.json.decode(kept.read_bytes(), type=Founded)


def _kept(home: Path) -> Path:
    return home / "demo" / "logins.json"


def mark_as_demo(home: Path) -> None:
    """The parts of this hub, whenever they start, know that invented numbers are welcome here."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "hub.toml"
    written = file.read_text("utf-8") if file.exists() else ""
    if "fictitious_prefixes" not in written:
        accounts = "" if "[accounts]" in written else "[accounts]\nsecond_factor_roles = []\n"  # demo logins just work
        # the invented year is over: its open round stays open to be tried, and the real month's would hold none of it
        rounds = "" if "[rounds]" in written else "[rounds]\nautomatic = false\n"
        file.write_text(f'demo = true\nfictitious_prefixes = ["{PREFIX}"]\n{written}{accounts}{rounds}', "utf-8")


def _enter_organisations(connection: Connection, settings: Settings, district: District) -> None:
    areas = load_area_index(connection)
    names = UNITS | MORE_UNITS
    for code, kind in KINDS.items():
        one = Organisation(code=code, district=settings.district, name=names[code], kind=kind, name_en=NAMES_EN[code])
        save_organisation(connection, FOUNDER, one)
    for town in district.towns:
        one = Organisation(
            code=town.organisation,
            district=settings.district,
            name=town.name,
            kind="town",
            area_id=areas.codes[town.code],
        )
        save_organisation(connection, FOUNDER, one)


def _open_accounts(connection: Connection, policy: AccountPolicy) -> tuple[Login, ...]:
    opened = []
    for login, name, organisation, role in STAFF:
        password = new_password(policy, [role], login)
        create_account(
            connection, FOUNDER, login=login, name=name, organisation=organisation, roles=[role],
            password=password, must_change_password=False, policy=policy,
        )  # fmt: skip
        opened.append(Login(login, password, organisation, role))
    return tuple(opened)


def _issue_keys(connection: Connection) -> dict[str, str]:
    """A key for the systems that send or pull over HTTP."""
    scopes = {Right.SIGNED_IN, Right.SUBMIT, Right.READ_SUBMISSION, Right.READ_REGISTRY, Right.PULL_SLICE}
    return {
        code: issue_key(connection, FOUNDER, organisation=code, title="演示接口 demo", scopes=scopes).text
        for code in ("labour", "health", "public_security")
    }


def sftp_key_of(home: Path) -> Path:
    """The private key the demo's SFTP sender signs in with."""
    return home / "demo" / f"{SFTP_SENDER}_sftp_key"


def _register_sftp_key(connection: Connection, home: Path) -> None:
    key = Ed25519PrivateKey.generate()
    _write_private(sftp_key_of(home), key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    scopes = (Right.SUBMIT, Right.READ_SUBMISSION, Right.PULL_SLICE)
    register_ssh_key(connection, FOUNDER, SFTP_SENDER, "演示前置机 demo", line, scopes)


def _write_private(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
