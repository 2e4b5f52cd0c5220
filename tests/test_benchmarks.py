"""The benchmarks run and say what they measured; how fast is for a quiet machine to tell."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.benchmarks import people_file
from tests.source import ROOT

ROWS = 2_000


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    path = tmp_path_factory.mktemp("benchmarks") / "figures.json"
    command = [sys.executable, "-m", "tests.benchmarks", "--rows", str(ROWS), "--repeats", "1", "--json", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert "首次入库 first load" in done.stdout
    found: dict[str, object] = json.loads(path.read_text("utf-8"))
    return found


def test_every_figure_stands_beside_its_floor(measured: dict[str, object]) -> None:
    figures = measured["figures"]
    assert isinstance(figures, list)
    assert {"首次入库 first load", "增量 delta 100", "解析 parse"} <= {each["work"] for each in figures}
    assert all(each["ratio"] > 0 for each in figures)


def test_the_stages_of_a_first_load_add_up_to_its_time(measured: dict[str, object]) -> None:
    stages = dict(measured["stages"])["首次入库 first load"]  # type: ignore[call-overload]
    total = stages.pop("total")
    assert {"parse", "check", "link", "change log", "commit"} <= set(stages)
    assert sum(stages.values()) == pytest.approx(total)


def test_the_people_are_the_same_for_the_same_seed_and_each_number_is_one_persons() -> None:
    first, again, other = (people_file.people(0, ROWS, seed) for seed in (1, 1, 2))
    assert first.equals(again) and not first.equals(other)
    assert first["id_no"].n_unique() == ROWS
