"""Environment and hub.toml become one frozen Settings; nothing else reads either."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from hub.errors import HubError

SHORTEST_AUDIT_YEARS = 3


class BadSettings(HubError):
    """设置有误，请检查 hub.toml 与环境变量。 The settings are wrong: check hub.toml and the environment."""

    problem = "bad-settings"


class AccountPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[accounts]`` in hub.toml: what GB/T 22239-2019 and OWASP ASVS 5.0 leave to the site."""

    password_least_length: int = 8
    administrator_password_least_length: int = 12
    password_least_classes: int = 3  # of lower case, upper case, digits, signs, other scripts
    password_days: int = 0  # 0: no forced change (ASVS 6.2.10); assessors of 等保 usually ask for 90
    password_history: int = 5  # so many earlier passwords are not taken again
    first_password_days: int = 7  # a first or reset password not changed by then opens nothing; 0: it stays good
    forbidden_words: tuple[str, ...] = ()  # no password contains them, beside those of hub/registry/passwords.py
    free_attempts: int = 5  # wrong passwords before an account is locked for a while
    address_free_attempts: int = 20  # the same for an address, whichever accounts it tries
    longest_lock_minutes: int = 15
    idle_minutes: int = 30
    session_hours: int = 10
    one_session: bool = False  # a new sign-in ends the account's other sessions
    administrator_addresses: tuple[str, ...] = ()  # CIDR: the three administrators sign in from there; none: anywhere
    second_factor_roles: tuple[str, ...] = ("system_administrator", "security_administrator", "auditor")


class PeoplePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[people]`` in hub.toml: how much may be looked up of persons."""

    searches_a_day: int = 300  # of one account; what was refused is not counted


class SftpPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[sftp]`` in hub.toml: the hub's own SFTP server."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = 8522
    passwords: bool = False  # let a key's secret open the door where a system has no SSH key
    sessions: int = 64  # at once, of everybody
    sessions_of_one: int = 8  # at once, of one organisation
    idle_seconds: float = 300.0
    quota_bytes: int = 2 * 1024 * 1024 * 1024  # waiting uploads of one organisation
    quota_files: int = 5_000
    open_files: int = 16  # of one session
    free_space_floor: int = 512 * 1024 * 1024  # bytes left on the disk below which nothing more is written
    incomplete_days: int = 7  # a cut upload nobody resumed is removed after so long
    ban_score: int = 10  # points of wrong keys, names and paths before an address waits outside
    ban_minutes: int = 15


class VerificationPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[verification]`` in hub.toml: how many names and numbers may be verified, and what looks like guessing."""

    rows_a_request: int = 100_000
    rows_a_day: int = 200_000  # of one organisation
    names_a_number: int = 3  # in one request
    mismatch_rows: int = 1_000  # from so many rows a day on, most of them must match ...
    mismatch_share: float = 0.5
    consented: tuple[str, ...] = ()  # ... unless the bureau agreed, by organisation


class RetentionPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[retention]`` in hub.toml: how long what was sent is kept as it was sent."""

    raw_files_days: int = 0  # stored uploads of finished submissions; 0: kept


class RoundPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[rounds]`` in hub.toml: the district's calendar of the month with the towns, in days after the month's end."""

    automatic: bool = True  # rounds open and close by themselves on their days; else by the bureau's command
    month_ends_on: int = 0  # day of the month (1 to 28) on which the statistical month ends; 0: the calendar's last
    year_begins: int = 1  # month in which the statistical year begins
    opens_after: int = 1
    due_after: int = 10
    closes_after: int = 15
    transfer_days: int = 3  # working days the town has to which a change is transferred
    challenge_days: int = 10  # working days the source has (政务数据共享条例, art. 26)
    remind_before: int = 3  # days before it is due
    escalate_after: int = 3  # days after it was due


class MailPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[mail]`` in hub.toml: where notices are sent by mail. No host: none is. The password lies in <home>/keys/mail."""

    host: str = ""
    port: int = 25
    security: Literal["none", "starttls", "tls"] = "starttls"
    account: str = ""
    sender: str = ""  # address


class SmsPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[sms]`` in hub.toml: the gateway for short messages. No address: none are sent. The token lies in <home>/keys/sms."""

    url: str = ""  # its host stands in outbound_hosts, or its network in outbound_networks
    method: Literal["POST", "GET"] = "POST"
    body: str = '{"phone": "{phone}", "text": "{text}"}'  # {phone}, {text}, {id} are filled in, escaped as JSON
    content_type: str = "application/json"
    token_header: str = "Authorization"  # noqa: S105
    accepted: str = ""  # what the answer's body holds when it was taken; "": any 2xx


class SharingPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[sharing]`` in hub.toml: how fresh what is shared must be, and when somebody is told that it is not."""

    freshness_hours: int = 24  # target of a subscription that names none; 0: no target
    silence_tolerance: float = 1.5  # a source is silent after its expected frequency times this
    channel_failures: int = 3  # failures in a row before a channel alarms
    correction_days: int = 10  # working days until an unacknowledged correction alarms
    export_rows: int = 100_000  # rows of one export for people; more is taken by interface or in parts
    acknowledge_days: int = 5  # working days in which a delivery is to be fetched and acknowledged
    licence_years: int = 3  # a slice is given for so many years at most, then it is asked for again


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a district can set. Sizes in bytes, times in seconds unless the name says otherwise."""

    home: Path
    district: str = "d999001"  # schema of the district
    district_code: str = "999001"  # six digits: area codes beginning otherwise belong to another district
    database_url: str | None = None  # app role; None: the embedded PostgreSQL
    owner_url: str | None = None  # migrations
    worker_url: str | None = None  # staging and merge; None: the app role's URL
    audit_url: str | None = None  # reading the audit; None: no audit pages
    fictitious_prefixes: tuple[str, ...] = ()  # ("999001",) in demo and tests only
    demo: bool = False
    host: str = "127.0.0.1"
    port: int = 8500
    max_file_bytes: int = 300 * 1024 * 1024
    parse_wall_seconds: int = 300
    parse_cpu_seconds: int = 240
    drop_scan_seconds: float = 5.0
    drop_quiet_seconds: float = 2.0
    lock_timeout_ms: int = 30_000
    page_window: int = 50_000  # log rows one page may scan before it answers with a bookmark
    time_zone: str = "Asia/Shanghai"  # months are cut here
    accounts: AccountPolicy = AccountPolicy()
    allowed_hosts: tuple[str, ...] = ()  # host names the hub answers to, beside localhost and literal addresses
    trusted_proxies: tuple[str, ...] = ()  # CIDR: only they may say who the client is
    token_minutes: int = 10
    requests_per_minute: int = 1200  # of one machine or one address
    outbound_hosts: tuple[str, ...] = ()  # host names the hub may call
    outbound_networks: tuple[str, ...] = ()  # CIDR: addresses of the district's own network that it may call
    sftp: SftpPolicy = SftpPolicy()
    verification: VerificationPolicy = VerificationPolicy()
    retention: RetentionPolicy = RetentionPolicy()
    people: PeoplePolicy = PeoplePolicy()
    rounds: RoundPolicy = RoundPolicy()
    mail: MailPolicy = MailPolicy()
    sms: SmsPolicy = SmsPolicy()
    sharing: SharingPolicy = SharingPolicy()
    audit_anchor: Path | None = None  # where every day's audit head is written; None: <home>/audit/anchors.log
    audit_syslog: str = ""  # /dev/log or host:port: the same head, sent there too
    audit_years: int = 3  # no younger audit line is ever archived

    @property
    def files(self) -> Path:
        return self.home / "files"

    @property
    def drops(self) -> Path:
        return self.home / "drops"

    @property
    def keys(self) -> Path:
        return self.home / "keys"

    @property
    def channels(self) -> Path:
        """One TOML file a channel: whose server or interface, how often, with which secret."""
        return self.home / "channels"


_FROM_ENVIRONMENT = {
    "HUB_DATABASE_URL": "database_url",
    "HUB_OWNER_URL": "owner_url",
    "HUB_WORKER_URL": "worker_url",
    "HUB_AUDIT_URL": "audit_url",
    "HUB_DISTRICT": "district",
    "HUB_HOST": "host",
    "HUB_PORT": "port",
}


def load_settings(home: Path | None = None, **changes: object) -> Settings:
    """Defaults, then ``<home>/hub.toml``, then HUB_* variables, then ``changes``."""
    place = Path(home or os.environ.get("HUB_HOME") or ".hub").absolute()
    chosen: dict[str, Any] = {**_read_file(place / "hub.toml"), **_read_environment(), **changes, "home": place}
    try:
        return _require_audit_years(msgspec.convert(chosen, Settings, strict=False))
    except msgspec.ValidationError as wrong:
        raise BadSettings(str(wrong)) from wrong


def _require_audit_years(settings: Settings) -> Settings:
    if settings.audit_years < SHORTEST_AUDIT_YEARS:
        raise BadSettings(
            f"audit_years = {settings.audit_years}：审计至少保存 {SHORTEST_AUDIT_YEARS} 年。"
            f" The audit is kept for {SHORTEST_AUDIT_YEARS} years at least."
        )
    return settings


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as wrong:
        raise BadSettings(f"{path}: {wrong}") from wrong


def _read_environment() -> dict[str, str]:
    return {name: os.environ[key] for key, name in _FROM_ENVIRONMENT.items() if os.environ.get(key)}
