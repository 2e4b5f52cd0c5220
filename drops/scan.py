"""One look at every drop folder: finished files are claimed and accepted, final submissions are answered.

Every step leaves a state from which the next look goes on, so a crash anywhere takes each file exactly once:
a claimed file is accepted again, and the gate knows the same bytes.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from drops.inbox import Claim, Watched, claim, find_claims, find_dropped, lay_out, open_claimed, release, sidecar_of
from hub import jobs
from hub.database import Database
from hub.errors import HubError
from hub.exchange import receipts
from hub.faults import point
from hub.registry.permissions import Actor, Right
from hub.settings import Settings
from hub.tables import organisation
from mappings.catalogue import Catalogue

_NOTE = "submission.json"
log = logging.getLogger("drops")


class Sender(msgspec.Struct, frozen=True):
    """An organisation with a drop folder."""

    code: str
    kind: str


class Looked(msgspec.Struct, kw_only=True):
    """What one look did."""

    accepted: int = 0
    rejected: int = 0
    answered: int = 0
    unsettled: int = 0
    waiting: int = 0  # accepted, not final yet


class Drops:
    """The drop folders of a hub and what was seen in them."""

    def __init__(self, database: Database, settings: Settings, catalogue: Catalogue) -> None:
        self.database, self.settings, self.catalogue = database, settings, catalogue
        self.watched = Watched(settings.drop_quiet_seconds)

    def lay_out(self) -> None:
        """Folders for every organisation and each record type it may send."""
        for sender in self.senders():
            types = (one for one in self.catalogue.record_types.values() if one.enabled)
            sends = [one.code for one in types if {sender.code, sender.kind} & set(one.sources)]
            if sends:
                lay_out(self.settings.drops, sender.code, sends)

    def senders(self) -> list[Sender]:
        with self.database.begin() as connection:
            return _senders(connection)

    def look(self) -> Looked:
        """Go through all folders once."""
        looked, present = Looked(), []
        for sender in self.senders():
            if not (self.settings.drops / sender.code).is_dir():
                continue
            present += self._take(sender, looked)
            for claimed in find_claims(self.settings.drops, sender.code):
                self._go_on(sender, claimed, looked)
        self.watched.forget_all_but(present)
        return looked

    def _take(self, sender: Sender, looked: Looked) -> list[Path]:
        """Claim what is finished; the paths of what is not."""
        unsettled = []
        for dropped in find_dropped(self.settings.drops, sender.code):
            if sidecar_of(dropped.path) or self.watched.is_settled(dropped.path):
                claim(self.settings.drops, dropped)
            else:
                looked.unsettled += 1
                unsettled.append(dropped.path)
        return unsettled

    def _go_on(self, sender: Sender, claimed: Claim, looked: Looked) -> None:
        """Bring one claimed file a step further: accept it, or answer it once it is final."""
        try:
            number = _noted(claimed)
            if number is None and claimed.path is not None:
                number = self._accept(sender, claimed)
                looked.accepted += 1
            if number is None:
                release(claimed.folder)
            elif self._answer(claimed, number):
                looked.answered += 1
            else:
                looked.waiting += 1
        except HubError as refused:
            if refused.status >= 500:
                log.error("drop of %s is kept for later: %s", sender.code, refused.problem)
                return
            self._reject(claimed, refused)
            looked.rejected += 1

    def _accept(self, sender: Sender, claimed: Claim) -> str:
        assert claimed.path is not None
        with os.fdopen(open_claimed(claimed.path), "rb") as stream:
            accepted = jobs.accept(
                self.database,
                self.settings,
                _actor(sender),
                stream=stream,
                file_name=claimed.name,
                record_type=claimed.record_type,
                organisation=sender.code,
                period=claimed.period,
                door="folder",
                expected_sha256=claimed.expected_sha256,
                catalogue=self.catalogue,
            )
        point("drop.accepted")
        _replace(claimed.folder / _NOTE, json.dumps({"receipt": accepted.receipt_number}))
        point("drop.noted")
        return accepted.receipt_number

    def _answer(self, claimed: Claim, number: str) -> bool:
        """Write the receipt beside the inbox when the submission is final; whether it is."""
        with self.database.begin() as connection:
            receipt = receipts.read_receipt(connection, number, catalogue=self.catalogue)
        if not receipt["final"]:
            return False
        folder = self.settings.drops / claimed.organisation
        _replace(
            folder / "receipts" / f"{claimed.name}.receipt.json", json.dumps(receipt, ensure_ascii=False, indent=1)
        )
        _replace(folder / "receipts" / f"{claimed.name}.receipt.txt", receipt_text(receipt))
        if receipt["state"] == "refused" and claimed.path is not None:
            _move(claimed.path, folder / "rejected" / claimed.name)
        point("drop.answered")
        release(claimed.folder)
        return True

    def _reject(self, claimed: Claim, refused: HubError) -> None:
        """What the gate would not even take goes back with the reason."""
        assert claimed.path is not None
        folder = self.settings.drops / claimed.organisation / "rejected"
        reason = {"problem": refused.problem, "code": refused.facts.get("code"), "message": str(refused)}
        _replace(folder / f"{claimed.name}.error.json", json.dumps(reason, ensure_ascii=False, indent=1))
        _replace(folder / f"{claimed.name}.error.txt", f"{refused}\n")
        _move(claimed.path, folder / claimed.name)
        release(claimed.folder)


def receipt_text(receipt: dict[str, Any]) -> str:
    """A receipt for reading: number, digest, counts, then what was wrong, row by row."""
    counts = receipt["counts"]
    return "\n".join([*_heading(receipt, counts), "", *(_issue_line(issue) for issue in receipt["issues"]), ""])


def _heading(receipt: dict[str, Any], counts: dict[str, int]) -> Iterator[str]:
    yield f"回执 Receipt        {receipt['receipt']}"
    yield f"文件 File           {receipt['file_name']}"
    yield f"SHA-256            {receipt['sha256']}"
    yield f"状态 State          {receipt['state']}"
    yield f"收到 Received       {counts['received']}"
    yield f"接收 Accepted       {counts['accepted']}"
    yield f"无变化 Unchanged    {counts['unchanged']}"
    yield f"待核 Held           {counts['held']}"
    yield f"退回 Refused        {counts['refused']}"


def _issue_line(issue: dict[str, Any]) -> str:
    place = f"{issue['sheet'] or ''} {issue['column']}{issue['row'] or ''}".strip()
    return f"[{issue['level']}] {place} {issue['message']} {issue['fix']} ({issue['code']})"


def _senders(connection: Connection) -> list[Sender]:
    asked = select(organisation.c.code, organisation.c.kind).where(organisation.c.enabled).order_by(organisation.c.code)
    return [Sender(code, kind) for code, kind in connection.execute(asked)]


def _actor(sender: Sender) -> Actor:
    return Actor(
        name=f"folder:{sender.code}",
        organisation=sender.code,
        kind=sender.kind,
        door="folder",
        rights=frozenset({Right.SUBMIT}),
    )


def _noted(claimed: Claim) -> str | None:
    note = claimed.folder / _NOTE
    return str(json.loads(note.read_text("utf-8"))["receipt"]) if note.exists() else None


def _replace(path: Path, content: str) -> None:
    """Whole or not at all: the sender may be reading."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name[-80:]}.part")
    partial.write_text(content, "utf-8")
    partial.replace(path)


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)
