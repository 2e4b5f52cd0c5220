"""Checks every mapping file without a database, and names everything that is wrong."""

from __future__ import annotations

from pathlib import Path

from mappings.documents import Problem
from mappings.loader import ROOT, read_all

__all__ = ["Problem", "check_mappings"]


def check_mappings(root: Path = ROOT) -> list[Problem]:
    """All problems, not only the first; empty when the hub would start. Broken files hide the rules across files."""
    _, problems = read_all(root)
    return problems
