"""The limited child: it confines itself, finds out what the file on its standard input is, and sends its rows."""

import contextlib
import ctypes
import fcntl
import os
import resource
from typing import BinaryIO

import msgspec

from adapters.formats import wire
from adapters.formats.sniff import sniff
from adapters.formats.unreadable import Limits, Order, UnreadableFile

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_NO_NEW_PRIVS = 38
_F_SETPIPE_SZ, _PIPE_BYTES = 1031, 1 << 20
_BUFFER = 1 << 18
_PART = 1 << 20
_SAME_FILE = "/proc/self/fd/0"


def main(order_json: str) -> None:
    order = msgspec.json.decode(order_json, type=Order)
    limits, password = order.limits, _received(order.password_pipe)
    file = open(0, "rb", buffering=_BUFFER, closefd=False)  # noqa: SIM115 - standard input as it came
    pipe = os.fdopen(os.dup(1), "wb")
    _enlarge(pipe)
    _leave_network()
    kind = sniff(file)
    _confine(limits, delimited=kind == "delimited")
    try:
        if order.task == "decrypt":
            _send_decrypted(kind, file, pipe, password)
        else:
            _read(kind, file, pipe, limits, password)
        wire.send(pipe, wire.Done())
    except UnreadableFile as refusal:
        wire.send(pipe, wire.Refused(refusal.code, refusal.params))
    except MemoryError:
        wire.send(pipe, wire.Refused("F_UNREADABLE", {"reason": "memory"}))
    except BrokenPipeError:
        os._exit(1)
    except BaseException as error:  # a panic of a parser is not an Exception
        wire.send(pipe, wire.Refused("F_UNREADABLE", {"reason": "parser", "error": type(error).__name__}))


def _received(pipe: int | None) -> str | None:
    """The password comes through a pipe of its own: no command line and no environment ever holds it."""
    if pipe is None:
        return None
    with os.fdopen(pipe, "rb") as sender:
        return sender.read().decode("utf-8")


def _send_decrypted(kind: str, file: BinaryIO, pipe: BinaryIO, password: str | None) -> None:
    from adapters.formats.decryption import decrypted

    if kind != "ole":
        raise UnreadableFile("F_PASSWORD") if kind == "zip" else UnreadableFile("F_FORMAT_UNKNOWN", found=kind)
    content = decrypted(file, password)
    while part := content.read(_PART):
        wire.send(pipe, wire.PartOfFile(), part)


def _read(kind: str, file: BinaryIO, pipe: BinaryIO, limits: Limits, password: str | None) -> None:
    """Parsers are imported one at a time: a small child is a quick child."""
    if kind == "delimited":
        from adapters.formats.delimited import send_delimited

        send_delimited(file, pipe, limits)
    elif kind == "json":
        from adapters.formats.json_lines import send_json

        send_json(file, pipe, limits)
    elif kind == "dbf":
        from adapters.formats.dbf import send_dbf

        send_dbf(file, _SAME_FILE, pipe, limits)
    elif kind == "html":
        from adapters.formats.html_tables import send_html

        send_html(file, pipe, limits)
    elif kind == "xml":
        from adapters.formats.xml_files import send_xml

        send_xml(file, pipe, limits)
    elif kind in ("zip", "ole"):
        from adapters.formats.workbook import send_workbook

        send_workbook(kind, file, pipe, limits, password)
    else:
        raise UnreadableFile("F_EMPTY") if kind == "empty" else UnreadableFile("F_FORMAT_UNKNOWN", found=kind)


def _confine(limits: Limits, *, delimited: bool) -> None:
    address_space = limits.memory_bytes * (2 if delimited else 1)
    _limit(resource.RLIMIT_AS, address_space)
    if delimited:
        _limit(resource.RLIMIT_DATA, limits.memory_bytes // 2)
    _limit(resource.RLIMIT_CPU, limits.cpu_seconds, grace=2)
    _limit(resource.RLIMIT_NOFILE, 64)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)


def _limit(which: int, value: int, grace: int = 0) -> None:
    _, hard = resource.getrlimit(which)
    ceiling = value + grace if hard == resource.RLIM_INFINITY else min(value + grace, hard)
    resource.setrlimit(which, (min(value, ceiling), ceiling))


def _leave_network() -> None:
    """No network where the kernel lets us drop it, and no new rights."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.unshare(_CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def _enlarge(pipe: BinaryIO) -> None:
    with contextlib.suppress(OSError):  # an unprivileged user may have used up its pipe allowance; it is only slower
        fcntl.fcntl(pipe.fileno(), _F_SETPIPE_SZ, _PIPE_BYTES)
