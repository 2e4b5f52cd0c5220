"""Requests for slices and subscriptions from the command line: asked from a TOML file, answered, stopped, looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import typer

from hub.commands.verbs import Home, Json, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from hub.commands.opening import Opened
    from hub.registry.permissions import Actor
    from hub.sharing.request_list import ListedRequest
    from hub.sharing.requests import LicenceRequest

licence = typer.Typer(help="订阅申请。 Requests for slices.", no_args_is_help=True)
subscription = typer.Typer(help="订阅。 Subscriptions.", no_args_is_help=True)

Organisation = Annotated[str, typer.Option("--as", help="单位代码 / organisation code")]
Oversight = Annotated[str, typer.Option("--as", help="单位代码 / organisation code")]
Provider = Annotated[str, typer.Option("--provider", help="提供单位代码 / provider's code")]
Number = Annotated[str, typer.Argument(help="申请编号 SQ… / request number")]
Code = Annotated[str, typer.Argument(help="订阅代码 / subscription code")]
Reason = Annotated[str, typer.Option("--reason", help="理由 / why")]
_HUB = "hub"
Done = TypeVar("Done")


@verb(licence, Right.OPERATE, "list")
def list_all(
    organisation: Organisation = _HUB,
    state: Annotated[str, typer.Option("--state", help="draft incomplete submitted approved refused withdrawn")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 100,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """订阅申请与答复期限；不指明单位时为全部。 Requests with their days; of every organisation unless one is named."""
    from msgspec import to_builtins

    from hub.commands.opening import opened, operator
    from hub.database import utc_now
    from hub.sharing.request_list import list_requests

    with opened(home) as hub, hub.database.begin() as connection:
        found = list_requests(connection, hub.settings, operator(organisation), utc_now(), state=state, limit=limit)
    if as_json:
        show(to_builtins(found))
        return
    for one in found:
        print(_line(one))


@verb(licence, Right.OPERATE, "show")
def show_one(number: Number, organisation: Organisation = _HUB, home: Home = None) -> None:
    """一件申请的全部内容与答复。 One request with everything said about it, as JSON."""
    from msgspec import to_builtins

    from hub.commands.opening import opened, operator
    from hub.database import utc_now
    from hub.sharing.request_list import show_request

    with opened(home) as hub, hub.database.begin() as connection:
        actor, request_id = operator(organisation), _id_of(connection, number)
        shown = show_request(connection, hub.settings, hub.catalogue, actor, request_id, utc_now())
    show(to_builtins(shown))


@verb(licence, Right.OPERATE, "ask")
def ask(
    file: Annotated[Path, typer.Argument(help="申请内容（TOML） / what is asked for", exists=True, dir_okay=False)],
    organisation: Organisation,
    draft: Annotated[bool, typer.Option("--draft", help="只存草稿 / keep it as a draft")] = False,
    home: Home = None,
) -> None:
    """提出申请：kind、code 与各项内容见文档。 Ask for a slice; the file names kind, code, the terms and the definition.

    hub licence ask moves.toml --as health
    """
    from hub.database import utc_now
    from hub.sharing.requests import draft_request, submit_request

    written = _read_toml(file)
    kind, code = str(written.pop("kind", "new")), str(written.pop("code", ""))

    def act(hub: Opened, connection: Connection, actor: Actor) -> LicenceRequest:
        made = draft_request(connection, hub.settings, hub.catalogue, actor, kind, code, written, utc_now())
        if draft:
            return made
        return submit_request(connection, hub.settings, hub.catalogue, actor, made.request_id, utc_now())

    asked = _worked(home, organisation, act)
    print(f"{asked.request_no}  {asked.state}  {asked.subscription_code}")
    for line in asked.missing:
        print(f"  {line}")


@verb(licence, Right.OPERATE, "answer")
def answer(
    number: Number,
    organisation: Organisation,
    outcome: Annotated[str, typer.Option("--outcome", help="approved refused")],
    reason: Reason = "",
    home: Home = None,
) -> None:
    """由提供单位答复；全部同意后订阅即时生效。 A provider answers; when all have approved the slice is in force."""
    from hub.database import utc_now
    from hub.sharing.answers import answer_request

    def act(hub: Opened, connection: Connection, actor: Actor) -> LicenceRequest:
        request_id = _id_of(connection, number)
        return answer_request(
            connection, hub.settings, hub.catalogue, actor, request_id, outcome, reason, utc_now()  # type: ignore[arg-type]
        )  # fmt: skip

    done = _worked(home, organisation, act)
    print(f"{done.request_no}  {done.state}  {done.subscription_code}")


@verb(licence, Right.OPERATE, "withdraw")
def withdraw(number: Number, organisation: Organisation, home: Home = None) -> None:
    """由申请单位撤回，没有答复完毕以前都可以。 Who asked takes the request back, as long as it is not decided."""
    from hub.database import utc_now
    from hub.sharing.requests import withdraw_request

    done = _worked(home, organisation, lambda hub, connection, actor: withdraw_request(
        connection, actor, _id_of(connection, number), utc_now()
    ))  # fmt: skip
    print(f"{done.request_no}  {done.state}")


@verb(licence, Right.OPERATE, "extension")
def extension(
    number: Number,
    organisation: Organisation,
    days: Annotated[int, typer.Option("--days", min=1, max=10, help="工作日数 / working days more")],
    reason: Reason,
    home: Home = None,
) -> None:
    """提供单位在期限内申请延长，最多 10 个工作日，区局同意后生效（条例第二十一条）。 A provider asks for more days.

    hub licence extension SQ… --as public_security --days 5 --reason 涉及历史数据整理，需逐条核对
    """
    from hub.database import utc_now
    from hub.sharing.answers import ask_extension

    asked = _worked(home, organisation, lambda hub, connection, actor: ask_extension(
        connection, hub.settings, actor, _id_of(connection, number), days, reason, utc_now()
    ))  # fmt: skip
    print(f"{asked.provider}  +{asked.extension_days}  {asked.reply_by}")


@verb(licence, Right.OPERATE, "consent")
def consent(number: Number, provider: Provider, organisation: Oversight = "bureau", home: Home = None) -> None:
    """区局同意延期，申请单位即得通知。 The bureau consents to more days; whoever asked for the slice is told."""
    from hub.database import utc_now
    from hub.sharing.answers import consent_to_extension

    done = _worked(home, organisation, lambda hub, connection, actor: consent_to_extension(
        connection, hub.settings, actor, _id_of(connection, number), provider, utc_now()
    ))  # fmt: skip
    print(f"{done.provider}  +{done.extension_days}  {done.reply_by}")


@verb(licence, Right.OPERATE, "remind")
def remind(number: Number, organisation: Oversight = "bureau", home: Home = None) -> None:
    """催办没有答复的提供单位，每天至多一次。 Remind the providers that have not answered, once a day at most."""
    from hub.database import utc_now
    from hub.sharing.answers import remind_providers

    print(_worked(home, organisation, lambda hub, connection, actor: remind_providers(
        connection, hub.settings, actor, _id_of(connection, number), utc_now()
    )))  # fmt: skip


@verb(licence, Right.OPERATE, "escalate")
def escalate(
    number: Number,
    level: Annotated[
        int, typer.Option("--level", min=1, max=3, help="1 区局 bureau 2 共同上级 superior 3 政府 government")
    ],
    reason: Reason,
    organisation: Oversight = "bureau",
    home: Home = None,
) -> None:
    """提请协调，逐级上报（条例第二十八条）；申请单位只能提请区局。 Bring it higher, one level after the other."""
    from hub.sharing.requests import escalate_request

    done = _worked(home, organisation, lambda hub, connection, actor: escalate_request(
        connection, actor, _id_of(connection, number), level, reason
    ))  # fmt: skip
    print(f"{done.request_no}  {done.state}  {done.level}")


@verb(licence, Right.OPERATE, "send-back")
def give_back(
    number: Number, provider: Provider, reason: Reason, organisation: Oversight = "bureau", home: Home = None
) -> None:
    """区局把不同意的答复退回提供单位重新答复，期限重新起算。 The bureau has a provider judge its refusal anew."""
    from hub.database import utc_now
    from hub.sharing.answers import send_back

    done = _worked(home, organisation, lambda hub, connection, actor: send_back(
        connection, hub.settings, actor, _id_of(connection, number), provider, reason, utc_now()
    ))  # fmt: skip
    print(f"{done.request_no}  {done.state}")


@verb(licence, Right.OPERATE, "suspend")
def suspend(code: Code, reason: Reason, organisation: Oversight = "bureau", home: Home = None) -> None:
    """暂停订阅，立即停止下发。 Suspend a subscription: nothing is delivered from now on."""
    _live(code, "suspend", reason, organisation, home)


@verb(licence, Right.OPERATE, "resume")
def resume(code: Code, reason: Reason, organisation: Oversight = "bureau", home: Home = None) -> None:
    """恢复订阅。 Resume a subscription."""
    _live(code, "resume", reason, organisation, home)


@verb(licence, Right.OPERATE, "end")
def end(code: Code, reason: Reason, organisation: Oversight = "bureau", home: Home = None) -> None:
    """终止订阅，不能恢复。 End a subscription, for good."""
    _live(code, "end", reason, organisation, home)


@verb(licence, Right.OPERATE, "watch")
def watch(home: Home = None) -> None:
    """到期、逾期的立即检查并发出提醒；平时由枢纽自动进行。 Look now at what is due; the hub does it by itself."""
    from hub.commands.opening import opened
    from hub.database import utc_now
    from hub.sharing.terms_watch import make_licence_notices

    with opened(home) as hub, hub.database.begin() as connection:
        print(make_licence_notices(connection, hub.settings, utc_now()))


@verb(subscription, Right.OPERATE, "list")
def list_subscribed(as_json: Json = False, home: Home = None) -> None:
    """全部订阅。 Every subscription, with its state and time limit."""
    from sqlalchemy import true

    from hub.commands.opening import opened
    from hub.registry.subscriptions import list_subscriptions

    with opened(home) as hub, hub.database.begin() as connection:
        found = list_subscriptions(connection, true())
    if as_json:
        show([_described(one) for one in found])
        return
    for one in found:
        print(f"{one.code}  {one.organisation}  {one.state}  v{one.version}  {one.expires_on or '-'}  {one.title}")


@verb(subscription, Right.OPERATE, "show")
def show_subscribed(code: Code, home: Home = None) -> None:
    """一个订阅的内容和经过。 One subscription and what happened to it, as JSON."""
    from msgspec import to_builtins

    from hub.commands.opening import opened
    from hub.registry.subscriptions import load_subscription
    from hub.sharing.subscription_life import events_of

    with opened(home) as hub, hub.database.begin() as connection:
        known = load_subscription(connection, code)
        life = events_of(connection, known.subscription_id)
    show(_described(known) | {"events": to_builtins(life)})


def _described(one: object) -> dict[str, Any]:
    from msgspec import to_builtins

    described: dict[str, Any] = to_builtins(one)
    return described


def _live(code: str, act: str, reason: str, organisation: str, home: Path | None) -> None:
    from hub.commands.opening import opened, operator
    from hub.sharing.subscription_life import work_subscription

    with opened(home) as hub, hub.database.begin() as connection:
        known = work_subscription(connection, operator(organisation), code, act, reason)
    print(f"{known.code}  {known.state}")


def _worked(home: Path | None, organisation: str, act: Callable[[Opened, Connection, Actor], Done]) -> Done:
    from hub.commands.opening import opened, operator

    with opened(home) as hub, hub.database.begin() as connection:
        return act(hub, connection, operator(organisation))


def _id_of(connection: Connection, number: str) -> UUID:
    from sqlalchemy import select

    from hub.errors import NotFound
    from hub.sharing.licence import read_request_number
    from hub.tables import licence_request

    its = licence_request.c
    known = read_request_number(number) or ""
    found = connection.execute(select(its.request_id).where(its.request_no == known)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"没有申请 {number[:40]}，请核对编号。 No request {number[:40]}: check the number.")
    return UUID(str(found))


def _read_toml(file: Path) -> dict[str, Any]:
    import tomllib

    from hub.errors import BadRequest

    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise BadRequest(f"{file.name} 不是 TOML：{wrong}。 {file.name} is no TOML file: {wrong}.") from wrong


def _line(one: ListedRequest) -> str:
    its = one.request
    clocks = "、".join(f"{each.provider} {each.state if each.left is None else each.left}" for each in one.clocks)
    return f"{its.request_no}  {its.kind}  {its.organisation}  {its.state}  {its.subscription_code}  {clocks}"
