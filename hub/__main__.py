"""The ``hub`` command."""

from __future__ import annotations

import typer

from hub.commands.accounts import account
from hub.commands.areas import area
from hub.commands.audit import audit
from hub.commands.channels import channels
from hub.commands.columns import columns
from hub.commands.deciding import deciding
from hub.commands.keeping import keeping
from hub.commands.keys import key
from hub.commands.reading import feed, reading
from hub.commands.running import running
from hub.commands.sending import sending
from hub.commands.unlocking import unlocking
from hub.commands.workbooks import workbooks

app = typer.Typer(
    help="区级数据交换枢纽。 The district exchange hub.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    rich_markup_mode=None,
)
for verbs in (running, sending, deciding, reading, keeping, columns, unlocking, workbooks):
    app.add_typer(verbs)
app.add_typer(feed, name="feed")
app.add_typer(audit, name="audit")
app.add_typer(area, name="area")
app.add_typer(key, name="key")
app.add_typer(account, name="account")
app.add_typer(channels, name="channels")


def main() -> None:
    """Entry point of the installed command."""
    app()


if __name__ == "__main__":
    main()
