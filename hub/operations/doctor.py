"""Is the hub well? One finding a question: ok, warn or fail, and what to do about it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal

import msgspec
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from hub.casework.contacts import units_without_contact
from hub.casework.notice_sending import count_failed
from hub.casework.sending_ways import mail_problem, sms_problem
from hub.database import Database, run_sql, utc_now
from hub.errors import PendingMigration
from hub.exchange.changelog import verify_feed
from hub.exchange.held import untrue_rows
from hub.exchange.retention import count_overdue
from hub.operations.backup import last_backup
from hub.operations.provisioning import require_current
from hub.operations.row_security import policies
from hub.people.profiles import lag
from hub.settings import Settings
from hub.sharing.alarms import count_alarms
from mappings.catalogue import Catalogue

State = Literal["ok", "warn", "fail"]
_LEAST_VERSION = 150_000
_FAR_BEHIND = 10_000  # changes
_LEAST_FREE_BYTES, _LOW_FREE_BYTES = 1 << 30, 5 << 30
_LATE_JOB = timedelta(minutes=10)
_STUCK_TRANSACTION = timedelta(minutes=15)
_OLD_BACKUP = timedelta(days=2)
_LATELY = timedelta(days=7)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. ``fix`` is empty when all is well."""

    code: str
    state: State
    title: str
    detail: str = ""
    fix: str = ""


class Patient(msgspec.Struct, frozen=True):
    """What is examined."""

    settings: Settings
    database: Database
    catalogue: Catalogue
    connection: Connection


Question = Callable[[Patient], Finding]


def examine(settings: Settings, database: Database, catalogue: Catalogue) -> list[Finding]:
    """Ask every question. Without a database only those that need none."""
    findings = [ask(settings) for ask in _ABOUT_THE_HOME]
    try:
        with database.begin() as connection:
            patient = Patient(settings, database, catalogue, connection)
            findings += [*_settings_of_the_server(patient), *(ask(patient) for ask in _ABOUT_THE_DATABASE)]
    except Exception as wrong:
        fix = "启动数据库（hub up）或检查 HUB_DATABASE_URL。 Start it (hub up) or check HUB_DATABASE_URL."
        findings.append(_finding("D_REACHABLE", "fail", "数据库可达 database answers", type(wrong).__name__, fix))
    return findings


def examine_quickly(
    settings: Settings, database: Database, catalogue: Catalogue, connection: Connection
) -> list[Finding]:
    """What can be asked at every look, by the serving role, in the caller's transaction; the rest is for ``examine``."""
    patient = Patient(settings, database, catalogue, connection)
    return [ask(settings) for ask in _QUICK_AT_HOME] + [ask(patient) for ask in _QUICK_IN_THE_DATABASE]


def worst(findings: list[Finding]) -> State:
    """The state of the whole."""
    states = {finding.state for finding in findings}
    return "fail" if "fail" in states else "warn" if "warn" in states else "ok"


def _finding(code: str, state: State, title: str, detail: object = "", fix: str = "") -> Finding:
    return Finding(code=code, state=state, title=title, detail=str(detail), fix="" if state == "ok" else fix)


# ---- the home ----


def _keys_are_private(settings: Settings) -> Finding:
    title = "密钥仅本账号可读 keys are private"
    places = [settings.keys, *settings.keys.glob("*.json")]
    secret = [path for path in places if path.exists() and path.name != "public_keys.json"]
    open_ones = [path.name for path in secret if path.stat().st_mode & 0o077]
    fix = f"chmod 700 {settings.keys}; chmod 600 {settings.keys}/*.json"
    return _finding("D_KEY_MODE", "fail" if open_ones else "ok", title, ", ".join(open_ones), fix)


def _space_is_left(settings: Settings) -> Finding:
    free = shutil.disk_usage(settings.home).free
    state: State = "fail" if free < _LEAST_FREE_BYTES else "warn" if free < _LOW_FREE_BYTES else "ok"
    fix = "清理磁盘或扩容：空间耗尽时枢纽不再接收。 Free or add space: a full disk stops receiving."
    return _finding("D_SPACE", state, "磁盘空间 free space", f"{free / (1 << 30):.1f} GB", fix)


def _inodes_are_left(settings: Settings) -> Finding:
    room = os.statvfs(settings.home)
    scarce = room.f_files > 0 and room.f_favail < room.f_files * 0.05
    fix = "删除不需要的小文件。 Remove small files that are not needed."
    return _finding("D_INODES", "warn" if scarce else "ok", "文件数余量 free inodes", room.f_favail, fix)


