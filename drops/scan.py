"""One look at every drop folder: finished files are claimed and accepted, final submissions are answered.

Every step leaves a state from which the next look goes on, so a crash anywhere takes each file exactly once:
a claimed file is accepted again, and the gate knows the same bytes.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import ARRAY, Connection, Text, func, literal, select

from adapters.formats.sandbox import UnreadableFile
from drops.answers import answer_name, move_aside, receipt_text, replace, step_aside
from drops.inbox import (
    Claim,
    Origin,
    Watched,
    claim,
    claim_folders,
    find_dropped,
    held,
    is_said_whole,
    lay_out,
    open_claimed,
    read_claim,
    release,
)
from hub import jobs
from hub.database import Database, new_uuid
from hub.errors import FileRefused, HubError
from hub.exchange import receipts
from hub.exchange.workbooks.returned import write_returned
from hub.faults import point
from hub.registry.permissions import Actor, Right
from hub.settings import Settings
from hub.tables import organisation, submission
from mappings.catalogue import Catalogue

_NOTE = "submission.json"
_TOLD = "told_state"
_WAITING_STATES = ("asking", "braked")  # a person has to act: the sender is told so at once
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
        self._numbered: dict[str, dict[Path, tuple[Claim, str | None]]] = {}  # by organisation and folder

    def lay_out(self) -> None:
        """Folders for every organisation and each record type it may send."""
        for sender in self.senders():
            if sends := types_sent_by(self.catalogue, sender):
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
            self._go_on_with_claims(sender, looked)
        self.watched.forget_all_but(present)
        return looked

    def _go_on_with_claims(self, sender: Sender, looked: Looked) -> None:
        """In the order they came: what another loop is just taking comes before what lies behind it."""
        claims, taken_elsewhere = self._claims_of(sender), set()
        under_way = self._still_under_way([number for _, number in claims if number])
        for claimed, noted in claims:
            if noted in under_way or (noted is None and claimed.record_type in taken_elsewhere):
                looked.waiting += 1
                continue
            with held(claimed) as mine:
                if mine:
                    self._go_on(sender, claimed, looked)
                elif noted is None:
                    taken_elsewhere.add(claimed.record_type)

    def _claims_of(self, sender: Sender) -> list[tuple[Claim, str | None]]:
        """Every claim with its receipt number. One that has a number changes no more until it goes: it is read once."""
        before = self._numbered.get(sender.code, {})
        folders = claim_folders(self.settings.drops, sender.code)
        claims = [before.get(folder) or _read_with_number(folder) for folder in folders]
        self._numbered[sender.code] = {each[0].folder: each for each in claims if each[1]}
        return claims

    def _still_under_way(self, numbers: list[str]) -> set[str | None]:
        """Receipt numbers about which there is nothing to say yet: asked once for all of them."""
        asked = select(submission.c.receipt_number).where(
            submission.c.receipt_number == func.any(literal(numbers, ARRAY(Text))),
            submission.c.state.in_(("received", "checked")),
        )
        with self.database.begin() as connection:
            return set(connection.scalars(asked)) if numbers else set()

    def _take(self, sender: Sender, looked: Looked) -> list[Path]:
        """Claim what is finished; the paths of what is not."""
        unsettled = []
        for dropped in find_dropped(self.settings.drops, sender.code):
            try:
                if is_said_whole(dropped.path) or self.watched.is_settled(dropped.path):
                    claim(self.settings.drops, dropped)
                    continue
            except Exception as wrong:  # of this file alone: the others are taken
                log.error("a drop of %s cannot be taken: %s", sender.code, type(wrong).__name__)
            looked.unsettled += 1
            unsettled.append(dropped.path)
        return unsettled

    def _go_on(self, sender: Sender, claimed: Claim, looked: Looked) -> None:
        """Bring one claimed file a step further: accept it, or answer it once it is final."""
        try:
            number = _noted(claimed)
            if claimed.path is None:
                release(claimed)
            elif number is None:
                self._accept(sender, claimed)
                looked.accepted += 1
                looked.waiting += 1
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
        except Exception as wrong:  # of this file alone: the others go on
            log.error("a drop of %s is kept for later: %s", sender.code, type(wrong).__name__)

    def _accept(self, sender: Sender, claimed: Claim) -> None:
        assert claimed.path is not None
        origin = claimed.origin
        with os.fdopen(open_claimed(claimed.path), "rb") as stream:
            _refuse_broken_promise(origin.promise.size, os.fstat(stream.fileno()).st_size)
            accepted = jobs.accept(
                self.database,
                self.settings,
                _actor(sender, origin),
                stream=stream,
                file_name=claimed.name,
                record_type=claimed.record_type,
                organisation=sender.code,
                period=claimed.period,
                door=origin.door,
                expected_sha256=origin.promise.sha256,
                catalogue=self.catalogue,
            )
        point("drop.accepted")
        replace(claimed.folder / _NOTE, json.dumps({"receipt": accepted.receipt_number}))
        point("drop.noted")

    def _answer(self, claimed: Claim, number: str) -> bool:
        """Write the receipt beside the inbox when the submission is final; whether it is."""
        with self.database.begin() as connection:
            receipt = receipts.read_receipt(connection, number, catalogue=self.catalogue)
        if not receipt["final"]:
            if receipt["state"] in _WAITING_STATES and not _is_told(claimed, receipt["state"]):
                self._write_receipt(claimed, receipt)
                replace(claimed.folder / _TOLD, receipt["state"])
            return False
        self._write_receipt(claimed, receipt)
        if any(issue["level"] in ("error", "hold") for issue in receipt["issues"]):
            self._give_back_workbook(claimed, number)
        if receipt["state"] == "refused" and claimed.path is not None and claimed.path.exists():  # another may have
            move_aside(claimed.path, self._folder(claimed) / "rejected" / answer_name(claimed.name))
        point("drop.answered")
        release(claimed)
        return True

    def _give_back_workbook(self, claimed: Claim, number: str) -> None:
        """The sender's own file with the bad cells marked; one that cannot be made keeps no receipt back."""
        target = self._folder(claimed) / "rejected" / f"{answer_name(claimed.name)}.errors.xlsx"
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{new_uuid()}.part")
        try:
            with self.database.begin() as connection:
                row = receipts.find(connection, number)
                write_returned(connection, self.settings, self.catalogue, row.submission_id, partial)
            partial.replace(target)
        except UnreadableFile as wrong:
            log.error("no workbook is given back for %s: %s", number, wrong.code)
        finally:
            partial.unlink(missing_ok=True)

    def _write_receipt(self, claimed: Claim, receipt: dict[str, Any]) -> None:
        """Under the file's own name; an earlier file's receipt of that name steps aside."""
        answers, name = self._folder(claimed) / "receipts", answer_name(claimed.name)
        step_aside(answers, name, receipt["receipt"])
        replace(answers / f"{name}.receipt.json", json.dumps(receipt, ensure_ascii=False, indent=1))
        replace(answers / f"{name}.receipt.txt", receipt_text(receipt))

    def _reject(self, claimed: Claim, refused: HubError) -> None:
        """What the gate would not even take goes back with the reason."""
        assert claimed.path is not None
        folder, name = self._folder(claimed) / "rejected", answer_name(claimed.name)
        reason = {"problem": refused.problem, "code": refused.facts.get("code"), "message": str(refused)}
        replace(folder / f"{name}.error.json", json.dumps(reason, ensure_ascii=False, indent=1))
        replace(folder / f"{name}.error.txt", f"{refused}\n")
        move_aside(claimed.path, folder / name)
        release(claimed)

    def _folder(self, claimed: Claim) -> Path:
        return self.settings.drops / claimed.organisation


