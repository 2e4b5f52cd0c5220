"""Reading what the hub has: a subscription's changes and snapshot; checking the feed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from hub.commands.verbs import Home, Output, say, verb
from hub.registry.permissions import Right

reading = typer.Typer()
feed = typer.Typer(help="变动日志 / the change log", no_args_is_help=True)

Subscription = Annotated[str, typer.Argument(help="订阅代码 / subscription code")]


@verb(reading, Right.OPERATE, "changes")
def changes(
    subscription: Subscription,
    since: Annotated[str | None, typer.Option("--since", help="游标 / cursor")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="至多多少条 / at most how many")] = 1_000,
    form: Annotated[str, typer.Option("--format", help="ndjson | csv | xlsx")] = "ndjson",
    output: Output = None,
    home: Home = None,
) -> None:
    """订阅切片的变动。 The changes of a slice. The next cursor is printed on stderr."""
    from hub.commands.opening import opened, operator
    from hub.commands.tables import write_changes
    from hub.exchange.slices import FeedContext, read_page

    with opened(home) as hub:
        context = FeedContext(hub.catalogue, hub.keyring, hub.settings.page_window)
        with hub.database.begin() as connection:
            page = read_page(connection, operator("hub"), context, subscription, since, limit)
    write_changes(json.loads(f"[{page.changes}]"), form, output)
    say(f"next: {page.next}" + (" (还有更多 / more)" if page.more else ""))


@verb(reading, Right.OPERATE, "snapshot")
def snapshot(subscription: Subscription, output: Output = None, home: Home = None) -> None:
    """订阅切片的全量，末行给出续传游标。 The whole slice as NDJSON; the last line says where the feed goes on."""
    from hub.commands.opening import opened, operator
    from hub.exchange import slices

    with opened(home) as hub, _text(output) as file:
        context = slices.FeedContext(hub.catalogue, hub.keyring, hub.settings.page_window)
        engine = hub.database.engine.execution_options(isolation_level="REPEATABLE READ")
        with engine.begin() as connection:
            for line in slices.snapshot(connection, operator("hub"), context, subscription):
                file.write(line)


@verb(feed, Right.OPERATE, "verify")
def verify_feed(home: Home = None) -> None:
    """检查变动日志是否完整。 Whether the change log is whole: no gaps, links and contents right."""
    from hub.commands.opening import opened
    from hub.exchange import changelog

    with opened(home) as hub, hub.database.read() as connection:
        _report(changelog.verify_feed(connection, hub.catalogue), "变动日志完整。 The change log is whole.")


def _report(findings: list[str], whole: str) -> None:
    if findings:
        print("\n".join(findings))
        raise typer.Exit(1)
    print(whole)


@contextmanager
def _text(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    with output.open("w", encoding="utf-8") as file:
        yield file
