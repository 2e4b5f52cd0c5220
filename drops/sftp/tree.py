"""What one visitor of the SFTP door sees and may do, and one line of evidence for each act.

/in/<record type>/[YYYY-MM]/     own uploads not yet taken: written, never read; a month is there without being made
/out/   /receipts/   /rejected/     read only
/out/change_list/YYYY-MM.xlsx       a town's list of an open round, made as it is read
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec

from adapters.sftp.door import (
    DENIED,
    FAILURE,
    NO_SUCH_FILE,
    UNSUPPORTED,
    Entry,
    Mode,
    OpenedFile,
    Refusal,
)
from drops.inbox import PERIOD, Origin
from drops.sftp.evidence import Unwitnessed, Witness
from drops.sftp.files import (
    AnswerFile,
    Bounds,
    UploadFile,
    list_answers,
    look_at_answer,
    open_answer,
    require_space,
)
from drops.sftp.lists import FOLDER as LISTS
from drops.sftp.lists import ChangeLists
from drops.sftp.names import BadPath, names_of, resolved, upload_name, written
from drops.sftp.uploads import Place, Upload, Uploads
from hub.registry.permissions import Actor, Right

_ANSWERS = {
    "out": (Right.PULL_SLICE, Right.READ_CHANGE_LIST),
    "receipts": (Right.SUBMIT, Right.READ_SUBMISSION),
    "rejected": (Right.SUBMIT, Right.READ_SUBMISSION),
}


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """Who came in, and what the house allows."""

    actor: Actor
    session: str
    drops: Path
    uploads: Uploads
    lists: ChangeLists
    record_types: tuple[str, ...]  # that the organisation may send
    bounds: Bounds
    open_files: int
    witness: Witness
    still_welcome: Callable[[], bool]  # the key is asked for again at every act
    on_bad_path: Callable[[], None]


class VisitorTree:
    """The virtual tree of one session."""

    def __init__(self, visit: Visit) -> None:
        self._visit, self._uploads, self._witness = visit, visit.uploads, visit.witness
        self._open: list[_Counted] = []

    # ---- looking around ----

    def resolve(self, path: str) -> str:
        return written(self._names(path, looking=True))

    def look(self, path: str) -> Entry:
        names = self._names(path, looking=True)
        if len(names) < 2 or names[0] != "in":
            return self._look_outside(names)
        place = self._place(names)
        if place is None:
            return _folder(names[-1])
        upload = self._uploads.find(place)
        size = upload.size if upload else self._uploads.size_of_taken(place)
        if size is None:
            raise _no_such_file()
        return Entry(place.name, False, size, time.time() if upload is None else upload.note.at.timestamp(), 0o200)

    def entries(self, path: str) -> list[Entry]:
        names = self._names(path, looking=True)
        self._require_welcome("list", path)
        self._require_folder(names)
        if not names:
            return [_folder(name) for name in self._rooms()]
        if names == LISTS:
            return self._visit.lists.entries()
        if names[0] != "in":
            return self._entries_of_answers(names)
        if len(names) == 1:
            return [_folder(code) for code in self._visit.record_types]
        return self._entries_of_inbox(names[1], names[2] if len(names) > 2 else None)

    def _entries_of_answers(self, names: tuple[str, ...]) -> list[Entry]:
        """Beside what lies there, the folder of lists; a key that may not pull slices sees that folder alone."""
        lists = [_folder(LISTS[1])] if names == LISTS[:1] and self._visit.lists.months() else []
        if names == LISTS[:1] and not self._visit.actor.may(Right.PULL_SLICE):
            return lists
        return [*lists, *list_answers(self._visit.drops, (self._visit.actor.organisation, *names))]

    def _entries_of_inbox(self, record_type: str, period: str | None) -> list[Entry]:
        files = [_entry_of(upload) for upload in self._uploads.waiting_in(record_type, period)]
        if period is not None:
            return files
        months = {each.place.period for each in self._uploads.waiting() if each.place.record_type == record_type}
        shown = {*(month for month in months if month), f"{date.today():%Y-%m}"}
        return [*(_folder(month) for month in sorted(shown)), *files]

    def _look_outside(self, names: tuple[str, ...]) -> Entry:
        if not names or (len(names) == 1 and names[0] in self._rooms()):
            return _folder(names[-1] if names else "/")
        self._require_room(names)
        if names == LISTS:
            return _folder(names[-1])
        if names[:2] == LISTS and len(names) == 3:
            return self._visit.lists.look(names[2])
        return look_at_answer(self._visit.drops, (self._visit.actor.organisation, *names))

    def _require_folder(self, names: tuple[str, ...]) -> None:
        if names:
            self._require_room(names)
            if names[0] == "in" and self._place(names) is not None:
                raise _no_such_file()

    def _rooms(self) -> list[str]:
        may = self._visit.actor.may
        answers = [name for name, rights in _ANSWERS.items() if any(may(right) for right in rights)]
        return (["in"] if may(Right.SUBMIT) else []) + answers

    def _require_room(self, names: tuple[str, ...]) -> None:
        may_pull = self._visit.actor.may(Right.PULL_SLICE)
        slices = names[0] == LISTS[0] and len(names) > 1 and names[1] != LISTS[1]
        if names[0] not in self._rooms() or (slices and not may_pull):
            raise _no_such_file()
        if names[:2] == LISTS and not self._visit.lists.months():
            raise _no_such_file()

    # ---- opening ----

    def open(self, path: str, mode: Mode) -> OpenedFile:
        names = self._names(path)
        self._require_welcome("open", path)
        self._open = [each for each in self._open if each.is_open]
        if len(self._open) >= self._visit.open_files:
            self._refuse("open", path, FAILURE, "同时打开的文件过多。 Too many files are open at once.")
        opened = self._open_upload(path, names, mode) if mode.write else self._open_answer(path, names)
        file = _Counted(opened, lambda: self._require_welcome("close", path))
        self._open.append(file)
        return file

    def _open_answer(self, path: str, names: tuple[str, ...]) -> OpenedFile:
        if not names or names[0] == "in" or names[0] not in self._rooms():
            self._refuse("open", path, DENIED, "此处不可读取。 Nothing can be read here.")
        self._require_room(names)
        if names[:2] == LISTS and len(names) == 3:
            return self._visit.lists.open(names[2], path, self._witness)
        handle = open_answer(self._visit.drops, (self._visit.actor.organisation, *names))
        try:
            self._witness.tell("open", path, size=os.fstat(handle).st_size, mode="read")
        except Unwitnessed:
            os.close(handle)
            raise
        return AnswerFile(handle, path, self._witness)

    def _open_upload(self, path: str, names: tuple[str, ...], mode: Mode) -> OpenedFile:
        place = self._place_to_write("open", path, names)
        if mode.read:
            self._refuse("open", path, DENIED, "上传的文件不可读取。 Uploads cannot be read.")
        self._require_room_for(path, place)
        there = self._uploads.find(place)
        self._witness.tell("open", path, size=there.size if there and not mode.truncate else 0, mode="write")
        with self._uploads.lock:
            return self._open_place(path, place, mode)

    def _open_place(self, path: str, place: Place, mode: Mode) -> OpenedFile:
        upload = self._uploads.find(place)
        if upload is None and not mode.create:
            raise _no_such_file()
        if upload is not None and mode.exclusive:
            raise Refusal(FAILURE, "文件已存在。 It is there already.")
        if upload is None:
            upload = self._uploads.begin(place, self._origin, self._visit.session)
        else:
            self._uploads.reopen(upload, self._origin, self._visit.session)
        file = UploadFile(self._uploads, upload, path, self._witness, self._visit.bounds)
        if mode.truncate:
            file.start_again()
        if mode.append:
            file.append()
        return file

    def _require_room_for(self, path: str, place: Place) -> None:
        bounds = self._visit.bounds
        is_new = self._uploads.find(place) is None
        if is_new and len(self._uploads) >= bounds.quota_files:
            self._refuse("open", path, FAILURE, "待处理文件数已达配额。 The quota of waiting files is used up.")
        if self._uploads.used_bytes() >= bounds.quota_bytes:
            self._refuse("open", path, FAILURE, "待处理文件已达配额。 The quota of waiting bytes is used up.")
        require_space(self._visit.drops, bounds.free_bytes)

    # ---- changing ----

    def rename(self, old: str, new: str, *, replace: bool) -> None:
        before, after = self._names(old), self._names(new)
        self._require_welcome("rename", old)
        source, target = (
            self._place_to_write("rename", old, before),
            self._place_to_write("rename", new, after),
        )
        if self._uploads.find(source) is None:
            raise _no_such_file()
        self._witness.tell("rename", old, to=new)
        self._uploads.rename(source, target, replace=replace)

    def remove(self, path: str) -> None:
        place = self._place_to_write("remove", path, self._names(path))
        self._require_welcome("remove", path)
        upload = self._uploads.find(place)
        if upload is None:
            raise _no_such_file()
        self._witness.tell("remove", path, size=upload.size)
        self._uploads.remove(place)

    def make_folder(self, path: str) -> None:
        """Months are there already; nothing else is ever made."""
        names = self._names(path)
        if not (len(names) == 3 and names[0] == "in" and self._place(names) is None):
            self._refuse("mkdir", path, DENIED, "只有 /in/<类型>/YYYY-MM。 Only /in/<record type>/YYYY-MM is there.")

    def touch(self, path: str) -> None:
        names = self._names(path)
        if not names or names[0] != "in" or len(names) < 2:
            self._refuse("setstat", path, DENIED, "不能修改。 It cannot be changed.")

    def refuse(self, act: str, path: str) -> None:
        self._refuse(act, path, UNSUPPORTED if act == "link" else DENIED, "不允许此操作。 That is not allowed here.")

    # ---- beneath ----

    @property
    def _origin(self) -> Origin:
        return Origin(door="sftp", actor=self._visit.actor.name, address=self._visit.actor.address)

    def _names(self, path: str, *, looking: bool = False) -> tuple[str, ...]:
        try:
            return resolved(path) if looking else names_of(path)
        except BadPath as bad:
            self._note_bad(path, bad)
            raise

    def _note_bad(self, path: str, bad: BadPath) -> None:
        self._visit.on_bad_path()
        self._witness.tell("refused", path, outcome="bad-path", reason=str(bad))

    def _place(self, names: tuple[str, ...]) -> Place | None:
        """The upload a path below /in names; None for a folder. Refusal where there is neither."""
        if "in" not in self._rooms() or names[0] != "in" or len(names) > 4:
            raise _no_such_file()
        if len(names) > 1 and names[1] not in self._visit.record_types:
            raise _no_such_file()
        if len(names) < 3 or (len(names) == 3 and PERIOD.match(names[2])):
            return None
        if len(names) == 4 and not PERIOD.match(names[2]):
            raise _no_such_file()
        return Place(names[1], names[2] if len(names) == 4 else None, names[-1])

    def _place_to_write(self, act: str, path: str, names: tuple[str, ...]) -> Place:
        place = self._place(names) if names and names[0] == "in" else None
        if place is None:
            self._refuse(act, path, DENIED, "只能写入 /in/<类型>/。 Only /in/<record type>/ can be written.")
            raise AssertionError
        try:
            upload_name(place.name)
        except BadPath as bad:
            self._note_bad(path, bad)
            raise
        return place

    def _require_welcome(self, act: str, path: str) -> None:
        if not self._visit.still_welcome():
            self._refuse(act, path, DENIED, "密钥已失效。 The key is no longer good.")

    def _refuse(self, act: str, path: str, code: int, sentence: str) -> None:
        self._witness.tell("refused", path, outcome=act, reason=sentence)
        raise Refusal(code, sentence)


class _Counted:
    """An open file, counted as long as it is one. Whoever is welcome no longer cannot say that it is whole."""

    def __init__(self, file: OpenedFile, require_welcome: Callable[[], None]) -> None:
        self._file, self._require_welcome, self.is_open = file, require_welcome, True
        self.read, self.write, self.entry, self.resize = file.read, file.write, file.entry, file.resize

    def finish(self) -> None:
        self.is_open = False
        try:
            self._require_welcome()
        except Exception:  # refused, or nobody could ask
            self._file.abandon()
            raise
        self._file.finish()

    def abandon(self) -> None:
        self.is_open = False
        self._file.abandon()


def _folder(name: str) -> Entry:
    return Entry(name, True, 0, time.time())


def _entry_of(upload: Upload) -> Entry:
    return Entry(upload.place.name, False, upload.size, upload.note.at.timestamp(), 0o200)


def _no_such_file() -> Refusal:
    return Refusal(NO_SUCH_FILE, "没有这个文件或文件夹。 No such file or folder.")