def _backup_is_recent(settings: Settings) -> Finding:
    last = last_backup(settings)
    late = last is None or utc_now() - last > _OLD_BACKUP
    fix = "每天运行 hub backup FILE，并演练 hub restore。 Run hub backup FILE daily and practise hub restore."
    detail = last.isoformat(timespec="minutes") if last else "从未备份 never"
    return _finding("D_BACKUP", "warn" if late else "ok", "最近备份 last backup", detail, fix)


def _socket_is_private(settings: Settings) -> Finding:
    """Embedded only: whoever reaches the socket may try passwords."""
    host = make_url(settings.owner_url or settings.database_url or "postgresql://").query.get("host", "")
    folder = Path(str(host))
    if not folder.is_absolute():
        return _finding("D_SOCKET", "ok", "数据库套接字 socket folder", "TCP")
    if not folder.exists():
        return _finding("D_SOCKET", "fail", "数据库套接字 socket folder", f"{folder} ?", "hub up")
    mode = stat.S_IMODE(folder.stat().st_mode)
    fix = f"chmod 700 {folder}"
    return _finding("D_SOCKET", "fail" if mode & 0o077 else "ok", "数据库套接字 socket folder", f"{mode:04o}", fix)


def _nobody_is_trusted(settings: Settings) -> Finding:
    """Embedded only: initdb's default lets anyone in without a password."""
    title, path = "数据库须口令 no trust in pg_hba.conf", settings.home / "postgres" / "data" / "pg_hba.conf"
    if not path.exists():
        return _finding("D_TRUST", "ok", title, "非内置数据库 not the embedded server")
    rules = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip() and not line.startswith("#")]
    trusting = any(rule[-1] == "trust" for rule in rules)
    return _finding("D_TRUST", "fail" if trusting else "ok", title, "", f"{path}: local all all scram-sha-256")


_ABOUT_THE_HOME: tuple[Callable[[Settings], Finding], ...] = (
    _keys_are_private,
    _space_is_left,
    _inodes_are_left,
    _backup_is_recent,
    _socket_is_private,
    _nobody_is_trusted,
)


# ---- the database ----


