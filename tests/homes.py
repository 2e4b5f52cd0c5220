"""Homes with an embedded server of their own, and nothing left of them afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def own_home(folder: Path) -> Iterator[Path]:
    """A home below ``folder``. As root its server's files may lie elsewhere, behind a link: they go too."""
    home = folder / "home"
    yield home
    link = home / "postgres"
    if link.is_symlink():
        shutil.rmtree(link.resolve(), ignore_errors=True)
