"""The whole demo as a list of files in sending order, each with what its receipt must say; written to a folder."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from hub.demo import acts
from hub.demo.areas import District
from hub.demo.departments import Expected, Sheet, write_down
from hub.demo.dirt import scatter
from hub.demo.life import live
from hub.demo.sheets import write
from hub.demo.truth import ChangeKind, ExpectedFile, ExpectedRegister, ExpectedRow, Truth
from hub.demo.year import MONTHS
from hub.errors import BadRequest
from mappings.catalogue import Catalogue

SEED = 999001
FEWEST_PEOPLE = 1_000  # below this some department has nothing to send in some month
Sheets = dict[tuple[str, str], Sheet]
KINDS: dict[str, ChangeKind] = {"更正": "correct", "作废": "void"}


@dataclass(frozen=True, slots=True)
class Parcel:
    """One file on its way to the hub."""

    path: Path
    sender: str
    record_type: str  # the slot it is sent to, which may be the wrong one
    period: str
    expected: ExpectedFile
    repeats: str = ""  # the file whose receipt must come back: same bytes, sent again


@dataclass(slots=True)
class Plan:
    """What will be sent, in order, and what must come of it."""

    district: District
    parcels: list[Parcel]
    truth: Truth


@dataclass(slots=True)
class _Writer:
    """Writes sheets one after another and keeps the account."""

    folder: Path
    register: ExpectedRegister
    parcels: list[Parcel] = field(default_factory=list)
    rows: list[ExpectedRow] = field(default_factory=list)

    def send(self, sheet: Sheet, period: str = "") -> Parcel:
        path, first = write(sheet, self.folder)
        self.rows += [ExpectedRow(path.name, first + row, *one) for row, one in sorted(sheet.expected.items())]
        self._land(sheet)
        code = sheet.record_type.code
        return self._add(Parcel(path, sheet.sender, code, period or sheet.month, _expected_file(sheet, path.name)))

    def send_again(self, parcel: Parcel, name: str = "") -> Parcel:
        """The same bytes, perhaps under another name: the same receipt comes back."""
        path = parcel.path
        if name:
            path = path.with_stem(f"{path.stem}{name}")
            path.write_bytes(parcel.path.read_bytes())
        return self._add(replace(parcel, path=path, repeats=parcel.path.name))

    def send_to_wrong_slot(self, sheet: Sheet, slot: str) -> Parcel:
        path, _ = write(sheet, self.folder)
        expected = ExpectedFile(path.name, sheet.sender, slot, 0, refusal="F_WRONG_TEMPLATE")
        return self._add(Parcel(path, sheet.sender, slot, sheet.month, expected))

    def _land(self, sheet: Sheet) -> None:
        clean = Expected("", "accepted")
        for row, said in enumerate(sheet.said):
            if sheet.expected.get(row, clean).outcome == "accepted":
                kind = KINDS.get(sheet.marks.get(row, ""), "new")
                self.register.land(sheet.record_type, sheet.sender, said, kind)

    def _add(self, parcel: Parcel) -> Parcel:
        self.parcels.append(parcel)
        return parcel


def _expected_file(sheet: Sheet, name: str) -> ExpectedFile:
    counts = Counter(one.outcome for one in sheet.expected.values())
    return ExpectedFile(
        name, sheet.sender, sheet.record_type.code, len(sheet.rows),
        accepted=counts["accepted"] + len(sheet.rows) - len(sheet.expected),
        unchanged=counts["unchanged"], held=counts["held"], refused=counts["refused"],
    )  # fmt: skip


def make_plan(catalogue: Catalogue, people: int, folder: Path, seed: int = SEED) -> Plan:
    """Let the district live, write its files into ``folder``, and say what must become of each."""
    if people < FEWEST_PEOPLE:
        raise BadRequest(f"--people {FEWEST_PEOPLE} 起 at least {FEWEST_PEOPLE}")
    folder.mkdir(parents=True, exist_ok=True)
    year = live(people, seed)
    enabled = [row for row in year.rows if catalogue.record_types[row.record_type].enabled]
    sheets = write_down(catalogue, year.district, enabled)
    rng = random.Random(seed + 1)
    scatter(rng, sheets)
    writer = _Writer(folder, ExpectedRegister(catalogue, year.district))
    for sheet in sheets:
        if sheet.month not in MONTHS:
            writer.send(sheet)
    for month in MONTHS:
        _send_month(writer, rng, sheets, month)
    _send_old_and_new_numbers(writer, sheets)
    return Plan(year.district, writer.parcels, _truth(writer))


def _truth(writer: _Writer) -> Truth:
    files = [parcel.expected for parcel in writer.parcels if not parcel.repeats]
    return Truth(files, writer.rows, writer.register.current(), writer.register.current_per_town())


def _send_month(writer: _Writer, rng: random.Random, sheets: list[Sheet], month: str) -> None:
    """Each department its files; some months somebody does something with a whole file."""
    for sheet in sheets:
        if sheet.month == month:
            is_cumulative = sheet.record_type.code == "unemployment" and month == "2026-04"
            writer.send(acts.cumulative(_until(sheets, "unemployment", month)) if is_cumulative else sheet)
    act = ACTS.get(month)
    if act is not None:
        act(writer, rng, {(sheet.record_type.code, sheet.month): sheet for sheet in sheets})


def _until(sheets: list[Sheet], record_type: str, month: str) -> list[Sheet]:
    return [sheet for sheet in sheets if sheet.record_type.code == record_type and sheet.month <= month]


def _send_twice(writer: _Writer, rng: random.Random, sheets: Sheets) -> None:
    """The same bytes once more, one of them under another name."""
    sent = {parcel.record_type: parcel for parcel in writer.parcels}
    writer.send_again(sent["hukou_move_in"])
    writer.send_again(sent["marriage"], "（再传）")


def _save_again(writer: _Writer, rng: random.Random, sheets: Sheets) -> None:
    """Last quarter's file in another encoding."""
    writer.send(acts.saved_again(_latest(sheets, "hukou_move_in", "2025-12"), "另存"))


