"""One file that is the whole hub: database, stored files, and, under a passphrase, its keys; and the way back.

``hub.tar.gz``: database.dump (pg_dump custom format), files/…, rolls/…, keyring.sealed (only with a passphrase),
manifest.json last, with size and SHA-256 of every entry. The dump is taken first: a file named by its ledger is
always in the archive.
A restored hub begins a new epoch of its feed: changes after the backup are lost to it, so every old cursor is refused.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import secrets
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from sqlalchemy.engine import make_url

from hub.database import Database, run_sql, utc_now
from hub.errors import Conflict, HubError
from hub.operations.postgres_programs import program
from hub.settings import Settings

FORMAT = 1
_DUMP, _KEYS, _MANIFEST = "database.dump", "keyring.sealed", "manifest.json"
_FOLDERS = ("files", "rolls")  # of the home, and of the archive: what was sent down the line, and what towns compared
_SALT_BYTES, _NONCE_BYTES = 16, 12
_LEAST_PASSPHRASE = 12
UNFINISHED = "restore.unfinished"  # in a home whose restore was cut off: not to be used


class BrokenBackup(HubError):
    """备份文件不完整或已损坏，未恢复任何内容。 The backup is incomplete or damaged: nothing was restored."""

    problem = "broken-backup"


class WrongPassphrase(HubError):
    """备份口令不正确或未提供（HUB_BACKUP_PASSPHRASE）。 The backup's passphrase is wrong or missing (HUB_BACKUP_PASSPHRASE)."""

    problem = "wrong-passphrase"


class MissingKeys(HubError):
    """备份不含密钥，请先把 keyring.json 放入 <home>/keys。 The backup holds no keys: put keyring.json into <home>/keys first."""

    problem = "missing-keys"


class ProgramFailed(HubError):
    """数据库工具运行失败。 A database program failed."""

    problem = "program-failed"


class Entry(msgspec.Struct, frozen=True):
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself."""

    format: int
    made_at: datetime
    district: str
    epoch: str
    last_seq: int
    keys_included: bool
    entries: dict[str, Entry]


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    made_at: datetime
    epoch: str
    last_seq: int
    files: int
    keys_restored: bool


def back_up(settings: Settings, database: Database, target: Path, passphrase: str | None) -> Manifest:
    """Write the backup whole or not at all. Needs the owner's URL."""
    if passphrase is not None and len(passphrase) < _LEAST_PASSPHRASE:
        raise WrongPassphrase(f"< {_LEAST_PASSPHRASE}")
    partial = target.with_name(f".{target.name}.part")
    try:
        with _private(partial) as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as archive:
            manifest = _write(settings, database, archive, passphrase)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    _note_backup(settings, manifest)
    return manifest


def read_manifest(source: Path) -> Manifest:
    """Check every byte of a backup against its manifest; BrokenBackup if one is missing, changed or too many."""
    found: dict[str, Entry] = {}
    manifest: Manifest | None = None
    try:
        for name, stream in _entries(source):
            if name == _MANIFEST:
                manifest = msgspec.json.decode(stream.read(), type=Manifest)
            else:
                found[name] = _digest(stream)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, msgspec.DecodeError) as wrong:
        raise BrokenBackup(source.name) from wrong
    if manifest is None or manifest.format != FORMAT or manifest.entries != found:
        raise BrokenBackup(source.name)
    return manifest


def restore(source: Path, settings: Settings, passphrase: str | None) -> Restored:
    """Fill an empty database and an empty home from a backup; the feed begins a new epoch."""
    manifest = read_manifest(source)
    _require_empty(settings)
    _require_keys(settings, manifest, source, passphrase)
    mark = _made(settings.home) / UNFINISHED
    mark.touch()
    files = _unpack(source, settings, passphrase)
    epoch = _begin_epoch(settings)
    mark.unlink()
    return Restored(
        made_at=manifest.made_at,
        epoch=epoch,
        last_seq=manifest.last_seq,
        files=files,
        keys_restored=manifest.keys_included,
    )


