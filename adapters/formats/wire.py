"""The messages a limited child sends its parent: length-prefixed msgpack headers, each with an optional body."""

import struct
from collections.abc import Callable
from typing import BinaryIO

import msgspec

MAX_HEADER = 16 << 20
MAX_BODY = 256 << 20
_LENGTHS = struct.Struct("<IQ")

# A column of a batch: its texts (None = empty) and, for workbooks, one kind byte a cell.
Column = tuple[list[str | None], bytes | None]


class SheetOpens(msgspec.Struct, frozen=True, tag="sheet"):
    """A sheet begins; its batches follow."""

    name: str
    hidden: bool
    format: str
    encoding: str
    visible_sheets: int
    facts: dict[str, object]


class BatchOfRows(msgspec.Struct, frozen=True, tag="batch"):
    """Rows of the open sheet; the body is an Arrow stream, or msgpack columns when ``columns`` is true."""

    columns: bool


class PartOfFile(msgspec.Struct, frozen=True, tag="part"):
    """The next bytes of a file made in the child; the body is them."""


class SheetEnds(msgspec.Struct, frozen=True, tag="sheet_end"):
    """The open sheet is complete; facts known only now."""

    facts: dict[str, object]


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The file cannot be read; nothing follows."""

    code: str
    params: dict[str, object]


class Done(msgspec.Struct, frozen=True, tag="done"):
    """Everything was sent; nothing follows."""


Message = SheetOpens | BatchOfRows | PartOfFile | SheetEnds | Refused | Done

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_column_decoder: msgspec.msgpack.Decoder[tuple[list[int], list[Column]]] = msgspec.msgpack.Decoder(
    tuple[list[int], list[Column]]
)


def send(pipe: BinaryIO, message: Message, body: bytes | memoryview = b"") -> None:
    header = _encoder.encode(message)
    pipe.write(_LENGTHS.pack(len(header), len(body)) + header)
    if body:
        pipe.write(body)
    pipe.flush()


def receive(read_exactly: Callable[[int], bytearray]) -> tuple[Message, bytearray]:
    """The next message and its body; EOFError when the pipe ends, ValueError when it is not ours."""
    header_length, body_length = _LENGTHS.unpack(read_exactly(_LENGTHS.size))
    if header_length > MAX_HEADER or body_length > MAX_BODY:
        raise ValueError("message too long")
    try:
        message = _decoder.decode(read_exactly(header_length))
    except msgspec.DecodeError as error:
        raise ValueError("not a message") from error
    return message, read_exactly(body_length)


def encode_columns(sheet_rows: list[int], columns: list[Column]) -> bytes:
    return _encoder.encode((sheet_rows, columns))


def decode_columns(body: bytearray) -> tuple[list[int], list[Column]]:
    return _column_decoder.decode(body)
