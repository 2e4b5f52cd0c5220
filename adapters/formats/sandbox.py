"""A file is read in a limited child process; the parent only receives rows, and stays healthy whatever the file does."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self

import msgspec
import polars as pl

from adapters.formats import wire
from adapters.formats.small_json import SmallJson, small_json
from adapters.formats.unreadable import Limits, Order, UnreadableFile, unreadable

__all__ = ["Limits", "RawSheet", "UnreadableFile", "decrypt", "read_raw"]

_ROOT = str(Path(__file__).resolve().parents[2])
_START = "import sys; sys.path.insert(0, sys.argv[1]); from adapters.formats.child import main; main(sys.argv[2])"
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "POLARS_MAX_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
_READ_SIZE = 1 << 20
_LONGEST_PASSWORD = 255  # what Excel allows
_GROWTH = 1 << 16  # what a container may add to what is in it


class RawSheet:
    """One sheet as it stands in the file. ``batches`` must be read before the next sheet is asked for.

    A batch (at most 20,000 rows) has ``sheet_row`` Int32, ``c0..cN`` String (null = empty) and, for workbooks,
    ``k0..kN`` UInt8: 0 text, 1 number, 2 date, 3 boolean, 4 error or formula without value; 8 more where the value was
    filled down from a merged cell above.
    ``facts`` grows when the sheet has been read to its end.
    """

    def __init__(self, opens: wire.SheetOpens, child: _Child | SmallJson) -> None:
        self.name, self.hidden = opens.name, opens.hidden
        self.format, self.encoding = opens.format, opens.encoding
        self.visible_sheets = opens.visible_sheets
        self.facts: dict[str, object] = dict(opens.facts)
        self.batches: Iterator[pl.DataFrame] = self._receive(child)

    def _receive(self, child: _Child | SmallJson) -> Iterator[pl.DataFrame]:
        while True:
            message, body = child.next_message()
            if not isinstance(message, wire.BatchOfRows):
                break
            yield _frame_of_columns(body) if message.columns else _frame_of_arrow(body)
        if not isinstance(message, wire.SheetEnds):
            raise unreadable("protocol")
        self.facts.update(message.facts)


def read_raw(path: Path, limits: Limits, password: str | None = None) -> Generator[RawSheet]:
    """The file's sheets in order, streamed; raises UnreadableFile, also between batches."""
    with small_json(path, limits) or _Child(path, limits, password=password) as child:
        message, _ = child.next_message()
        while isinstance(message, wire.SheetOpens):
            sheet = RawSheet(message, child)
            yield sheet
            for _rest in sheet.batches:
                pass  # what the reader did not want still has to be received before the next sheet
            message, _ = child.next_message()
        if not isinstance(message, wire.Done):
            raise unreadable("protocol")


def decrypt(path: Path, password: str, target: Path, limits: Limits) -> None:
    """Write the workbook without its password to ``target``, which must not exist; the password is kept nowhere.

    Raises UnreadableFile: F_WRONG_PASSWORD, or what else keeps the file from being opened; ``target`` is gone then.
    """
    most = min(limits.max_bytes, path.stat().st_size + _GROWTH)
    with _Child(path, limits, task="decrypt", password=password) as child, target.open("xb") as file:
        try:
            _receive_file(child, file, most)
        except BaseException:
            target.unlink()
            raise


def _receive_file(child: _Child, file: BinaryIO, most: int) -> None:
    message, body = child.next_message()
    while isinstance(message, wire.PartOfFile):
        if file.tell() + len(body) > most:
            raise UnreadableFile("F_TOO_LARGE", size=file.tell() + len(body), limit=most)
        file.write(body)
        message, body = child.next_message()
    if not isinstance(message, wire.Done):
        raise unreadable("protocol")
    file.flush()
    os.fsync(file.fileno())


def _frame_of_arrow(body: bytearray) -> pl.DataFrame:
    return pl.read_ipc_stream(bytes(body))


def _frame_of_columns(body: bytearray) -> pl.DataFrame:
    sheet_rows, columns = wire.decode_columns(body)
    series = [pl.Series("sheet_row", sheet_rows, dtype=pl.Int32)]
    series += [pl.Series(f"c{n}", texts, dtype=pl.String) for n, (texts, _) in enumerate(columns)]
    for n, (_, kinds) in enumerate(columns):
        if kinds is not None:
            series.append(pl.Series(f"k{n}", memoryview(kinds).tolist(), dtype=pl.UInt8))
    return pl.DataFrame(series)


def _pipe_with(password: str | None) -> int | None:
    """The reading end of a pipe that holds the password and nothing more."""
    if password is None:
        return None
    if len(password) > _LONGEST_PASSWORD:
        raise UnreadableFile("F_WRONG_PASSWORD")
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as file:
        file.write(password.encode("utf-8"))
    return reader


def _started(file: BinaryIO, order: Order) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _START, _ROOT, msgspec.json.encode(order).decode()],
        stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/", env=_ENVIRONMENT, bufsize=0,
        pass_fds=[] if order.password_pipe is None else [order.password_pipe],
    )  # fmt: skip


class _Child:
    """The running child: its messages, and its certain end."""

    def __init__(
        self, path: Path, limits: Limits, *, task: Literal["read", "decrypt"] = "read", password: str | None = None
    ) -> None:
        self.limits = limits
        self.waited = 0.0
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limits.max_bytes:
                raise UnreadableFile("F_TOO_LARGE", size=size, limit=limits.max_bytes)
            if size == 0:
                raise UnreadableFile("F_EMPTY")
            secret = _pipe_with(password)
            try:
                self.process = _started(file, Order(limits=limits, task=task, password_pipe=secret))
            finally:
                if secret is not None:
                    os.close(secret)
        assert self.process.stdout is not None
        self.pipe = self.process.stdout.fileno()
        self.poll = select.poll()
        self.poll.register(self.pipe, select.POLLIN | select.POLLHUP)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def next_message(self) -> tuple[wire.Message, bytearray]:
        """Raises UnreadableFile; the child has ended by then, whoever still holds the sheets."""
        try:
            message, body = self._receive()
        except BaseException:
            self.stop()
            raise
        if isinstance(message, wire.Refused):
            self.stop()
            raise UnreadableFile(message.code, **message.params)
        return message, body

    def _receive(self) -> tuple[wire.Message, bytearray]:
        try:
            return wire.receive(self._read_exactly)
        except EOFError:
            raise self._cause_of_death() from None
        except ValueError:
            raise unreadable("protocol") from None

    def _read_exactly(self, length: int) -> bytearray:
        content = bytearray(length)
        rest = memoryview(content)
        while rest:
            self._wait()
            count = os.readv(self.pipe, [rest[:_READ_SIZE]])
            if count == 0:
                raise EOFError
            rest = rest[count:]
        return content

    def _wait(self) -> None:
        """Only time spent waiting for the child counts: a slow reader of rows is not the file's fault."""
        started = time.monotonic()
        left = self.limits.wall_seconds - self.waited
        ready = self.poll.poll(max(0, int(left * 1000)))
        self.waited += time.monotonic() - started
        if not ready:
            raise unreadable("time")

    def _cause_of_death(self) -> UnreadableFile:
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return unreadable("protocol")
        if code == -signal.SIGXCPU:
            return unreadable("time")
        # An allocation beyond the limit aborts a Rust parser; the kernel's own memory guard kills.
        return unreadable("memory" if code in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGKILL) else "crashed")

    def stop(self) -> None:
        """Kill and reap; a child that has ended is only reaped."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