def _unpack(source: Path, settings: Settings, passphrase: str | None) -> int:
    """Keys, files, then the database; how many files."""
    files = 0
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=settings.home) as folder:
        dump = Path(folder) / _DUMP
        for name, stream in _entries(source):
            if name == _KEYS:
                _put(settings.keys / "keyring.json", io.BytesIO(_open_keys(stream.read(), passphrase or "")))
            elif name == _DUMP:
                _put(dump, stream)
            elif name.split("/")[0] in _FOLDERS:
                _put(settings.home / name, stream)
                files += 1
        _load(settings, dump)
    return files


def last_backup(settings: Settings) -> datetime | None:
    """When a backup of this home was last finished, as its own note says."""
    try:
        return datetime.fromisoformat(json.loads(_note(settings).read_text("utf-8"))["made_at"])
    except (OSError, ValueError, KeyError):
        return None


# ---- out ----


def _write(settings: Settings, database: Database, archive: tarfile.TarFile, passphrase: str | None) -> Manifest:
    entries: dict[str, Entry] = {}
    if passphrase is not None:  # first, so that a restore tries the passphrase before anything else
        entries[_KEYS] = _add_bytes(archive, _KEYS, _seal_keys(settings, passphrase))
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=settings.home) as folder:
        dump = Path(folder) / _DUMP
        _dump(settings, dump)
        entries[_DUMP] = _add_file(archive, _DUMP, dump)
    for path in _stored_files(settings):
        name = str(path.relative_to(settings.home))
        entries[name] = _add_file(archive, name, path)
    manifest = _describe(settings, database, entries, keys_included=passphrase is not None)
    _add_bytes(archive, _MANIFEST, msgspec.json.encode(manifest))
    return manifest


def _describe(settings: Settings, database: Database, entries: dict[str, Entry], *, keys_included: bool) -> Manifest:
    with database.begin() as connection:
        epoch, last_seq = run_sql(connection, "SELECT epoch, last_seq FROM {d}.feed_head")[0]
    return Manifest(
        format=FORMAT,
        made_at=utc_now(),
        district=settings.district,
        epoch=str(epoch),
        last_seq=int(str(last_seq)),
        keys_included=keys_included,
        entries=entries,
    )


def _stored_files(settings: Settings) -> Iterator[Path]:
    temporary = settings.files / "tmp"
    for folder in _FOLDERS:
        stored = (settings.home / folder).rglob("*")
        yield from sorted(path for path in stored if path.is_file() and temporary not in path.parents)


def _dump(settings: Settings, target: Path) -> None:
    url, environment = _connection(settings)
    schemas = [f"--schema={name}" for name in ("shared", "admin", "jobs", settings.district)]
    _run(
        [
            "pg_dump",
            "--format=custom",
            "--compress=1",
            "--no-owner",
            "--enable-row-security",
            *schemas,
            f"--file={target}",
            url,
        ],
        environment,
    )


def _seal_keys(settings: Settings, passphrase: str) -> bytes:
    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    keys = (settings.keys / "keyring.json").read_bytes()
    return salt + nonce + AESGCM(_stretch(passphrase, salt)).encrypt(nonce, keys, None)


def _open_keys(sealed: bytes, passphrase: str) -> bytes:
    salt, nonce = sealed[:_SALT_BYTES], sealed[_SALT_BYTES : _SALT_BYTES + _NONCE_BYTES]
    try:
        return AESGCM(_stretch(passphrase, salt)).decrypt(nonce, sealed[_SALT_BYTES + _NONCE_BYTES :], None)
    except InvalidTag as wrong:
        raise WrongPassphrase() from wrong


def _stretch(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=2**16, r=8, p=1).derive(passphrase.encode())


def _note(settings: Settings) -> Path:
    return settings.home / "last_backup.json"


