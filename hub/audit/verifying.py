"""What was edited, deleted or inserted: one walk along the seals, over the database or over an exported file."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.audit.anchors import Anchored
from hub.audit.archives import archives, broken_archives
from hub.audit.exporting import Exported, Footer, Header
from hub.audit.lines import AuditLine, mac_of
from hub.audit.seals import (
    FIRST_LINK,
    Anchor,
    Seal,
    content_of,
    is_too_old,
    last_sealed_at,
    loose_lines,
    seals,
    waiting_lines,
    written_lines,
)
from hub.keyring import is_signed_by

_LINE = msgspec.json.Decoder(AuditLine)


class _Identified(msgspec.Struct):
    audit_id: UUID


_IDENTIFIED = msgspec.json.Decoder(_Identified)
_EXPORTED = msgspec.json.Decoder(Exported)

Written = Mapping[UUID, bytes]  # lines of one seal, each in its canonical form


def verify(
    connection: Connection, anchor: Anchor | None = None, key: bytes | None = None, published: Iterable[Anchored] = ()
) -> list[str]:
    """What is wrong, one sentence each; empty when the audit is whole.

    Seals, links and lines always; the hub's marks with its ``key``; ``anchor`` and what was ``published`` must be
    among the seals. Of archived seals the links are checked: their lines are in the archive file.
    """
    known = archives(connection)
    walk = _Walk(key=key, published=_published(anchor, published))
    last_archived = max((one.to_seal for one in known), default=0)
    for one in seals(connection):
        lines = written_lines(connection, one.audit_ids)
        walk.step_archived(one, lines) if one.seal_no <= last_archived else walk.step(one, lines)
    last = last_sealed_at(connection)
    for line in loose_lines(connection):
        walk.loose(line, too_old=is_too_old(line, last))
    return broken_archives(known, key) + walk.end()


def verify_since(
    connection: Connection, start: Anchored, key: bytes | None = None, published: Iterable[Anchored] = ()
) -> list[str]:
    """What is wrong after a published head: the walk goes on from there, so its cost is that of the newer lines.

    What ``start`` promises is taken as right: it was signed and written outside the database. Lines that wait for
    their seal are looked at, older ones in no seal only by ``verify``.
    """
    later = [one for one in published if one.seal_no >= start.seal_no]
    walk = _Walk(key=key, published=_published(None, later))
    walk.go_on_from(start)
    for one in seals(connection, after=start.seal_no):
        walk.step(one, written_lines(connection, one.audit_ids))
    for line in waiting_lines(connection):
        walk.loose(line, too_old=False)
    return walk.end()


def verify_export(
    exported: Iterable[bytes],
    anchor: Anchor | None = None,
    key: bytes | None = None,
    published: Iterable[Anchored] = (),
    public_keys: Mapping[str, bytes] | None = None,
) -> list[str]:
    """The same findings from an exported file, away from the hub. One seal's lines are in memory at a time."""
    walk = _Walk(key=key, published=_published(anchor, published))
    try:
        _walk_file(walk, map(_EXPORTED.decode, exported), public_keys)
    except msgspec.MsgspecError:
        walk.found.append(f"存证 {walk.number} 之后有一行无法读取。 A line after seal {walk.number} cannot be read.")
    return walk.end()


def _walk_file(walk: _Walk, exported: Iterator[Exported], public_keys: Mapping[str, bytes] | None) -> None:
    """Header, then seals each followed by its lines, then footer: anything else is a finding."""
    header = next(exported, Exported()).header
    walk.begin(header)
    footer: Footer | None = None
    one: Seal | None = None
    lines: dict[UUID, bytes] = {}
    for each in exported:
        written = bytes(each.line)
        if written and _add(lines, written) and footer is None:
            continue
        walk.step_over(one, lines)
        one, lines = each.seal, {}
        if footer is not None or (one is None and each.footer is None):
            walk.out_of_place()
        footer = each.footer or footer
    walk.step_over(one, lines)
    walk.close(header, footer, public_keys)


def _add(lines: dict[UUID, bytes], written: bytes) -> bool:
    """False for a line that is there already."""
    audit_id = _IDENTIFIED.decode(written).audit_id
    return lines.setdefault(audit_id, written) is written


def _published(anchor: Anchor | None, published: Iterable[Anchored]) -> list[tuple[int, bytes, int | None]]:
    signed: list[tuple[int, bytes, int | None]] = [
        (one.seal_no, bytes.fromhex(one.link), one.lines) for one in published
    ]
    return signed if anchor is None else [*signed, (*anchor, None)]


