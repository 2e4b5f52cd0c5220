"""Channels from the command line: run them all, try one, see how they stand, check what is declared."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from hub.commands.verbs import Home, Json, say, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.channels.loop import Channels, Shown

channels = typer.Typer(help="通道 / wires to departments' servers and interfaces", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="通道名，即其文件名 / its name: the name of its file")]


@verb(channels, Right.OPERATE, "run")
def run(home: Home = None) -> None:
    """按时运行全部通道（Ctrl-C 结束）。 Run every channel when it is due; Ctrl-C ends it."""
    import signal
    import threading

    from hub.channels.loop import keep_running
    from hub.commands.logging import log_to_stderr

    log_to_stderr(logging.INFO)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with _opened(home) as all_channels:
        keep_running(all_channels, stop)


@verb(channels, Right.OPERATE, "try")
def try_one(name: Name, home: Home = None, as_json: Json = False) -> None:
    """立即运行一次并说明做了什么。 One run now, and what it did."""
    with _opened(home) as all_channels:
        ran = all_channels.run_once(name)
    if as_json:
        show(msgspec.to_builtins(ran))
        return
    print(f"{name}: {ran.taken} 项 taken, {ran.waiting} 项待下次 waiting")
    for receipt in ran.receipts:
        print(receipt)


@verb(channels, Right.OPERATE, "status")
def status(home: Home = None, as_json: Json = False) -> None:
    """各通道的状态。 How every channel stands."""
    with _opened(home) as all_channels:
        shown = all_channels.describe()
    show([msgspec.to_builtins(one) for one in shown]) if as_json else print("\n".join(map(_line, shown)))


@verb(channels, Right.OPERATE, "check")
def check(home: Home = None) -> None:
    """只检查声明文件，不连接任何机器。 Check the declarations alone; no machine is called."""
    from hub.channels.declarations import load_channels
    from hub.commands.opening import usable_settings
    from mappings.catalogue import load_catalogue

    declared = load_channels(usable_settings(home), load_catalogue())
    print("\n".join(f"{name:24}{channel.kind:14}{channel.organisation}" for name, channel in declared.items()))
    say(f"{len(declared)} 个通道，声明无误。 {len(declared)} channels, nothing wrong.")


@verb(channels, Right.OPERATE, "enable")
def enable(name: Name, home: Home = None) -> None:
    """重新启用被对方停用（410）的通道，并从头计失败次数。 Let a channel the other side ended work again."""
    from hub.channels.state import enable as enable_channel
    from hub.commands.opening import operator
    from hub.errors import NotFound

    with _opened(home) as all_channels:
        if name not in all_channels.declared:
            raise NotFound(name)
        with all_channels.tools.database.begin() as connection:
            enable_channel(connection, operator("hub"), name)
    say(f"已启用 {name}。 Enabled.")


@contextmanager
def _opened(home: Path | None) -> Iterator[Channels]:
    from hub.channels.declarations import load_channels
    from hub.channels.loop import Channels
    from hub.channels.run import Tools
    from hub.commands.opening import opened

    with opened(home) as hub:
        tools = Tools(database=hub.database, settings=hub.settings, catalogue=hub.catalogue, keyring=hub.keyring)
        yield Channels(tools, load_channels(hub.settings, hub.catalogue))


def _line(one: Shown) -> str:
    last = one.last_succeeded_at.isoformat(timespec="seconds") if one.last_succeeded_at else "-"
    return f"{one.channel:24}{one.kind:14}{one.organisation:18}{one.state:10}{last:27}{one.failure}"
