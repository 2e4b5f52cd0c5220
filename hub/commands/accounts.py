"""People's accounts from the machine itself: the first administrators of a hub, and help when nobody can sign in."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hub.commands.verbs import Home, Json, say, show, verb
from hub.errors import BadRequest
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from hub.commands.opening import Opened
    from hub.registry.accounts import Account
    from hub.registry.permissions import Actor

account = typer.Typer(help="人员账号 / people's accounts", no_args_is_help=True)

Login = Annotated[str, typer.Argument(help="登录名 / login")]
Roles = Annotated[list[str], typer.Option("--role", help="角色，可多次 / a role; repeat for more")]
AskPassword = Annotated[
    bool,
    typer.Option("--ask-password", help="提示输入密码（或读标准输入一行） / prompt for it, or read one line of stdin"),
]
Act = Callable[["Connection", "Actor"], None]


@verb(account, Right.OPERATE, "open")
def open_one(
    login: Login,
    name: Annotated[str, typer.Option("--name", help="姓名 / the person's name")],
    organisation: Annotated[str, typer.Option("--as", help="单位代码 / organisation code")],
    role: Roles,
    organisation_name: Annotated[
        str, typer.Option("--organisation-name", help="单位尚未登记时：其名称 / enter the organisation under this name")
    ] = "",
    organisation_kind: Annotated[
        str, typer.Option("--organisation-kind", help="新单位的类别 / kind of the new organisation")
    ] = "bureau",
    ask_password: AskPassword = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """开户；一次性密码只显示这一次。 Open an account; its one-time password is printed once.

    新建枢纽的第一个安全管理员、系统管理员在本机开户，以后由他们在网页上申请和审批：
    The first administrators of a fresh hub are opened here; afterwards they ask and confirm on the pages:

    hub account open anquan --name 安某 --as bureau --organisation-name 区人口局 --role security_administrator

    hub account open xitong --name 席某 --as bureau --role system_administrator
    """
    from hub.commands.opening import opened, operator
    from hub.registry.accounts import create_account
    from hub.registry.passwords import new_password

    with opened(home) as hub, hub.served.begin() as connection:
        actor, policy = operator("hub"), hub.settings.accounts
        if organisation_name:
            _enter_organisation(hub, connection, organisation, organisation_name, organisation_kind)
        typed = _typed_password() if ask_password else ""
        password = typed or new_password(policy, role, login, (name, organisation))
        create_account(
            connection, actor, login=login, name=name, organisation=organisation, roles=role, password=password,
            policy=policy,
        )  # fmt: skip
    _tell(login, "" if typed else password, as_json)


@verb(account, Right.OPERATE, "list")
def list_all(
    organisation: Annotated[str, typer.Option("--as", help="单位代码 / organisation code")] = "",
    role: Annotated[str, typer.Option("--role", help="角色 / role")] = "",
    state: Annotated[str, typer.Option("--state", help="usable locked disabled closed")] = "",
    as_json: Json = False,
    home: Home = None,
) -> None:
    """列出账号。 Accounts, by login; never a secret."""
    from hub.commands.opening import opened, operator
    from hub.registry.account_list import Wanted, list_accounts

    wanted = Wanted(organisation=organisation, role=role, state=state)
    with opened(home) as hub, hub.served.begin() as connection:
        told = [_describe(each) for each in list_accounts(connection, operator("hub"), wanted)]
    show(told) if as_json else print("\n".join("  ".join(map(str, each.values())) for each in told))


@verb(account, Right.OPERATE, "roles")
def roles(login: Login, role: Roles, as_json: Json = False, home: Home = None) -> None:
    """更改角色；其会话随即结束。 Other roles for an account; its sessions end."""
    from hub.registry.accounts import set_roles

    _do(home, login, as_json, lambda connection, actor: set_roles(connection, actor, login, role))


@verb(account, Right.OPERATE, "disable")
def disable(login: Login, as_json: Json = False, home: Home = None) -> None:
    """停用账号。 Shut an account out at once."""
    from hub.registry.accounts import set_disabled

    _do(home, login, as_json, lambda connection, actor: set_disabled(connection, actor, login, True))


@verb(account, Right.OPERATE, "enable")
def enable(login: Login, as_json: Json = False, home: Home = None) -> None:
    """启用账号。 Let an account in again."""
    from hub.registry.accounts import set_disabled

    _do(home, login, as_json, lambda connection, actor: set_disabled(connection, actor, login, False))


@verb(account, Right.OPERATE, "close")
def close(
    login: Login,
    confirmation: Annotated[str, typer.Option("--confirm", help="再写一次登录名 / the login again")] = "",
    as_json: Json = False,
    home: Home = None,
) -> None:
    """注销账号（人员离职），不可恢复。 Close an account for good; its login stays reserved."""
    from hub.registry.accounts import close_account

    if (confirmation or typer.prompt("再输入登录名以确认 / type the login to confirm", err=True)) != login:
        raise BadRequest(f"{login} 没有注销：登录名不一致。 Not closed: that is not its login.")
    _do(home, login, as_json, lambda connection, actor: close_account(connection, actor, login))


@verb(account, Right.OPERATE, "unlock")
def unlock(login: Login, as_json: Json = False, home: Home = None) -> None:
    """解除锁定。 Lift the lock after too many wrong passwords."""
    from hub.registry.accounts import unlock_account

    _do(home, login, as_json, lambda connection, actor: unlock_account(connection, actor, login))


@verb(account, Right.OPERATE, "reset-password")
def reset_password(login: Login, ask_password: AskPassword = False, as_json: Json = False, home: Home = None) -> None:
    """重置密码；一次性密码只显示这一次。 Another password, to be changed at the next sign-in; printed once."""
    from hub.commands.opening import opened, operator
    from hub.registry import accounts

    with opened(home) as hub, hub.served.begin() as connection:
        actor, policy, made = operator("hub"), hub.settings.accounts, ""
        if ask_password:
            accounts.reset_password(connection, actor, login, _typed_password(), policy=policy)
        else:
            made = accounts.give_new_password(connection, actor, login, policy)
    _tell(login, made, as_json)


@verb(account, Right.OPERATE, "reset-second-factor")
def reset_second_factor(login: Login, as_json: Json = False, home: Home = None) -> None:
    """重置第二步验证。 Forget a lost second factor; it is enrolled anew at the next sign-in."""
    from hub.registry.accounts import reset_second_factor as forget

    _do(home, login, as_json, lambda connection, actor: forget(connection, actor, login))


@verb(account, Right.OPERATE, "end-sessions")
def end_sessions(login: Login, as_json: Json = False, home: Home = None) -> None:
    """结束其全部会话。 Sign somebody out everywhere."""
    from hub.registry.accounts import end_sessions as end

    _do(home, login, as_json, lambda connection, actor: end(connection, actor, login))


def _do(home: Path | None, login: str, as_json: bool, act: Act) -> None:
    from hub.commands.opening import opened, operator
    from hub.registry.accounts import load_account

    with opened(home) as hub, hub.served.begin() as connection:
        act(connection, operator("hub"))
        told = _describe(load_account(connection, login))
    show(told) if as_json else say(f"{login}：已完成，现为 {told['state']}。 Done, now {told['state']}.")


def _enter_organisation(hub: Opened, connection: Connection, code: str, name: str, kind: str) -> None:
    """The first account needs an organisation before there is anybody to ask for one; a known one stays as it is."""
    import msgspec

    from hub.commands.opening import operator
    from hub.registry.organisations import Organisation, find_organisation, save_organisation

    if find_organisation(connection, code) is not None:
        return
    try:
        one = msgspec.convert(
            {"code": code, "district": hub.settings.district, "name": name, "kind": kind}, Organisation
        )
    except msgspec.ValidationError as wrong:
        raise BadRequest(f"{kind}：没有这种单位类别。 No such kind of organisation.") from wrong
    save_organisation(connection, operator("hub"), one)


def _typed_password() -> str:
    """Typed twice without echo, or one line of standard input: never on the command line, where others see it."""
    if sys.stdin.isatty():
        return str(typer.prompt("密码 / password", hide_input=True, confirmation_prompt=True, err=True))
    typed = sys.stdin.readline().rstrip("\r\n")
    if not typed:
        raise BadRequest("标准输入没有密码。 No password on standard input.")
    return typed


def _tell(login: str, password: str, as_json: bool) -> None:
    """Login and, if it was made here, the password: the one time it is shown."""
    if password:
        say("请立即妥善交给本人，不会再次显示。 Hand it over safely now: it is not shown again.")
    if as_json:
        show({"login": login, "password": password or None})
    else:
        print(password or login)


def _describe(its: Account) -> dict[str, object]:
    from hub.database import utc_now
    from hub.registry.account_list import state_of

    return {
        "login": its.login,
        "name": its.name,
        "organisation": its.organisation,
        "roles": ",".join(its.roles),
        "state": state_of(its, utc_now()),
        "second_factor": its.has_second_factor,
        "must_change_password": its.must_change_password,
        "locked_until": its.locked_until or "",
        "last_signed_in_at": its.last_signed_in_at or "",
    }