class _Walk:
    """Where the walk is: what came before decides what may follow."""

    def __init__(self, *, key: bytes | None, published: Sequence[tuple[int, bytes, int | None]]) -> None:
        self.found: list[str] = []
        self.number, self.link, self.lines = 0, FIRST_LINK, 0
        self.begun_at = 0
        self._key = key
        self._first_marked: datetime | None = None
        self._sealed_at: datetime | None = None
        self._published: dict[int, list[tuple[bytes, int | None]]] = {}
        for seal_no, link, lines in published:
            self._published.setdefault(seal_no, []).append((link, lines))

    def begin(self, header: Header | None) -> None:
        """An exported file may go on from an earlier one."""
        if header is not None:
            self.number, self.link = header.from_seal - 1, header.previous
            self.begun_at = self.number

    def go_on_from(self, start: Anchored) -> None:
        """A walk may begin behind a published head."""
        self.number, self.link = start.seal_no, bytes.fromhex(start.link)
        self.begun_at = self.number

    def step_over(self, one: Seal | None, lines: Written) -> None:
        """A seal and the lines that followed it in the file; lines after no seal belong nowhere."""
        if one is not None:
            self.step(one, lines)
        else:
            self.found += [_inserted(each) for each in lines]

    def step(self, one: Seal, lines: Written) -> None:
        """The next seal and those of its lines that are there."""
        self._go_on(one)
        self._check_content(one, lines)
        self._check_marks(lines[each] for each in one.audit_ids if each in lines)

    def step_archived(self, one: Seal, lines: Written) -> None:
        """The next seal, whose lines are in an archive: none of them may be back."""
        self._go_on(one)
        self.found += [_inserted(each) for each in lines]

    def _go_on(self, one: Seal) -> None:
        self._check_link(one)
        self.number, self.link, self._sealed_at = one.seal_no, one.link, one.sealed_at
        self.lines += len(one.audit_ids)
        self._check_published(one)

    def loose(self, line: AuditLine, *, too_old: bool) -> None:
        """A line in no seal."""
        if too_old:
            self.found.append(_inserted(line.audit_id, line.at))
        elif self._key is not None and not _is_marked(self._key, line):
            self.found.append(_unmarked(line))

    def out_of_place(self) -> None:
        self.found.append(f"存证 {self.number} 之后有一行不该在此。 A line after seal {self.number} is out of place.")

    def close(self, header: Header | None, footer: Footer | None, public_keys: Mapping[str, bytes] | None) -> None:
        """The end of an exported file."""
        if header is None or footer is None:
            self.found.append("文件不完整：缺少首行或末行。 The file is cut: its header or footer is missing.")
        elif (footer.to_seal, footer.link, footer.lines) != (self.number, self.link, self.lines):
            self.found.append("末行与内容不符。 The footer does not fit what is before it.")
        elif public_keys is not None:
            signed = is_signed_by(public_keys, footer.key_id, footer.signed_with(header), footer.signature)
            self.found += [] if signed else ["文件签名无效。 The file's signature is not the hub's."]

    def end(self) -> list[str]:
        """All that was found, with published heads that never came by."""
        missing = [number for number in self._published if number > self.begun_at]
        return self.found + [_unpublished(number) for number in sorted(missing)]

    def _check_link(self, one: Seal) -> None:
        if one.seal_no != self.number + 1:
            missing = self.number + 1
            self.found.append(f"存证 {missing} 缺失，其后为 {one.seal_no}。 Seal {missing} is missing.")
        if not one.follows(self.link):
            self.found.append(
                f"存证 {one.seal_no} 与前一存证不衔接。 Seal {one.seal_no} does not follow from the one before."
            )
        if self._sealed_at is not None and one.sealed_at < self._sealed_at:
            self.found.append(f"存证 {one.seal_no} 早于前一存证。 Seal {one.seal_no} is older than the one before.")

    def _check_published(self, one: Seal) -> None:
        for link, lines in self._published.pop(one.seal_no, ()):
            is_counted = lines is not None and self.begun_at == 0
            if link != one.link or (is_counted and lines != self.lines):
                self.found.append(_unpublished(one.seal_no))

    def _check_content(self, one: Seal, lines: Written) -> None:
        missing = [each for each in one.audit_ids if each not in lines]
        self.found += [f"存证 {one.seal_no}：审计 {each} 已被删除。 Audit line {each} was deleted." for each in missing]
        self.found += [_inserted(each) for each in lines.keys() - {*one.audit_ids}]
        if not missing and content_of(lines[each] for each in one.audit_ids) != one.content:
            self.found.append(f"存证 {one.seal_no} 的审计内容被改动。 A line of seal {one.seal_no} was edited.")

    def _check_marks(self, lines: Iterable[bytes]) -> None:
        """Lines from before the hub marked its lines are held by their seals alone."""
        if self._key is None:
            return
        for line in map(_LINE.decode, lines):
            if _is_marked(self._key, line):
                self._first_marked = self._first_marked or line.at
            elif line.mac is not None or (self._first_marked is not None and line.at >= self._first_marked):
                self.found.append(_unmarked(line))


def _is_marked(key: bytes, line: AuditLine) -> bool:
    return line.mac is not None and hmac.compare_digest(line.mac, mac_of(key, line))


def _inserted(audit_id: UUID, at: datetime | None = None) -> str:
    when = f"（{at:%Y-%m-%d %H:%M:%S}）" if at else ""
    return f"审计 {audit_id}{when}系事后插入。 Audit line {audit_id} was inserted afterwards."


def _unmarked(line: AuditLine) -> str:
    return (
        f"审计 {line.audit_id}（{line.at:%Y-%m-%d %H:%M:%S}）不是枢纽所写或被改动。"
        f" Audit line {line.audit_id} was not written by the hub, or was edited."
    )


def _unpublished(number: int) -> str:
    return f"已公布的存证 {number} 不在其中。 The published seal {number} is not among them."
