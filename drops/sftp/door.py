"""Who may come through the SFTP door: keys of the registry, so many at a time, and nobody who behaved badly lately."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection

from adapters.sftp.door import DENIED, FAILURE, Refusal, Tree
from drops.inbox import lay_out
from drops.scan import Sender, types_sent_by
from drops.sftp.evidence import Evidence, Unwitnessed, Witness
from drops.sftp.files import Bounds
from drops.sftp.lists import ChangeLists
from drops.sftp.scores import BAD_PATH, WRONG_KEY, WRONG_NAME, Scores
from drops.sftp.tree import Visit, VisitorTree
from drops.sftp.uploads import Uploads
from hub.database import Database, new_uuid, utc_now
from hub.errors import HubError
from hub.registry.machine_identity import actor_of_ssh_key, machine_of_secret
from hub.registry.permissions import Actor, Right
from hub.settings import Settings
from mappings.catalogue import Catalogue

_DOOR = "sftp"
log = logging.getLogger("drops.sftp")


class HubDoor:
    """The door of one hub; every connection gets a call of its own."""

    def __init__(self, database: Database, settings: Settings, catalogue: Catalogue, looking: threading.Event) -> None:
        self.database, self.settings, self.catalogue, self.looking = database, settings, catalogue, looking
        self.policy = settings.sftp
        self.evidence = Evidence(database)
        self.scores = Scores(self.policy.ban_score, self.policy.ban_minutes * 60)
        self.bounds = Bounds(
            file_bytes=settings.max_file_bytes,
            quota_bytes=self.policy.quota_bytes,
            quota_files=self.policy.quota_files,
            free_bytes=self.policy.free_space_floor,
        )
        self._lock = threading.Lock()
        self._uploads: dict[str, Uploads] = {}
        self._strangers: Counter[str] = Counter()  # connections by address
        self._guests: Counter[str] = Counter()  # sessions by organisation
        settings.drops.mkdir(parents=True, exist_ok=True)
        for folder in settings.drops.glob("*/.uploads"):
            self.uploads_of(folder.parent.name)

    def answer(self, address: str) -> HubCall | None:
        """None: hang up at once."""
        with self._lock:
            crowded = self._strangers.total() >= self.policy.sessions
            pushing = self._strangers[address] - self._signed_in(address) >= self.policy.sessions_of_one
            if crowded or pushing or self.scores.is_banned(address):
                return None
            self._strangers[address] += 1
        return HubCall(self, address)

    def uploads_of(self, organisation: str) -> Uploads:
        with self._lock:
            if organisation not in self._uploads:
                self._uploads[organisation] = Uploads(self.settings.drops, organisation, self.looking.set)
            return self._uploads[organisation]

    def all_uploads(self) -> list[Uploads]:
        with self._lock:
            return list(self._uploads.values())

    def seat(self, organisation: str, address: str) -> bool:
        """Whether the organisation may have one more session."""
        with self._lock:
            if self._guests[organisation] >= self.policy.sessions_of_one:
                return False
            self._guests[organisation] += 1
            self._guests[f"@{address}"] += 1
            return True

    def leave(self, organisation: str, address: str) -> None:
        with self._lock:
            self._strangers[address] -= 1
            if organisation:
                self._guests[organisation] -= 1
                self._guests[f"@{address}"] -= 1
            self._strangers, self._guests = +self._strangers, +self._guests

    def _signed_in(self, address: str) -> int:
        return self._guests[f"@{address}"]

    def close(self) -> None:
        self.evidence.close()


class HubCall:
    """One connection: who it turned out to be, and what it may see."""

    def __init__(self, door: HubDoor, address: str) -> None:
        self._door, self._address = door, address
        self.takes_passwords = door.policy.passwords
        self._session: UUID = new_uuid()
        self._blob: bytes | None = None
        self._secret: tuple[str, str] | None = None
        self._actor: Actor | None = None
        self._seated = ""
        self._witness = Witness(evidence=door.evidence, session=self._session, address=address)
        self._refused: set[bytes] = set()

    # ---- signing in ----

    def by_key(self, user: str, blob: bytes) -> bool:
        """Asked once to offer the key and once with its signature; only the second opens a session."""
        with self._door.database.begin() as connection:
            actor = actor_of_ssh_key(connection, blob, utc_now(), self._address, _DOOR)
        if actor is None or user not in (actor.organisation, actor.name):
            return self._turn_away(user, blob, WRONG_KEY if actor is None else WRONG_NAME)
        self._actor, self._blob, self._secret = actor, blob, None
        return True

    def by_password(self, user: str, password: str) -> bool:
        with self._door.database.begin() as connection:
            actor = self._actor_of_secret(connection, user, password)
        if actor is None:
            return self._turn_away(user, password.encode(), WRONG_KEY)
        self._actor, self._blob, self._secret = actor, None, (user, password)
        return True

    def _actor_of_secret(self, connection: Connection, user: str, password: str) -> Actor | None:
        found = machine_of_secret(connection, user, password, now=utc_now(), door=_DOOR, address=self._address)
        return found.actor if found else None

    def _turn_away(self, user: str, shown: bytes, points: float) -> bool:
        """Written down, scored, and answered ever later. The same key offered again costs nothing more."""
        if shown not in self._refused:
            self._refused.add(shown)
            banned = self._door.scores.add(self._address, points)
            self._witness.tell("refused", outcome="sign-in", user=user[:100], banned=banned)
        time.sleep(self._door.scores.delay_of(self._address))
        return False

    # ---- the session ----

    def open_tree(self) -> Tree:
        """Refusal when there are too many, or when nobody can write down that they came in."""
        actor = self._actor
        if actor is None:
            raise Refusal(DENIED, "未登录。 Nobody signed in.")
        self._witness = Witness(
            evidence=self._door.evidence,
            session=self._session,
            address=self._address,
            organisation=actor.organisation,
            actor=actor.name,
        )
        if not self._door.seat(actor.organisation, self._address):
            self._witness.tell("refused", outcome="sessions")
            raise Refusal(FAILURE, "该单位会话过多。 The organisation has too many sessions.")
        self._seated = actor.organisation
        self._witness.tell("sign-in")
        self._door.scores.forgive(self._address)
        return VisitorTree(self._visit(actor))

    def _visit(self, actor: Actor) -> Visit:
        settings = self._door.settings
        sends = types_sent_by(self._door.catalogue, Sender(actor.organisation, actor.kind))
        lay_out(settings.drops, actor.organisation, sends)
        return Visit(
            actor=actor,
            session=str(self._session),
            drops=settings.drops,
            uploads=self._door.uploads_of(actor.organisation),
            lists=ChangeLists(self._door.database, settings, self._door.catalogue, actor),
            record_types=tuple(sends) if actor.may(Right.SUBMIT) else (),
            bounds=self._door.bounds,
            open_files=self._door.policy.open_files,
            witness=self._witness,
            still_welcome=self._still_welcome,
            on_bad_path=self._on_bad_path,
        )

    def _still_welcome(self) -> bool:
        """The key is as good as it was, and its address has not been banned meanwhile."""
        if self._door.scores.is_banned(self._address):
            return False
        try:
            with self._door.database.begin() as connection:
                actor = self._ask_again(connection)
        except (HubError, OSError):
            return False
        return actor is not None and self._actor is not None and actor.rights == self._actor.rights

    def _ask_again(self, connection: Connection) -> Actor | None:
        if self._blob is not None:
            return actor_of_ssh_key(connection, self._blob, utc_now(), self._address, _DOOR)
        return self._actor_of_secret(connection, *self._secret) if self._secret else None

    def _on_bad_path(self) -> None:
        self._door.scores.add(self._address, BAD_PATH)
        time.sleep(self._door.scores.delay_of(self._address))

    def left(self) -> None:
        self._door.leave(self._seated, self._address)
        if self._seated:
            try:
                self._witness.tell("end")
            except Unwitnessed:
                log.error("the end of a session could not be recorded")


def host_key_of(settings: Settings) -> Path:
    return settings.keys / "sftp_host_key"
