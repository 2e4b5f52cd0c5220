"""How every verb of the command line behaves: its right, its errors as sentences, its exit status."""

from __future__ import annotations

import functools
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.errors import DatabaseUnavailable, HubError
from hub.registry.permissions import Right
from hub.registry.rights import declares

ACCEPTED, SOME_REFUSED, FILE_REFUSED, NOT_ALLOWED, CANNOT_WORK = range(5)

Home = Annotated[Path | None, typer.Option("--home", envvar="HUB_HOME", help="数据文件夹 / the data folder [.hub]")]
Json = Annotated[bool, typer.Option("--json", help="以 JSON 输出 / print JSON")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="写入文件 / write to this file")]


def verb(group: typer.Typer, right: Right, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a command under its name with the one right it needs."""

    def register(act: Callable[..., Any]) -> Callable[..., Any]:
        declares(right)(act)
        group.command(name)(_speaking(act))
        return act

    return register


def show(result: object) -> None:
    """A result, on stdout, as JSON."""
    print(json.dumps(result, ensure_ascii=False, indent=None if not sys.stdout.isatty() else 1, default=str))


def say(message: str) -> None:
    """A message for the person, on stderr."""
    print(message, file=sys.stderr)


def _speaking(act: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(act)
    def spoken(*arguments: Any, **options: Any) -> Any:
        try:
            return act(*arguments, **options)
        except (typer.Exit, typer.Abort, KeyboardInterrupt):
            raise
        except HubError as refused:
            say(str(refused))
            raise typer.Exit(refused.exit_code) from None
        except Exception as wrong:
            _explain(wrong)
            raise typer.Exit(CANNOT_WORK) from None

    return spoken


def _explain(wrong: Exception) -> None:
    """What failed and where, never the values: a driver's message may quote a row. HUB_DEBUG=1 shows all of it."""
    if os.environ.get("HUB_DEBUG"):
        traceback.print_exception(wrong)
    elif type(wrong).__name__ in ("OperationalError", "ConnectionTimeout"):
        say(DatabaseUnavailable.sentence())
    else:
        place = traceback.extract_tb(wrong.__traceback__)[-1]
        say(f"{HubError.sentence()} {type(wrong).__name__} ({Path(place.filename).name}:{place.lineno})")
