"""Runs the benchmarks by name, prints ratios timed side by side in this run, and keeps them as JSON if asked."""

from __future__ import annotations

import argparse
from pathlib import Path

from mappings.catalogue import load_catalogue
from tests.benchmarks import (
    copy_check,
    delivery,
    feed,
    line,
    matching_peers,
    memory,
    pages,
    people_attributes,
    people_comparisons,
    people_disclosures,
    people_timeline,
    people_verification,
    reading,
    rolls,
    rounds,
    sftp,
    trust,
)
from tests.benchmarks.ground import shared_ground
from tests.benchmarks.report import Report

BENCHMARKS = {
    "reading": reading.measure,
    "line": line.measure,
    "feed": feed.measure,
    "memory": memory.measure,
    "trust": trust.measure,
    "sftp": sftp.measure,
    "attributes": people_attributes.measure,
    "people": people_timeline.measure,
    "comparisons": people_comparisons.measure,
    "verification": people_verification.measure,
    "matching": matching_peers.measure,
    "rounds": rounds.measure,
    "rolls": rolls.measure,
    "copy_check": copy_check.measure,
    "delivery": delivery.measure,
}
ALONE = {  # only when named: a hub of its own, and a story to live first
    "disclosures": people_disclosures.measure,
    "pages": pages.measure,
}


def main() -> None:
    """Everything, or what is named."""
    wanted = _arguments()
    report = Report(rows=wanted.rows)
    catalogue = load_catalogue()
    with shared_ground(catalogue):
        for name in wanted.names or BENCHMARKS:
            (BENCHMARKS | ALONE)[name](report, catalogue, wanted.repeats)
    report.print()
    if wanted.json:
        report.write(wanted.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, *ALONE, []], help="all when none is named")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


main()
