"""Systems' keys from the command line: secrets, certificates and SSH keys, listed and revoked."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from hub.commands.verbs import Home, Json, say, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.registry.machine_identity import ApiKey
    from hub.settings import Settings

key = typer.Typer(help="系统密钥 / keys of departments' systems", no_args_is_help=True)

Organisation = Annotated[str, typer.Option("--as", help="单位代码 / organisation code")]
Title = Annotated[str, typer.Option("--title", help="用于哪个系统 / which system it is for")]
Scopes = Annotated[list[Right], typer.Option("--scope", help="权限，可多次 / a right; repeat for more")]
ExpiresOn = Annotated[
    datetime | None, typer.Option("--expires-on", formats=["%Y-%m-%d"], help="最后有效日 / last day it is good")
]
Allow = Annotated[list[str] | None, typer.Option("--allow", help="只许来自此网段 / only from this network (CIDR)")]
Name = Annotated[str, typer.Argument(help="密钥名 / its name, as hub key list shows it")]
File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="文件 / the file")]


@verb(key, Right.OPERATE, "issue")
def issue(
    organisation: Organisation,
    title: Title,
    scope: Scopes,
    expires_on: ExpiresOn = None,
    allow: Allow = None,
    home: Home = None,
) -> None:
    """发放密钥，只显示这一次。 Issue a secret key; it is printed once and kept nowhere.

    hub key issue --as labour --title 就业系统 --scope submit --scope pull-slice --allow 10.20.0.0/16
    """
    from hub.commands.opening import opened, operator
    from hub.registry.api_keys import issue_key

    with opened(home) as hub, hub.served.begin() as connection:
        issued = issue_key(
            connection,
            operator(organisation),
            organisation=organisation,
            title=title,
            scopes=scope,
            expires_at=_end_of(expires_on, hub.settings),
            allowed_addresses=allow or (),
        )
    _print_once(issued.text)


@verb(key, Right.OPERATE, "renew")
def renew(name: Name, expires_on: ExpiresOn = None, home: Home = None) -> None:
    """按原条件再发一个密钥；启用后请撤销旧的。 A second secret on the same terms; revoke the old one once it is in use."""
    from hub.commands.opening import opened, operator
    from hub.registry.api_keys import renew_key

    with opened(home) as hub, hub.served.begin() as connection:
        issued = renew_key(connection, operator("hub"), name, expires_at=_end_of(expires_on, hub.settings))
    _print_once(issued.text)


@verb(key, Right.OPERATE, "certificate")
def certificate(
    file: File,
    organisation: Organisation,
    title: Title,
    scope: Scopes,
    expires_on: ExpiresOn = None,
    allow: Allow = None,
    home: Home = None,
) -> None:
    """登记客户端证书（PEM 或 DER）。 Register a system's client certificate."""
    from hub.commands.opening import opened, operator
    from hub.registry.api_keys import register_certificate

    with opened(home) as hub, hub.served.begin() as connection:
        registered = register_certificate(
            connection,
            operator(organisation),
            organisation,
            title,
            file.read_bytes(),
            scope,
            expires_at=_end_of(expires_on, hub.settings),
            allowed_addresses=allow or (),
        )
    print(registered.name)


@verb(key, Right.OPERATE, "ssh")
def ssh(
    file: File,
    organisation: Organisation,
    title: Title,
    scope: Scopes,
    expires_on: ExpiresOn = None,
    allow: Allow = None,
    home: Home = None,
) -> None:
    """登记 SSH 公钥（.pub 文件）。 Register a system's SSH public key."""
    from hub.commands.opening import opened, operator
    from hub.registry.api_keys import register_ssh_key

    with opened(home) as hub, hub.served.begin() as connection:
        registered = register_ssh_key(
            connection,
            operator(organisation),
            organisation,
            title,
            file.read_text("utf-8", "replace"),
            scope,
            expires_at=_end_of(expires_on, hub.settings),
            allowed_addresses=allow or (),
        )
    print(registered.name)


@verb(key, Right.OPERATE, "list")
def list_all(
    organisation: Annotated[str | None, typer.Option("--as", help="单位代码 / organisation code")] = None,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """列出密钥，新的在前。 Every key, newest first; never a secret."""
    from hub.commands.opening import opened, operator
    from hub.registry.api_keys import list_keys

    with opened(home) as hub, hub.served.begin() as connection:
        keys = list_keys(connection, operator("hub"), organisation)
    told = [_describe(each) for each in keys]
    show(told) if as_json else print("\n".join("  ".join(map(str, each.values())) for each in told))


@verb(key, Right.OPERATE, "revoke")
def revoke(name: Name, home: Home = None) -> None:
    """立即撤销密钥及其令牌。 End a key now, and every token issued for it."""
    from hub.commands.opening import opened, operator
    from hub.registry.api_keys import revoke_key

    with opened(home) as hub, hub.served.begin() as connection:
        revoke_key(connection, operator("hub"), name)
    say(f"已撤销 {name}。 Revoked.")


def _print_once(text: str) -> None:
    say("请立即妥善保存，不会再次显示。 Keep it safe now: it is not shown again.")
    print(text)


def _end_of(day: datetime | None, settings: Settings) -> datetime | None:
    """Midnight after the last good day, where the district is."""
    return (day + timedelta(days=1)).replace(tzinfo=ZoneInfo(settings.time_zone)) if day else None


def _describe(one: ApiKey) -> dict[str, object]:
    from hub.database import utc_now

    state = "revoked" if one.revoked_at else "usable" if one.usable(utc_now()) else "expired"
    return {
        "name": one.name,
        "kind": one.kind,
        "organisation": one.organisation,
        "title": one.title,
        "state": state,
        "scopes": ",".join(one.scopes),
        "expires_at": one.expires_at or "",
        "allowed_addresses": ",".join(one.allowed_addresses),
        "last_used_at": one.last_used_at or "",
    }
