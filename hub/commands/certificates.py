"""Completeness certificates on the command line: issued, listed, shown, recomputed, and verified without a hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.commands.verbs import SOME_REFUSED, Home, Json, Output, say, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.sharing.certificates import Certificate, ListedCertificate

certificates = typer.Typer(help="完整性证明 / completeness certificates", no_args_is_help=True)

Number = Annotated[str, typer.Argument(help="证明编号 / the certificate's number")]


@verb(certificates, Right.OPERATE, "make")
def make(
    subscription: Annotated[str, typer.Argument(help="订阅代码 / subscription code")],
    period: Annotated[str, typer.Argument(help="月份或下发编号 / month YYYY-MM, or delivery numbers 1..500")],
    output: Output = None,
    home: Home = None,
) -> None:
    """出具并签名。 Issue and sign one.

    hub certificate make renshe-moves 2026-11 -o 证明.json
    """
    from hub.commands.opening import opened, operator
    from hub.exchange.slices import FeedContext
    from hub.sharing.certificates import issue_certificate

    with opened(home) as hub:
        context = FeedContext(hub.catalogue, hub.keyring, hub.settings.page_window)
        with hub.database.begin() as connection:
            one = issue_certificate(connection, operator("hub"), context, subscription, period, hub.settings.time_zone)
    _tell(one, output)


@verb(certificates, Right.OPERATE, "list")
def list_all(
    subscription: Annotated[str | None, typer.Option("--subscription", help="订阅代码 / subscription code")] = None,
    period: Annotated[str | None, typer.Option("--period", help="期间 / period")] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """已出具的证明，新的在前。 Those issued, the newest first."""
    from hub.commands.opening import opened, operator
    from hub.sharing.certificates import WantedCertificates, list_certificates

    wanted = WantedCertificates(code=subscription, period=period)
    with opened(home) as hub, hub.database.begin() as connection:
        found = list_certificates(connection, operator("hub"), wanted)
    if as_json:
        show([_figures(one) for one in found])
        return
    for one in found:
        print(_line(one))


@verb(certificates, Right.OPERATE, "show")
def show_one(number: Number, output: Output = None, home: Home = None) -> None:
    """查看一份证明。 Show one; -o writes the signed file."""
    from hub.commands.opening import opened, operator
    from hub.sharing.certificates import load_certificate

    with opened(home) as hub, hub.database.begin() as connection:
        one = load_certificate(connection, operator("hub"), number)
    _tell(one, output)


@verb(certificates, Right.OPERATE, "recompute")
def recompute(number: Number, home: Home = None) -> None:
    """按变动日志重新计算，看数字是否一致。 Whether the same figures come out of the log now."""
    from hub.commands.opening import opened, operator
    from hub.exchange.slices import FeedContext
    from hub.sharing.certificates import recompute_certificate

    with opened(home) as hub:
        context = FeedContext(hub.catalogue, hub.keyring, hub.settings.page_window)
        with hub.database.begin() as connection:
            found = recompute_certificate(connection, operator("hub"), context, number)
    if not found.same:
        print("\n".join(found.differences))
        raise typer.Exit(SOME_REFUSED)
    print("数字一致。 The same figures.")


@verb(certificates, Right.PUBLIC, "verify")
def verify(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="证明文件 / the certificate")],
    keys: Annotated[Path, typer.Option("--keys", exists=True, dir_okay=False, help="public_keys.json")],
    copy: Annotated[
        Path | None, typer.Option("--copy", exists=True, dir_okay=False, help="本单位所存变动 / stored changes, NDJSON")
    ] = None,
) -> None:
    """离线验证签名与数字；--copy 再核对本单位所存内容。 Offline: signature and sums; with --copy one's own copy too."""
    from hub.keyring import read_public_keys
    from hub.sharing.certificate_proof import compare_copy, wrong_in_certificate

    content = _read(file)
    if wrong := wrong_in_certificate(content, read_public_keys(keys)):
        print("\n".join(wrong))
        raise typer.Exit(SOME_REFUSED)
    print(f"签名有效，数字相符。 The signature holds and the figures add up. {content['statement']}")
    if copy is None:
        return
    with copy.open(encoding="utf-8") as lines:
        verdict = compare_copy(content, lines)
    show(verdict_told := {**_plain(verdict), "whole": verdict.whole})
    raise typer.Exit(0 if verdict_told["whole"] else SOME_REFUSED)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text("utf-8"))
    except ValueError:
        content = None
    return content if isinstance(content, dict) else {}


def _plain(told: object) -> dict[str, Any]:
    import msgspec

    return dict(msgspec.to_builtins(told))


def _tell(one: Certificate, output: Path | None) -> None:
    if output is not None:
        output.write_text(json.dumps(one.content, ensure_ascii=False, indent=1), "utf-8")
    print(_line(one))
    for gap in one.content["open"]:
        print(f"  {gap['first']}..{gap['last']} {gap['why']} ({gap['count']})")
    say(str(one.content["statement"]))


def _figures(one: ListedCertificate) -> dict[str, Any]:
    return {name: value for name, value in _plain(one).items() if name != "content"} | {"gap": one.gap}


def _line(one: ListedCertificate) -> str:
    closed = "已闭合 closed" if one.closed else "未闭合 open"
    return (
        f"{one.certificate_no}  {one.subscription}  {one.period}  {closed}  应发 expected {one.expected}"
        f"  已发 sent {one.sent}  已取 fetched {one.fetched}  已签收 acknowledged {one.acknowledged}"
    )
