"""Running the hub: all of it, or one part alone."""

from __future__ import annotations

import logging
from contextlib import suppress
from types import FrameType
from typing import Annotated

import typer

from hub.commands.verbs import CANNOT_WORK, Home, Json, say, show, verb
from hub.registry.permissions import Right

running = typer.Typer()
_LAST_ANSWERS_SECONDS = 8  # for answers under way; a slow reader does not hold a stop up


@verb(running, Right.OPERATE, "up")
def up(home: Home = None) -> None:
    """运行整个枢纽（Ctrl-C 结束）。 Run the whole hub: database, serve, work, watch, sftp. Ctrl-C ends it."""
    from hub.commands.tree import run_tree

    _log_events()
    run_tree(home)


@verb(running, Right.OPERATE, "serve")
def serve(home: Home = None) -> None:
    """只运行网页与接口。 Only the panel and the API."""
    import uvicorn

    from hub.api.waiting import let_waiting_go
    from hub.app import create_app, settle
    from hub.commands.opening import opened

    class LettingGo(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            let_waiting_go()
            super().handle_exit(sig, frame)

    _log_events()
    with opened(home) as hub:
        config = uvicorn.Config(
            create_app(hub.settings, hub.served, hub.catalogue, hub.keyring, hub.audit_database),
            host=hub.settings.host,
            port=hub.settings.port,
            log_level="warning",
            server_header=False,
            proxy_headers=False,  # hub.origins alone decides who is believed
            forwarded_allow_ips="",
            timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
        )
        server = LettingGo(config)
        settle()
        with suppress(KeyboardInterrupt):
            server.run()
    if not server.started:
        raise typer.Exit(CANNOT_WORK)


@verb(running, Right.OPERATE, "work")
def work(
    home: Home = None,
    once: Annotated[bool, typer.Option("--once", help="做完现有任务即结束 / end when nothing is left to do")] = False,
) -> None:
    """只处理任务。 Only the jobs."""
    from hub import jobs
    from hub.commands.opening import opened

    _log_events()
    with opened(home) as hub:
        jobs.sweep(hub.database)
        jobs.work(hub.database, hub.settings, wait=not once)


@verb(running, Right.OPERATE, "watch")
def watch(home: Home = None) -> None:
    """只看投递文件夹。 Only the drop folders."""
    from drops.scan import Drops
    from drops.watcher import watch as keep_watching
    from hub.commands.opening import opened

    _log_events()
    with opened(home) as hub:
        keep_watching(Drops(hub.database, hub.settings, hub.catalogue))


@verb(running, Right.OPERATE, "sftp")
def sftp(
    fingerprint: Annotated[
        bool, typer.Option("--fingerprint", help="只显示主机密钥指纹 / only show the host key's fingerprint")
    ] = False,
    home: Home = None,
) -> None:
    """只运行 SFTP 服务。 Only the SFTP door."""
    from drops.sftp import service as door
    from hub.commands.opening import opened, usable_settings

    if fingerprint:
        print(door.fingerprint(usable_settings(home)))
        return
    _log_events()
    with opened(home) as hub:
        door.serve(hub.database, hub.served, hub.settings, hub.catalogue)


@verb(running, Right.OPERATE, "demo")
def demo(
    people: Annotated[int, typer.Option("--people", help="人口数 / how many people")] = 50_000,
    once: Annotated[bool, typer.Option("--once", help="打印结果后结束 / print the summary and end")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """虚构的区已在运行。 A fictitious district already at work."""
    from hub.commands.tree import run_demo

    _log_events()
    run_demo(home, people=people, once=once, as_json=as_json)


@verb(running, Right.OPERATE, "migrate")
def migrate(home: Home = None) -> None:
    """更新数据库结构。 Bring the database's structure up to date."""
    from hub.commands.opening import located
    from hub.commands.opening import migrate as bring_up_to_date
    from mappings.catalogue import load_catalogue

    with located(home) as settings:
        catalogue = load_catalogue()
        bring_up_to_date(settings, catalogue)
    say("数据库结构已是最新。 The schema is current.")


@verb(running, Right.PUBLIC, "check-mappings")
def check_mappings(as_json: Json = False) -> None:
    """检查 mappings 下的全部文件。 Check every file under mappings/."""
    from mappings.catalogue import CatalogueError, load_catalogue

    try:
        catalogue = load_catalogue()
    except CatalogueError as wrong:
        say(str(wrong))
        raise typer.Exit(2) from None
    counts = {
        "record_types": len(catalogue.record_types),
        "code_sets": len(catalogue.code_sets),
        "mappings": len(catalogue.mappings),
        "row_errors": len(catalogue.row_errors),
        "version": catalogue.version,
    }
    show(counts) if as_json else print("\n".join(f"{name:14}{count}" for name, count in counts.items()))


def _log_events() -> None:
    from hub.commands.logging import log_to_stderr

    log_to_stderr(logging.INFO)
