"""Environment and hub.toml become one frozen Settings; nothing else reads either."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from hub.errors import HubError


class BadSettings(HubError):
    """设置有误，请检查 hub.toml 与环境变量。 The settings are wrong: check hub.toml and the environment."""

    problem = "bad-settings"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a district can set. Sizes in bytes, times in seconds unless the name says otherwise."""

    home: Path
    district: str = "d999001"  # schema of the district
    district_code: str = "999001"  # six digits: area codes beginning otherwise belong to another district
    database_url: str | None = None  # app role; None: the embedded PostgreSQL
    owner_url: str | None = None  # migrations
    worker_url: str | None = None  # staging and merge; None: the app role's URL
    fictitious_prefixes: tuple[str, ...] = ()  # ("999001",) in demo and tests only
    demo: bool = False
    host: str = "127.0.0.1"
    port: int = 8500
    max_file_bytes: int = 300 * 1024 * 1024
    parse_wall_seconds: int = 300
    parse_cpu_seconds: int = 240
    drop_scan_seconds: float = 5.0
    drop_quiet_seconds: float = 2.0
    lock_timeout_ms: int = 30_000
    page_window: int = 50_000  # log rows one page may scan before it answers with a bookmark
    time_zone: str = "Asia/Shanghai"  # months are cut here

    @property
    def files(self) -> Path:
        return self.home / "files"

    @property
    def drops(self) -> Path:
        return self.home / "drops"

    @property
    def keys(self) -> Path:
        return self.home / "keys"


_FROM_ENVIRONMENT = {
    "HUB_DATABASE_URL": "database_url",
    "HUB_OWNER_URL": "owner_url",
    "HUB_WORKER_URL": "worker_url",
    "HUB_DISTRICT": "district",
    "HUB_HOST": "host",
    "HUB_PORT": "port",
}


def load_settings(home: Path | None = None, **changes: object) -> Settings:
    """Defaults, then ``<home>/hub.toml``, then HUB_* variables, then ``changes``."""
    place = Path(home or os.environ.get("HUB_HOME") or ".hub").absolute()
    chosen: dict[str, Any] = {**_read_file(place / "hub.toml"), **_read_environment(), **changes, "home": place}
    try:
        return msgspec.convert(chosen, Settings, strict=False)
    except msgspec.ValidationError as wrong:
        raise BadSettings(str(wrong)) from wrong


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as wrong:
        raise BadSettings(f"{path}: {wrong}") from wrong


def _read_environment() -> dict[str, str]:
    return {name: os.environ[key] for key, name in _FROM_ENVIRONMENT.items() if os.environ.get(key)}