def types_sent_by(catalogue: Catalogue, sender: Sender) -> list[str]:
    """The codes of the record types an organisation may send."""
    enabled = (one for one in catalogue.record_types.values() if one.enabled)
    return [one.code for one in enabled if {sender.code, sender.kind} & set(one.sources)]


def _refuse_broken_promise(promised: int | None, size: int) -> None:
    if promised is not None and promised != size:
        params = {"expected": f"{promised} B", "value": f"{size} B"}
        raise FileRefused(f"{size} B", code="F_DIGEST_MISMATCH", params=params)


def _senders(connection: Connection) -> list[Sender]:
    asked = select(organisation.c.code, organisation.c.kind).where(organisation.c.enabled).order_by(organisation.c.code)
    return [Sender(code, kind) for code, kind in connection.execute(asked)]


def _actor(sender: Sender, origin: Origin) -> Actor:
    return Actor(
        name=origin.actor or f"folder:{sender.code}",
        organisation=sender.code,
        kind=sender.kind,
        door=origin.door,
        rights=frozenset({Right.SUBMIT}),
        address=origin.address,
    )


def _read_with_number(folder: Path) -> tuple[Claim, str | None]:
    claimed = read_claim(folder)
    return claimed, _noted(claimed)


def _noted(claimed: Claim) -> str | None:
    try:
        return str(json.loads((claimed.folder / _NOTE).read_text("utf-8"))["receipt"])
    except (FileNotFoundError, ValueError, KeyError):  # never written, or not whole: the gate knows the same bytes
        return None


def _is_told(claimed: Claim, state: str) -> bool:
    told = claimed.folder / _TOLD
    return told.exists() and told.read_text("utf-8") == state
