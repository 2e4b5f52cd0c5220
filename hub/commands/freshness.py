"""Freshness and corrections from the command line: what stands still, what is not acknowledged."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.commands.verbs import Home, Json, show, verb
from hub.registry.permissions import Right

freshness = typer.Typer()


@verb(freshness, Right.OPERATE, "freshness")
def read(as_json: Json = False, home: Home = None) -> None:
    """共享时效：待取变动、数源单位、通道、告警。 What waits for whom, silent sources, channels, open alarms."""
    import msgspec

    from hub.commands.opening import opened, operator
    from hub.database import utc_now
    from hub.sharing.freshness_reading import read_freshness

    with opened(home) as hub, hub.database.begin() as connection:
        found = read_freshness(connection, operator("hub"), hub.settings, hub.catalogue, utc_now())
    if as_json:
        show(msgspec.to_builtins(found))
        return
    for alarm in found.alarms:
        print(f"! {alarm.kind} {alarm.about} {alarm.since:%Y-%m-%d %H:%M}")
    for lag in found.lags:
        print(f"{lag.code} {lag.organisation}: {lag.waiting}{'+' if lag.more else ''} {lag.oldest_at or '-'}")
    for one in found.channels:
        print(f"{one.name} {one.organisation}: {one.last_succeeded_at or '-'} ({one.failures})")
    for source in found.sources:
        print(f"{source.organisation} {source.record_type}: {source.last_at or '-'} {'!' if source.silent else ''}")


@verb(freshness, Right.OPERATE, "corrections")
def list_corrections(
    older_than: Annotated[int, typer.Option("--older-than", min=0, help="工作日 / working days")] = 10,
    seq: Annotated[int | None, typer.Option("--seq", help="只看这一变动 / one change of the log")] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """超过若干工作日未全部签收的更正，或一项更正的各接收单位。 Corrections not acknowledged by all who had the old value.

    hub corrections --older-than 5
    """
    import msgspec

    from hub.commands.opening import opened
    from hub.database import utc_now
    from hub.sharing.correction_log import load_corrections
    from hub.sharing.correction_watch import open_corrections
    from hub.sharing.corrections import fan_out

    with opened(home) as hub, hub.database.begin() as connection:
        if seq is None:
            found = open_corrections(connection, hub.settings, hub.catalogue, utc_now(), older_than)
        else:
            found = fan_out(connection, hub.catalogue, load_corrections(connection, hub.catalogue, [seq]))
    if as_json:
        show(msgspec.to_builtins(found))
        return
    for one in found:
        print(f"{one.correction.seq} {one.correction.record_type} {one.correction.op} {one.correction.recorded_at}")
        for each in one.receivers:
            print(f"  {each.code} {each.organisation} {each.export_no} {each.state} {each.acknowledged_at or ''}")