def _mix_up(writer: _Writer, rng: random.Random, sheets: Sheets) -> None:
    """A cremation list in the slot of divorces."""
    writer.send_to_wrong_slot(acts.saved_again(_latest(sheets, "cremation", "2026-05"), "报错位置"), "divorce")


def _correct_and_void(writer: _Writer, rng: random.Random, sheets: Sheets) -> None:
    """Corrections and voids of January, and then January's old files come again."""
    jobs, marriages = _latest(sheets, "employment", "2026-01"), _latest(sheets, "marriage", "2026-01")
    corrections, changed = acts.corrected(rng, jobs, "post", "班组长", 5)
    voids, taken_back = acts.voided(rng, marriages, 2)
    for sheet in (corrections, voids):
        writer.send(sheet, "2026-03")
    writer.send(acts.older_after(jobs, changed, "旧表重报"), "2026-03")
    writer.send(acts.older_after(marriages, taken_back, "旧表重报"), "2026-03")


def _latest(sheets: Sheets, record_type: str, month: str) -> Sheet:
    """The newest sheet of this type up to the month: a small district has not every type every month."""
    return sheets[record_type, max(at for code, at in sheets if code == record_type and at <= month)]


ACTS = {"2026-01": _send_twice, "2026-02": _save_again, "2026-03": _correct_and_void, "2026-05": _mix_up}


def _send_old_and_new_numbers(writer: _Writer, sheets: list[Sheet]) -> None:
    """A town sends people whose number the police corrected: under the old number, then under the new one."""
    changed = {
        said["id_no"]: (said["new_id"], said["new_value"])
        for sheet in sheets if sheet.record_type.code == "identity_correction"
        for row, said in enumerate(sheet.said) if row not in sheet.expected
    }  # fmt: skip
    rolls = [sheet for sheet in sheets if sheet.record_type.code == "resident_roll"]
    for sheet in rolls:
        old = acts.under_old_number(sheet, changed)
        if old is not None:
            writer.send(old, MONTHS[-1])
            writer.send(acts.under_new_number(old, changed), MONTHS[-1])
            return
