"""Anchors: the audit's head, signed and written outside the database, so that a rewritten or cut audit is found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from hub.keyring import Keyring, is_signed_by


class Anchored(msgspec.Struct, frozen=True, kw_only=True):
    """The head at one moment, as one line of the anchors' file."""

    date: datetime
    seal_no: int
    link: str  # hexadecimal
    lines: int  # in all seals so far
    key_id: str
    signature: bytes = b""

    def written(self) -> bytes:
        return msgspec.json.encode(self, order="sorted")


_ANCHORED = msgspec.json.Decoder(Anchored)


def sign_anchor(keyring: Keyring, *, seal_no: int, link: bytes, lines: int, now: datetime) -> Anchored:
    """An anchor of this head, signed."""
    bare = Anchored(
        date=now.astimezone(UTC), seal_no=seal_no, link=link.hex(), lines=lines, key_id=keyring.signing_key_id
    )
    return msgspec.structs.replace(bare, signature=keyring.sign(bare.written()))


def read_anchors(written: Iterable[bytes], public_keys: Mapping[str, bytes] | None) -> tuple[list[Anchored], list[str]]:
    """The anchors of a file, and what is wrong with the file itself. Without keys no signature is checked."""
    good: list[Anchored] = []
    found: list[str] = []
    for number, each in enumerate(written, start=1):
        anchor = _read(each, public_keys)
        if anchor is None:
            found.append(
                f"锚点文件第 {number} 行不是枢纽所写。 Line {number} of the anchors was not written by the hub."
            )
        else:
            good.append(anchor)
    return good, found


def _read(written: bytes, public_keys: Mapping[str, bytes] | None) -> Anchored | None:
    try:
        anchor = _ANCHORED.decode(written)
    except msgspec.MsgspecError:
        return None
    if public_keys is None:
        return anchor
    bare = msgspec.structs.replace(anchor, signature=b"").written()
    return anchor if is_signed_by(public_keys, anchor.key_id, bare, anchor.signature) else None