def _note_backup(settings: Settings, manifest: Manifest) -> None:
    noted = {"made_at": manifest.made_at.isoformat(), "last_seq": manifest.last_seq, "keys": manifest.keys_included}
    _note(settings).write_text(json.dumps(noted), "utf-8")


# ---- in ----


def _require_empty(settings: Settings) -> None:
    """Never over an existing hub: its ledger may hold what the backup has not."""
    occupied = any(any((settings.home / folder).rglob("*")) for folder in _FOLDERS)
    database = Database(settings.owner_url or "", settings.district)
    try:
        with database.begin() as connection:
            occupied = occupied or run_sql(connection, "SELECT to_regclass('{d}.submission')")[0][0] is not None
    finally:
        database.close()
    if occupied:
        raise Conflict(f"{settings.home}: 不是空的数据文件夹。 Not an empty home: restore into a fresh one.")


def _require_keys(settings: Settings, manifest: Manifest, source: Path, passphrase: str | None) -> None:
    """The keys come with the backup, or are there already; never both, never neither."""
    present = (settings.keys / "keyring.json").exists()
    if manifest.keys_included and present:
        raise Conflict(f"{settings.keys}: 已有密钥。 There are keys already.")
    if manifest.keys_included and passphrase is None:
        raise WrongPassphrase()
    if not manifest.keys_included and not present:
        raise MissingKeys()
    if manifest.keys_included:
        _open_keys(next(stream.read() for name, stream in _entries(source) if name == _KEYS), passphrase or "")


def _load(settings: Settings, dump: Path) -> None:
    url, environment = _connection(settings)
    how = ["--no-owner", "--exit-on-error", "--single-transaction"]
    _run(["pg_restore", *how, f"--dbname={url}", str(dump)], environment)


def _begin_epoch(settings: Settings) -> str:
    """Numbers given out after the backup may be given again: no cursor from before may be believed."""
    epoch = secrets.token_hex(6)
    database = Database(settings.owner_url or "", settings.district)
    try:
        with database.begin() as connection:
            run_sql(connection, "UPDATE {d}.feed_head SET epoch = :epoch, epoch_start = last_seq", epoch=epoch)
    finally:
        database.close()
    return epoch


# ---- archive ----


def _entries(source: Path) -> Iterator[tuple[str, BinaryIO]]:
    """Plain files only, by name, none of which leads outside."""
    with tarfile.open(source, "r:gz") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isreg() else None
            if stream is None or member.name.startswith("/") or ".." in Path(member.name).parts:
                raise BrokenBackup(member.name)
            yield member.name, stream  # type: ignore[misc]  # an ExFileObject is a BufferedReader


def _digest(stream: BinaryIO) -> Entry:
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(1 << 20):
        digest.update(chunk)
        size += len(chunk)
    return Entry(size, digest.hexdigest())


def _add_file(archive: tarfile.TarFile, name: str, path: Path) -> Entry:
    with path.open("rb") as file:
        entry = _digest(file)
        file.seek(0)
        archive.addfile(_member(name, entry.size), file)
    return entry


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> Entry:
    archive.addfile(_member(name, len(content)), io.BytesIO(content))
    return _digest(io.BytesIO(content))


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(datetime.now(UTC).timestamp())
    return member


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b")


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    return folder


def _put(path: Path, stream: BinaryIO) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _private(path) as file:
        while chunk := stream.read(1 << 20):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _connection(settings: Settings) -> tuple[str, dict[str, str]]:
    """A URL without its password, and the environment that carries it: a command line can be seen by others."""
    url = make_url(settings.owner_url or "").set(drivername="postgresql")
    shown = url.set(password=None).render_as_string(hide_password=False)
    return shown, {**os.environ, "PGPASSWORD": str(url.password or "")}


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run([program(command[0]), *command[1:]], env=environment, capture_output=True, check=False)
    if done.returncode:
        raise ProgramFailed(f"{command[0]}: {done.stderr.decode(errors='replace')[-300:]}")
