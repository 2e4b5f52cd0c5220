"""Why a job failed, for whoever keeps the hub running: the error's class, and the sentence of our own; never a value.

A small file a job beside the database: what fails may be the database, and the job's own transaction is gone.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec

from hub.database import utc_now
from hub.operations.job_errors import JobFailed
from hub.settings import Settings


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """``error``: the class's name; ``sentence``: what every error of this class says, "" where it is none of ours."""

    error: str
    sentence: str


def keep_failure(settings: Settings, job_id: int, wrong: BaseException) -> None:
    """The last attempt's is kept. Where it cannot be written, the log has it."""
    told = wrong if isinstance(wrong, JobFailed) else JobFailed(wrong)
    try:
        _folder(settings).mkdir(mode=0o700, parents=True, exist_ok=True)
        _file(settings, job_id).write_bytes(msgspec.json.encode(Failure(error=str(told), sentence=told.sentence)))
    except OSError:
        return


def read_failure(settings: Settings, job_id: int) -> Failure | None:
    try:
        return msgspec.json.decode(_file(settings, job_id).read_bytes(), type=Failure)
    except (OSError, msgspec.DecodeError):
        return None


def drop_old_failures(settings: Settings, hours: int) -> int:
    """Those of jobs that are no longer kept; how many."""
    before = utc_now().timestamp() - hours * 3600
    dropped = 0
    for path in _folder(settings).glob("*.json"):
        with suppress(FileNotFoundError):  # another one tidies too
            if path.stat().st_mtime < before:
                path.unlink()
                dropped += 1
    return dropped


def _folder(settings: Settings) -> Path:
    return settings.home / "failed-jobs"


def _file(settings: Settings, job_id: int) -> Path:
    return _folder(settings) / f"{job_id}.json"
