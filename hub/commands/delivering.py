"""What was delivered under a subscription, the same pages again, and numbered files for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.commands.verbs import Home, Output, say, show, verb
from hub.registry.permissions import Right

delivering = typer.Typer()

Subscription = Annotated[str, typer.Argument(help="订阅代码 / subscription code")]
First = Annotated[int | None, typer.Option("--from", min=1, help="首号 / first delivery number")]
Last = Annotated[int | None, typer.Option("--to", min=1, help="末号 / last delivery number")]
Form = Annotated[str, typer.Option("--format", help="ndjson | csv | xlsx")]


@verb(delivering, Right.OPERATE, "deliveries")
def deliveries(
    subscription: Subscription,
    first: First = None,
    last: Last = None,
    form: Form = "ndjson",
    output: Output = None,
    home: Home = None,
) -> None:
    """下发记录；给出首末号则按原样重放。 What was delivered, newest first; with --from and --to the same changes again."""
    from hub.commands.opening import opened
    from hub.commands.tables import write_changes

    with opened(home) as hub:
        if first is None and last is None:
            show(_listed(hub, subscription))
            return
        write_changes(_replayed(hub, subscription, first or last or 1, last or first or 1), form, output)


@verb(delivering, Right.OPERATE, "export")
def export(
    subscription: Subscription,
    output: Annotated[Path, typer.Option("-o", "--output", help="写入文件 / write to this file")],
    whole: Annotated[bool, typer.Option("--whole", help="全量 / the slice as it stands now")] = False,
    first: First = None,
    last: Last = None,
    form: Form = "xlsx",
    home: Home = None,
) -> None:
    """生成有编号的导出文件：全量，或上次以来的变动。 A numbered file for people: the whole slice, or what is new since the last."""
    from hub.commands.opening import opened, operator
    from hub.errors import BadRequest
    from hub.sharing.export_workbook import FORMS
    from hub.sharing.exports import Wish, make_export

    wanted = next((one for one in FORMS if one == form), None)
    if wanted is None:
        raise BadRequest(f"--format {form}: ndjson | csv | xlsx")
    wish = Wish(form=wanted, whole=whole, from_delivery_no=first or last, to_delivery_no=last or first)
    with opened(home) as hub:
        taken = make_export(
            hub.database, hub.settings, hub.catalogue, hub.keyring, operator("hub"), subscription, wish, output
        )
    show({"export_no": taken.export.export_no, "rows": taken.export.rows, "digest": taken.export.digest})
    if taken.more:
        say("还有更多变动，请再次导出。 There is more: export again.")


def _listed(hub: Any, code: str) -> list[dict[str, Any]]:
    import msgspec

    from hub.commands.opening import operator
    from hub.exchange.redelivery import list_deliveries, load_own
    from hub.exchange.slices import current_epoch

    with hub.database.begin() as connection:
        own = load_own(connection, operator("hub"), code)
        found = list_deliveries(connection, own, current_epoch(connection, own), limit=1_000)
    return [msgspec.to_builtins(one) | {"last_delivery_no": one.last_delivery_no} for one in found]


def _replayed(hub: Any, code: str, first: int, last: int) -> list[dict[str, Any]]:
    from hub.commands.opening import operator
    from hub.exchange.redelivery import replay_pages
    from hub.exchange.slices import FeedContext

    context, changes, rest = FeedContext(hub.catalogue, hub.keyring, hub.settings.page_window), [], first
    while True:
        with hub.database.begin() as connection:
            replayed = replay_pages(connection, operator("hub"), context, code, rest, last)
        for page in replayed.pages:
            changes += json.loads(f"[{page.changes}]")
        if replayed.rest is None:
            return changes
        rest = replayed.rest
