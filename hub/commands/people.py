"""The group ``hub people``; its verbs stand in rooms of their own and are gathered in hub/__main__.py."""

from __future__ import annotations

import typer

people = typer.Typer(help="人员 / people", no_args_is_help=True)
