"""The sealed audit as a file: a header, each seal followed by its lines, a signed footer. It is verified on its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection, func, select

from hub.audit.seals import FIRST_LINK, Seal, seals, written_lines
from hub.keyring import Keyring
from hub.tables import audit_archive, audit_seal


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """First and last seal of an export."""

    from_seal: int
    to_seal: int


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What the file is, and the link it goes on from."""

    number: str
    by: str
    exported_at: datetime
    from_seal: int
    previous: bytes


class Footer(msgspec.Struct, frozen=True, kw_only=True):
    """The head of what was exported; the signature covers header and footer, and by the links everything between."""

    to_seal: int
    link: bytes
    lines: int
    key_id: str
    signature: bytes = b""

    def signed_with(self, header: Header) -> bytes:
        return msgspec.json.encode((header, msgspec.structs.replace(self, signature=b"")), order="sorted")


class Exported(msgspec.Struct, frozen=True):
    """One line of an exported audit file."""

    header: Header | None = None
    seal: Seal | None = None
    line: msgspec.Raw = msgspec.Raw()
    footer: Footer | None = None


def exported_range(connection: Connection) -> Ends:
    """Every seal whose lines are still here; ``to_seal`` is below ``from_seal`` when there is none."""
    archived = connection.execute(select(func.coalesce(func.max(audit_archive.c.to_seal), 0))).scalar_one()
    last = connection.execute(select(func.coalesce(func.max(audit_seal.c.seal_no), 0))).scalar_one()
    return Ends(from_seal=archived + 1, to_seal=last)


def export(
    connection: Connection, keyring: Keyring, ends: Ends, *, number: str, by: str, now: datetime
) -> Iterator[bytes]:
    """Those seals with their lines, one JSON text each. ``verify_export`` needs nothing else."""
    previous = _link_before(connection, ends.from_seal)
    header = Header(number=number, by=by, exported_at=now.astimezone(UTC), from_seal=ends.from_seal, previous=previous)
    yield msgspec.json.encode({"header": header})
    count, link = 0, previous
    for one in _seals_between(connection, ends):
        lines = written_lines(connection, one.audit_ids)
        yield msgspec.json.encode({"seal": one})
        yield from (b'{"line":' + lines[each] + b"}" for each in one.audit_ids if each in lines)
        count, link = count + len(one.audit_ids), one.link
    footer = Footer(to_seal=ends.to_seal, link=link, lines=count, key_id=keyring.signing_key_id)
    signature = keyring.sign(footer.signed_with(header))
    yield msgspec.json.encode({"footer": msgspec.structs.replace(footer, signature=signature)})


def _seals_between(connection: Connection, ends: Ends) -> Iterator[Seal]:
    for one in seals(connection, after=ends.from_seal - 1):
        if one.seal_no > ends.to_seal:
            return
        yield one


def _link_before(connection: Connection, seal_no: int) -> bytes:
    link = connection.execute(select(audit_seal.c.link).where(audit_seal.c.seal_no == seal_no - 1)).scalar_one_or_none()
    return FIRST_LINK if link is None else bytes(link)