def _settings_of_the_server(patient: Patient) -> Iterator[Finding]:
    """What must be on for an acknowledged submission to survive a power cut."""
    for name, bad in (("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "off")):
        value = _show(patient, name)
        fix = f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()"
        yield _finding(f"D_{name.upper()}", "fail" if value == bad else "ok", name, value, fix)
    checksums = _show(patient, "data_checksums")
    fix = "停库后运行 pg_checksums --enable。 Stop the server and run pg_checksums --enable."
    yield _finding("D_CHECKSUMS", "ok" if checksums == "on" else "warn", "data_checksums", checksums, fix)


def _show(patient: Patient, name: str) -> str:
    return str(run_sql(patient.connection, "SELECT current_setting(:name)", name=name)[0][0])


def _version_is_known(patient: Patient) -> Finding:
    number = int(_show(patient, "server_version_num"))
    fix = "升级到 PostgreSQL 15 以上。 Upgrade to PostgreSQL 15 or newer."
    return _finding("D_VERSION", "ok" if number >= _LEAST_VERSION else "fail", "PostgreSQL", number, fix)


def _encoding_is_utf8(patient: Patient) -> Finding:
    encoding = _show(patient, "server_encoding")
    fix = "以 UTF8 重建数据库：生僻字会丢失。 Recreate the database as UTF8: rare characters would be lost."
    return _finding("D_ENCODING", "ok" if encoding == "UTF8" else "fail", "数据库编码 encoding", encoding, fix)


def _role_is_humble(patient: Patient) -> Finding:
    """Neither superuser nor owner: row security and grants bind only others."""
    role = run_sql(
        patient.connection,
        """
        SELECT r.rolsuper OR r.rolbypassrls, EXISTS (SELECT 1 FROM pg_tables t WHERE t.schemaname = :district
               AND t.tableowner = current_user), current_user
          FROM pg_roles r WHERE r.rolname = current_user
        """,
        district=patient.settings.district,
    )[0]
    fix = "HUB_DATABASE_URL / HUB_WORKER_URL 请使用 hub_app / hub_worker。 Use the roles hub_app and hub_worker."
    return _finding(
        "D_ROLE", "fail" if role[0] or role[1] else "ok", "应用角色权限最小 role is not owner", role[2], fix
    )


def _rows_are_guarded(patient: Patient) -> Finding:
    """The second wall stands: row security on and forced, its policies the ones this version writes."""
    wanted = {(policy.table, policy.name) for policy in policies(patient.catalogue)}
    found = run_sql(
        patient.connection,
        "SELECT c.relname, p.polname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid"
        " WHERE c.relnamespace = CAST(:district AS regnamespace) AND c.relrowsecurity AND c.relforcerowsecurity",
        district=patient.settings.district,
    )
    apart = sorted({table for table, _ in wanted ^ {(str(table), str(name)) for table, name in found}})
    fix = "hub migrate 会恢复行级安全；查明是谁改动的。 hub migrate restores it; find out who changed it."
    return _finding("D_ROWS", "fail" if apart else "ok", "行级安全 row security", ", ".join(apart[:5]), fix)


def _schema_is_current(patient: Patient) -> Finding:
    title = "数据库结构最新 schema is current"
    try:
        require_current(patient.database, patient.catalogue)
    except PendingMigration as pending:
        return _finding("D_MIGRATION", "fail", title, pending.detail, "hub migrate")
    return _finding("D_MIGRATION", "ok", title)


def _clocks_agree(patient: Patient) -> Finding:
    there = run_sql(patient.connection, "SELECT clock_timestamp()")[0][0]
    apart = abs((utc_now() - there).total_seconds())  # type: ignore[operator]  # a timestamptz is a datetime
    fix = "为两台机器配置 NTP。 Configure NTP on both machines."
    return _finding("D_CLOCK", "warn" if apart > 5 else "ok", "时钟一致 clocks agree", f"{apart:.1f} s", fix)


def _queue_moves(patient: Patient) -> Finding:
    oldest = run_sql(
        patient.connection,
        """
        SELECT now() - min(e.at) FROM jobs.procrastinate_jobs j JOIN jobs.procrastinate_events e ON e.job_id = j.id
         WHERE j.status IN ('todo', 'doing') AND j.task_name = 'run_submission' AND e.type = 'deferred'
        """,
    )[0][0]
    late = isinstance(oldest, timedelta) and oldest > _LATE_JOB
    fix = "确认 hub work 正在运行。 See that hub work is running."
    return _finding("D_QUEUE", "warn" if late else "ok", "最早未完成任务 oldest job", oldest or "-", fix)


def _nothing_is_stuck(patient: Patient) -> Finding:
    count = run_sql(
        patient.connection,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND now() - xact_start > :limit",
        limit=_STUCK_TRANSACTION,
    )[0][0]
    fix = "查看 pg_stat_activity，结束异常会话。 Look at pg_stat_activity and end what hangs."
    return _finding("D_STUCK", "warn" if count else "ok", "长事务 long transactions", count, fix)


def _nothing_failed(patient: Patient) -> Finding:
    failed = run_sql(patient.connection, "SELECT count(*) FROM {d}.submission WHERE state = 'failed'")[0][0]
    fix = "查看日志；排除原因后重新报送同一文件即可重试。 See the log; sending the same file again tries again."
    return _finding("D_FAILED", "warn" if failed else "ok", "处理失败的报送 failed submissions", failed, fix)


def _receipts_balance(patient: Patient) -> Finding:
    """The table's own constraint says so too; this also finds a receipt that was never issued."""
    wrong = run_sql(
        patient.connection,
        """
        SELECT count(*) FROM {d}.submission
         WHERE state IN ('merged', 'previewed')
           AND (received <> accepted + unchanged + held + refused OR receipt IS NULL)
        """,
    )[0][0]
    fix = "联系维护人员并保留现场。 Keep everything as it is and call the maintainers."
    return _finding("D_BALANCE", "fail" if wrong else "ok", "回执平衡 receipts balance", wrong, fix)


def _files_are_there(patient: Patient) -> Finding:
    """The newest thousand: bytes acknowledged must be on disk."""
    rows = run_sql(patient.connection, "SELECT stored_as FROM {d}.submission ORDER BY received_at DESC LIMIT 1000")
    missing = sum(not (patient.settings.files / str(place)).exists() for (place,) in rows)
    fix = "从备份恢复 files 文件夹。 Restore the files folder from a backup."
    return _finding("D_FILES", "fail" if missing else "ok", "原始文件在位 stored files are there", missing, fix)


def _raw_files_expire(patient: Patient) -> Finding:
    """Files whose time is over go by themselves; where they do not, the job does not run."""
    days, overdue = (
        patient.settings.retention.raw_files_days,
        count_overdue(patient.connection, patient.settings, utc_now()),
    )
    told = f"{days} 天 days, 逾期 overdue {overdue}" if days else "一直保存 kept"
    fix = "确认 hub work 正在运行。 See that hub work is running."
    return _finding("D_RETENTION", "warn" if overdue else "ok", "原始文件保存期限 retention of files", told, fix)


def _channels_work(patient: Patient) -> Finding:
    """Channels that were said to be silent, or that the other side has ended."""
    rows = run_sql(
        patient.connection,
        "SELECT channel FROM {d}.channel_state WHERE alarmed_at IS NOT NULL OR disabled ORDER BY channel",
    )
    declared = [str(name) for (name,) in rows if (patient.settings.channels / f"{name}.toml").exists()]
    fix = "hub channels status 查看原因，hub channels try NAME 重试。 See hub channels status; hub channels try NAME."
    return _finding("D_CHANNELS", "warn" if declared else "ok", "对外通道 channels", ", ".join(declared), fix)


def _sharing_is_fresh(patient: Patient) -> Finding:
    """Slices move, sources speak, channels work, corrections are acknowledged."""
    told = ", ".join(f"{kind} {count}" for kind, count, _ in count_alarms(patient.connection))
    fix = "hub freshness 查看是谁、从何时起。 hub freshness says whose, and since when."
    return _finding("D_FRESHNESS", "warn" if told else "ok", "共享时效 what is shared is fresh", told, fix)


def _notices_go_out(patient: Patient) -> Finding:
    """The ways that are set up work, and nothing was given up lately."""
    problems = [problem for problem in (mail_problem(patient.settings), sms_problem(patient.settings)) if problem]
    if failed := count_failed(patient.connection, utc_now() - _LATELY):
        problems.append(f"未发出 given up: {failed}")
    fix = "检查 [mail]、[sms] 与 keys/mail、keys/sms，再运行 hub notices test。 Check them, then hub notices test."
    return _finding("D_NOTICES", "warn" if problems else "ok", "提醒发送 notices go out", "; ".join(problems), fix)


def _towns_can_be_told(patient: Patient) -> Finding:
    """Where mail or short messages are set up, every town has somebody to be told."""
    is_set_up = patient.settings.mail.host or patient.settings.sms.url
    silent = units_without_contact(patient.connection) if is_set_up else []
    fix = "请镇街在“提醒联系人”登记，或运行 hub contact add。 Let the town enter a contact, or hub contact add."
    return _finding(
        "D_CONTACTS", "warn" if silent else "ok", "镇街有联系人 towns can be told", ", ".join(silent[:5]), fix
    )


def _profiles_follow(patient: Patient) -> Finding:
    """What is known of people stands where the change log does, or nearly."""
    behind = lag(patient.connection)
    fix = "确认 hub work 正在运行，或运行 hub people derive。 See that hub work is running, or run hub people derive."
    state: State = "warn" if behind > _FAR_BEHIND else "ok"
    return _finding("D_PROFILES", state, "人员属性跟上变动 profiles follow", f"差 {behind} 条变动 changes behind", fix)


def _held_rows_are_true(patient: Patient) -> Finding:
    """A row waits exactly as long as it is staged."""
    untrue = untrue_rows(patient.connection, patient.catalogue)
    fix = "请联系维护人员，附上这些行的编号。 Tell who maintains the hub, with these rows."
    return _finding("D_HELD", "fail" if untrue else "ok", "待核行完整 held rows", "; ".join(untrue[:3]), fix)


def _feed_is_whole(patient: Patient) -> Finding:
    broken = verify_feed(patient.connection, patient.catalogue)
    fix = "停止下发，用 hub feed verify 查看详情。 Stop deliveries; see hub feed verify."
    return _finding("D_FEED", "fail" if broken else "ok", "变动日志完整 feed is whole", "; ".join(broken[:3]), fix)


_ABOUT_THE_DATABASE: tuple[Question, ...] = (
    _version_is_known,
    _encoding_is_utf8,
    _role_is_humble,
    _rows_are_guarded,
    _schema_is_current,
    _clocks_agree,
    _queue_moves,
    _nothing_is_stuck,
    _nothing_failed,
    _receipts_balance,
    _files_are_there,
    _raw_files_expire,
    _channels_work,
    _sharing_is_fresh,
    _notices_go_out,
    _towns_can_be_told,
    _profiles_follow,
    _held_rows_are_true,
    _feed_is_whole,
)
_QUICK_AT_HOME = (_space_is_left, _inodes_are_left, _backup_is_recent)
_QUICK_IN_THE_DATABASE: tuple[Question, ...] = (
    _queue_moves,
    _nothing_is_stuck,
    _nothing_failed,
    _channels_work,
    _sharing_is_fresh,
    _notices_go_out,
    _towns_can_be_told,
)
