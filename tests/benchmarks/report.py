"""What was measured, as a table for people and as JSON for machines."""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement beside its floor. ``goal``: the ratio that is good enough; None where there is none."""

    work: str
    seconds: float
    floor: str = ""
    floor_seconds: float | None = None
    goal: float | None = None
    unit: str = "s"
    at_least: bool = False  # the ratio is a gain: floor over measured, and must reach the goal

    @property
    def ratio(self) -> float | None:
        if not self.floor_seconds or not self.seconds:
            return None
        return self.floor_seconds / self.seconds if self.at_least else self.seconds / self.floor_seconds

    @property
    def verdict(self) -> str:
        if self.ratio is None or self.goal is None:
            return ""
        return "达标 met" if (self.ratio >= self.goal) == self.at_least or self.ratio == self.goal else "未达标 missed"


class Report(msgspec.Struct):
    """Figures and, by the same names, where the time went."""

    rows: int
    figures: list[Figure] = []
    stages: dict[str, dict[str, float]] = {}

    def add(self, **measured: object) -> None:
        figure = msgspec.convert(measured, Figure)
        self.figures.append(figure)
        print("  ".join(_cells(figure)).rstrip(), file=sys.stderr, flush=True)

    def print(self) -> None:
        print(f"{self.rows:,} 行 rows")
        header = ("工作 work", "实测 measured", "基线 floor", "基线值 value", "比 ratio", "目标 goal", "")
        _print_table([header, *(_cells(figure) for figure in self.figures)])
        for work, amounts in self.stages.items():
            print(f"\n{work}")
            unit = "MiB" if work.endswith("MiB") else "s"
            _print_table(
                [(f"  {stage}", f"{amount:.2f} {unit}") for stage, amount in amounts.items() if amount >= 0.005]
            )

    def write(self, path: Path) -> None:
        figures = [
            msgspec.structs.asdict(each) | {"ratio": each.ratio, "verdict": each.verdict} for each in self.figures
        ]
        body = {"rows": self.rows, "figures": figures, "stages": self.stages}
        path.write_bytes(msgspec.json.format(msgspec.json.encode(body), indent=2))


def _cells(figure: Figure) -> tuple[str, ...]:
    sign = "≥" if figure.at_least else "≤"
    floor_value = "" if figure.floor_seconds is None else _amount(figure.floor_seconds, figure.unit)
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f} ×"
    goal = "" if figure.goal is None else f"{sign} {figure.goal:g} ×"
    return (figure.work, _amount(figure.seconds, figure.unit), figure.floor, floor_value, ratio, goal, figure.verdict)


def _amount(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}" if value < 1 else f"{value:,.2f} {unit}"


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(_width(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        print("  ".join(padded).rstrip())


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
