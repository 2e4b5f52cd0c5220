"""Where the embedded server's data lies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from hub import embedded


def test_a_home_made_anew_does_not_meet_the_data_of_the_one_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_SYSTEM_BASE", tmp_path / "system")
    monkeypatch.setattr(embedded, "_may_walk_to", lambda *_: False)
    home, account = tmp_path / "home", (os.getuid(), os.getgid())
    first = embedded._reachable_base(home, account)
    assert embedded._reachable_base(home, account) == first
    (first / "data").mkdir()
    shutil.rmtree(home)
    second = embedded._reachable_base(home, account)
    assert second != first and not (second / "data").exists() and (first / "data").exists()
