"""How two sides tell without showing each other whether they hold the same records: digests of rows, cells and towns.

A row's canonical text is JSON as PostgreSQL writes it, in UTF-8::

    ["record_type", "record_id", "person_id" or null, disputed, {"field" : value, "field" : value}]

with the subscribed fields in the order of their names, `` : `` between name and value, ``, `` between members; nothing
escaped but the quotation mark, the backslash and what is below U+0020. A field without value is null, an empty text is
"". Dates, times and codes are the texts that were delivered; numbers are texts too, the shortest decimal form without
exponent (12.50 is "12.5"); yes and no are true and false. Its digest is the first 16 bytes of the SHA-256 of that text.

Version and source are not in it: a change of fields nobody subscribed to is not delivered, so a faithful copy may lag
behind in both. What was delivered lags in nothing.

Records lie in cells: by town (the first nine digits of the division field the hub names, "" without one) and bucket
(the last eight hexadecimal digits of the record id, modulo the number of buckets). A cell's digest covers its rows'
digests in the order of their ids, a town's its cells' numbers (four bytes, big-endian) and digests in order.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

DIGEST_BYTES = 16
TOWN_DIGITS = 9
_ID_BYTES = 16
_ENTRY_BYTES = _ID_BYTES + 4 + DIGEST_BYTES
_WRITER = json.JSONEncoder(ensure_ascii=False, separators=(", ", " : "))

Row = tuple[str, int, bytes]  # record id, version, digest


def canonical_text(
    record_type: str, record_id: str, person_id: str | None, disputed: bool, fields: Mapping[str, Any]
) -> str:
    """What the row's digest is of."""
    said = {name: value if type(value) is str else _canonical(value) for name, value in sorted(fields.items())}
    return _WRITER.encode([record_type, record_id, person_id, bool(disputed), said])


def _canonical(value: Any) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal):
        return _shortest(Decimal(repr(value)) if isinstance(value, float) else value)
    raise TypeError(f"not a delivered value: {type(value).__name__}")


def _shortest(number: Decimal) -> str:
    written = format(number, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def row_digest(
    record_type: str, record_id: str, person_id: str | None, disputed: bool, fields: Mapping[str, Any]
) -> bytes:
    return digest_of(canonical_text(record_type, record_id, person_id, disputed, fields).encode())


def digest_of(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:DIGEST_BYTES]


def write_digest(digest: bytes) -> str:
    """As it travels: base64url without padding, 22 characters."""
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def bucket_of(record_id: str, buckets: int) -> int:
    return int(record_id[-8:], 16) % buckets


def town_of(fields: Mapping[str, Any], town_field: str) -> str:
    return str(fields.get(town_field) or "")[:TOWN_DIGITS] if town_field else ""


class Cells:
    """One record type of one side, 36 bytes a record: what every step of the comparison is answered from."""

    def __init__(self, record_type: str, buckets: int, town_field: str) -> None:
        self.record_type, self.buckets, self.town_field = record_type, buckets, town_field
        self._towns: dict[str, dict[int, bytearray]] = {}

    def add(
        self, record_id: str, version: int, person_id: str | None, disputed: bool, fields: Mapping[str, Any]
    ) -> None:
        """Take one record in; its values are not kept."""
        digest = row_digest(self.record_type, record_id, person_id, disputed, fields)
        town = self._towns.setdefault(town_of(fields, self.town_field), {})
        cell = town.setdefault(bucket_of(record_id, self.buckets), bytearray())
        cell += bytes.fromhex(record_id.replace("-", "")) + version.to_bytes(4, "big") + digest

    def totals(self) -> dict[str, tuple[int, str]]:
        """How many records each town has, and its digest."""
        return {
            town: (sum(map(len, cells.values())) // _ENTRY_BYTES, town_digest(self._digests(cells)))
            for town, cells in self._towns.items()
        }

    def cells_of(self, town: str) -> dict[int, str]:
        """The digests of a town's cells that hold anything."""
        return {bucket: write_digest(digest) for bucket, digest in self._digests(self._towns.get(town, {})).items()}

    def rows_of(self, town: str, bucket: int) -> list[Row]:
        """A cell's rows in the order of their ids."""
        return [_row(entry) for entry in _entries(self._towns.get(town, {}).get(bucket, b""))]

    def _digests(self, cells: Mapping[int, bytearray]) -> dict[int, bytes]:
        return {
            bucket: cell_digest(entry[-DIGEST_BYTES:] for entry in _entries(cell)) for bucket, cell in cells.items()
        }


def cell_digest(row_digests: Iterable[bytes]) -> bytes:
    return digest_of(b"".join(row_digests))


def town_digest(cells: Mapping[int, bytes]) -> str:
    return write_digest(digest_of(b"".join(bucket.to_bytes(4, "big") + cells[bucket] for bucket in sorted(cells))))


def _entries(cell: bytes | bytearray) -> list[bytes]:
    return sorted(bytes(cell[at : at + _ENTRY_BYTES]) for at in range(0, len(cell), _ENTRY_BYTES))


def _row(entry: bytes) -> Row:
    written = entry[:_ID_BYTES].hex()
    record_id = "-".join((written[:8], written[8:12], written[12:16], written[16:20], written[20:]))
    return record_id, int.from_bytes(entry[_ID_BYTES : _ID_BYTES + 4], "big"), entry[-DIGEST_BYTES:]
