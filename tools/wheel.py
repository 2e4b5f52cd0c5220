"""Building the wheel: the handbooks of docs/zh go into it beside the panel, and it is not built without the pages' style."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools.command.build_py import build_py
from setuptools.errors import SetupError

PROJECT = Path(__file__).resolve().parent.parent
HANDBOOKS = PROJECT / "docs" / "zh"
STYLE = PROJECT / "admin" / "static" / "vendor"


class WithHandbooks(build_py):
    """As always, and what an installed hub looks for in ``admin/zh`` (see admin/handbooks.py)."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # the project's own folder has them
        if not any(STYLE.glob("*/*/*.css")):
            raise SetupError("先运行 make assets：缺少页面样式。 Run make assets first: the pages' style is missing.")
        shutil.copytree(HANDBOOKS, Path(self.build_lib) / "admin" / "zh", dirs_exist_ok=True)
