"""Who is meant by a description: the hub's comparison and Splink's on the same people, the same pairs to look at.

Splink is no dependency of the hub: it runs when HUB_SPLINK_PYTHON names a Python that has it
(uv venv splink && uv pip install --python splink 'splink>=5,<6'); else this says so and times the hub alone.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from hub.demo.areas import area_rows, make_district
from hub.demo.matching_truth import Sent, make_truth
from hub.people.matching import Side, side, weigh
from hub.people.matching import score_of as likeness
from hub.people.name_keys import name_key
from mappings.catalogue import Catalogue, MatchingRules
from tests.benchmarks.report import Report

_SCRIPT = Path(__file__).parent / "splink_pairs.py"
_COLUMNS = (
    "unique_id",
    "name",
    "name_key",
    "sex",
    "birth_date",
    "id_no",
    "number_tail",
    "household_no",
    "home_area",
    "phone",
)


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """One mention: what is compared, what it is looked up by, and who it really is."""

    side: Side
    keys: dict[str, str]
    truth: int


def measure(report: Report, catalogue: Catalogue, repeats: int) -> None:
    """Precision, recall and seconds of both, for the mentions no number finds."""
    people = max(1_000, min(report.rows // 25, 20_000))
    register, asked = _mentions(people)
    known = {one.truth for one in register}
    wanted = sum(one.truth in known for one in asked)
    print(f"matching: {len(asked)} descriptions against {len(register)} people, {wanted} of them known")
    started = time.perf_counter()
    mine = _link(asked, register, catalogue.matching)
    seconds = time.perf_counter() - started
    sure = [(one, other) for one, other, score in mine if score >= catalogue.matching.auto]
    _print("hub, hold", [pair[:2] for pair in mine], asked, register, wanted, seconds)
    _print("hub, auto", sure, asked, register, wanted, seconds)
    python = os.environ.get("HUB_SPLINK_PYTHON")
    if not python:
        print("matching: splink is not measured, HUB_SPLINK_PYTHON names no Python that has it")
        return
    found = _splink(python, register, asked, catalogue.matching)
    pairs = [(int(one[1:]), int(other[1:])) for one, other in found["pairs"]]
    _print("splink", pairs, asked, register, wanted, found["seconds"])
    report.add(work="识别 matching", seconds=seconds, floor="splink 5", floor_seconds=found["seconds"])


def _mentions(people: int) -> tuple[list[Described], list[Described]]:
    """The first roll, and everything sent later whose number is not on it."""
    codes = {row.code: number for number, row in enumerate(area_rows(make_district()), 1)}
    files = make_truth(1, people, codes).files
    rolls = [one for one in files if one.record_type == "resident_roll"]
    register = list(_described(one for one in rolls if one.source != "public_security"))
    numbers = {one.side.number for one in register}
    later = [*(one for one in rolls if one.source == "public_security"), *_of(files, "death_certificate")]
    return register, [one for one in _described(later) if one.side.number not in numbers]


def _of(files: list[Sent], record_type: str) -> list[Sent]:
    return [one for one in files if one.record_type == record_type]


def _described(files: Iterable[Sent]) -> Iterable[Described]:
    for sent in files:
        for row in sent.rows:
            said: dict[str, Any] = row.values
            one = side(
                name=said["name"], sex=said["sex"], born=said["birth_date"], number=said.get("id_no"),
                household=said.get("household_no"), area=said["person_area"], phone=said.get("phone"),
            )  # fmt: skip
            yield Described(side=one, keys=_keys(one), truth=row.means["person"])


def _keys(one: Side) -> dict[str, str]:
    return {
        "birth_date": str(one.born or ""), "name_key": name_key(one.name), "number_tail": one.number[14:17],
        "home_area": str(one.area or ""), "household_no": one.household, "phone": one.phone, "mother": "",
    }  # fmt: skip


def _link(asked: list[Described], register: list[Described], rules: MatchingRules) -> list[tuple[int, int, float]]:
    """Pairs from ``hold`` on with their scores: what a person is shown, and what would link by itself."""
    pairs: set[tuple[int, int]] = set()
    for block in rules.blocks:
        index: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for place, one in enumerate(register):
            index[tuple(one.keys[key] for key in block.keys)].append(place)
        for place, one in enumerate(asked):
            key = tuple(one.keys[name] for name in block.keys)
            pairs.update((place, other) for other in (index[key] if all(key) else ()))
    scored = [(*pair, likeness(weigh(asked[pair[0]].side, register[pair[1]].side, rules))) for pair in pairs]
    return [one for one in scored if one[2] >= rules.hold]


def _splink(python: str, register: list[Described], asked: list[Described], rules: MatchingRules) -> dict[str, Any]:
    blocks = [list(block.keys) for block in rules.blocks if "mother" not in block.keys]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "blocks.json").write_text(json.dumps(blocks))
        _write_table(Path(folder) / "register.csv", register, "r")
        _write_table(Path(folder) / "asked.csv", asked, "a")
        done = subprocess.run([python, str(_SCRIPT), folder], capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        raise SystemExit(f"splink failed: {done.stderr[-2_000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _write_table(path: Path, mentions: list[Described], letter: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for place, one in enumerate(mentions):
            written = one.keys | {"unique_id": f"{letter}{place}", "name": one.side.name, "sex": one.side.sex}
            writer.writerow([(written | {"id_no": one.side.number})[name] for name in _COLUMNS])


def _print(
    name: str,
    pairs: list[tuple[int, int]],
    asked: list[Described],
    register: list[Described],
    wanted: int,
    seconds: float,
) -> None:
    right = [one for one, other in pairs if asked[one].truth == register[other].truth]
    precision, recall = len(right) / max(1, len(pairs)), len(set(right)) / max(1, wanted)
    print(f"matching: {name:9} precision {precision:.4f}  recall {recall:.4f}  {seconds:.2f} s  {len(pairs)} pairs")
