"""Each of the sixty hostile files has its one outcome, and costs the reader little memory and little time."""

import datetime
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.errors import FileRefused
from hub.exchange.check import CheckContext, check
from hub.exchange.file_notes import file_notes
from hub.exchange.parse import parse
from hub.registry.areas import build_index
from mappings.catalogue import Catalogue
from tests.hostile_catalogue import CATALOGUE, Hostile

MOST_SECONDS = 30
MOST_KIB = 300 << 10


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """All of them on disk before the first is read: what building them takes is not what reading them takes."""
    folder = tmp_path_factory.mktemp("hostile")
    paths = {}
    for case in CATALOGUE:
        paths[case.number] = folder / f"{case.number}_{case.file_name}"
        paths[case.number].write_bytes(case.build())
    return paths


@pytest.fixture(scope="module")
def before(built: dict[int, Path]) -> Iterator[int]:
    """The memory in use before the first; the kernel's note of the peak begins anew."""
    Path("/proc/self/clear_refs").write_text("5")
    yield _status("VmRSS")


def _status(name: str) -> int:
    return int(Path("/proc/self/status").read_text().partition(f"{name}:")[2].split()[0])


def test_the_catalogue_is_the_sixty() -> None:
    assert [case.number for case in CATALOGUE] == list(range(1, 61))


def outcome(case: Hostile, path: Path, catalogue: Catalogue) -> tuple[str, int, set[str]]:
    """The file's code or "read", its records, and every code said of it or of a row."""
    record_type = catalogue.record_types["death_certificate"]
    mapping = catalogue.mapping_for("health", "health", record_type.code)
    try:
        parsed = parse(path, record_type, mapping, catalogue, case.limits)
        batches = list(check(parsed.frames, parsed.columns, _context(catalogue)))
    except FileRefused as refused:
        return str(refused.facts["code"]), 0, set()
    codes = {code for batch in batches for code in batch.errors["code"].to_list()}
    return "read", sum(batch.received for batch in batches), codes | {code for code, _, _ in file_notes(parsed.facts)}


def _context(catalogue: Catalogue) -> CheckContext:
    record_type = catalogue.record_types["death_certificate"]
    return CheckContext(
        record_type=record_type, mapping=catalogue.mapping_for("health", "health", record_type.code),
        catalogue=catalogue, areas=build_index([]), today=datetime.date(2026, 11, 20),
        fictitious_prefixes=("999001",), digest_key=b"x" * 32, seal=lambda many: many,
        new_uuids=lambda count: [str(number) for number in range(count)],
    )  # fmt: skip


@pytest.mark.parametrize("case", CATALOGUE, ids=lambda case: f"{case.number} {case.name}")
def test_a_hostile_file_has_its_one_outcome(
    case: Hostile, built: dict[int, Path], before: int, catalogue: Catalogue
) -> None:
    started = time.monotonic()
    code, rows, told = outcome(case, built[case.number], catalogue)
    assert time.monotonic() - started < MOST_SECONDS
    assert (code, rows) == (case.expected, case.rows if case.expected == "read" else 0)
    assert told >= case.tells


def test_all_sixty_together_take_little_memory(before: int) -> None:
    """The files are read in children: the reader itself grows by the rows of one batch at most."""
    assert _status("VmHWM") - before < MOST_KIB
