"""Notices from the command line: what a unit was told, sending what waits, trying a way out; whom units want told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from hub.commands.verbs import SOME_REFUSED, Home, Json, say, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.casework.notices import Notice
    from hub.settings import Settings

notices = typer.Typer(help="提醒。 Notices to units.", no_args_is_help=True)
contacts = typer.Typer(help="提醒联系人。 Whom units want told.", no_args_is_help=True)

Unit = Annotated[str, typer.Option("--org", help="单位代码 / organisation code")]


@verb(notices, Right.OPERATE, "list")
def list_all(
    organisation: Unit,
    unread: Annotated[bool, typer.Option("--unread", help="只看未读 / unread ones alone")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """一个单位收到的提醒。 What a unit was told.

    hub notices list --org 999001001
    """
    import msgspec

    from hub.casework.notices import list_notices
    from hub.commands.opening import opened, operator

    with opened(home) as hub, hub.database.begin() as connection:
        found = list_notices(connection, operator(organisation), unread=unread, limit=limit)
    if as_json:
        show(msgspec.to_builtins(found))
        return
    for one in found:
        print(_line(one))


@verb(notices, Right.OPERATE, "make")
def make(home: Home = None) -> None:
    """立即生成到期的提醒（平时每日自动）。 Make every notice that is due now; otherwise daily, by itself."""
    from hub.casework.reminders import make_due_notices
    from hub.commands.opening import opened
    from hub.database import utc_now

    with opened(home) as hub, hub.database.begin() as connection:
        made = make_due_notices(connection, hub.settings, utc_now())
    say(f"新提醒 {made} 条。 {made} new notices.")


@verb(notices, Right.OPERATE, "send")
def send(
    failed: Annotated[bool, typer.Option("--failed", help="连同已放弃的再试 / try those given up again")] = False,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """发送待发的邮件和短信（平时每分钟自动）。 Send what waits; otherwise every minute, by itself.

    退出码：0 全部发出；1 有未发出的。 Exit status: 0 everything was sent, 1 something was not.
    """
    import msgspec

    from hub.casework.notice_sending import send_waiting, try_failed_again
    from hub.commands.opening import opened, operator
    from hub.database import utc_now

    actor = operator("hub")
    with opened(home) as hub:
        if failed:
            with hub.database.begin() as connection:
                try_failed_again(connection, actor, utc_now())
        ran = send_waiting(hub.database, hub.settings, actor, seconds=600)
    show(msgspec.to_builtins(ran)) if as_json else say(
        f"已发 {ran.sent}，稍后再试 {ran.later}，放弃 {ran.failed}。"
        f" {ran.sent} sent, {ran.later} later, {ran.failed} given up."
    )
    if ran.later or ran.failed:
        raise typer.Exit(SOME_REFUSED)


@verb(notices, Right.OPERATE, "test")
def test(
    mail: Annotated[str, typer.Option("--mail", help="邮箱 / mail address")] = "",
    phone: Annotated[str, typer.Option("--phone", help="手机号 / mobile number")] = "",
    home: Home = None,
) -> None:
    """发一条试验邮件或短信。 Send one message to try the way out: nothing is written down of it.

    hub notices test --mail someone@example.cn
    """
    from hub.commands.opening import usable_settings
    from hub.errors import BadRequest

    if not (mail or phone):
        raise BadRequest("--mail / --phone")
    settings = usable_settings(home)
    if mail:
        _try_mail(settings, mail)
    if phone:
        _try_phone(settings, phone)
    say("已发出，请对方确认收到。 It was taken; ask whether it arrived.")


def _try_mail(settings: Settings, address: str) -> None:
    from adapters.mail import Letter, MailFailed, MailRefused, send_mail
    from hub.casework.sending_ways import BadSending, mail_server
    from hub.database import new_uuid

    server = mail_server(settings)
    if server is None:
        raise BadSending("[mail] host")
    message_id = f"<{new_uuid().hex}@{settings.mail.sender.rpartition('@')[2]}>"
    text = "这是一封试验邮件。 This is a trial.\n"
    try:
        send_mail(server, Letter(message_id, settings.mail.sender, address, "试验 Trial", text))
    except (MailRefused, MailFailed) as wrong:
        raise BadSending(str(wrong)) from None


def _try_phone(settings: Settings, phone: str) -> None:
    from adapters.outbound import LONGEST_SECONDS
    from adapters.short_message import MessageFailed, MessageRefused, ShortMessage, send_short_message
    from hub.casework.sending_ways import BadSending, message_outbound, sms_gateway
    from hub.database import new_uuid

    gateway = sms_gateway(settings)
    if gateway is None:
        raise BadSending("[sms] url")
    try:
        outbound = message_outbound(settings, LONGEST_SECONDS)
        send_short_message(outbound, gateway, ShortMessage(new_uuid().hex, phone, "区级数据交换枢纽：试验短信。"))
    except (MessageRefused, MessageFailed) as wrong:
        raise BadSending(str(wrong)) from None


# ---- contacts ----


@verb(contacts, Right.OPERATE, "list")
def list_of_unit(organisation: Unit, as_json: Json = False, home: Home = None) -> None:
    """一个单位的提醒联系人。 Whom a unit wants told."""
    import msgspec

    from hub.casework.contacts import list_contacts
    from hub.commands.opening import opened, operator

    with opened(home) as hub, hub.database.begin() as connection:
        found = list_contacts(connection, operator(organisation))
    if as_json:
        show(msgspec.to_builtins(found))
        return
    for one in found:
        print(f"{one.contact_id}  {one.name}  {one.mail or '-'}  {one.phone or '-'}")


@verb(contacts, Right.OPERATE, "add")
def add(
    organisation: Unit,
    name: Annotated[str, typer.Option("--name", help="姓名 / name")],
    mail: Annotated[str, typer.Option("--mail", help="邮箱 / mail address")] = "",
    phone: Annotated[str, typer.Option("--phone", help="手机号 / mobile number")] = "",
    home: Home = None,
) -> None:
    """登记一个联系人。 Enter a contact.

    hub contact add --org 999001001 --name 李明 --mail liming@example.cn
    """
    from hub.casework.contacts import add_contact
    from hub.commands.opening import opened, operator

    with opened(home) as hub, hub.database.begin() as connection:
        print(add_contact(connection, operator(organisation), name=name, mail=mail, phone=phone))


@verb(contacts, Right.OPERATE, "remove")
def remove(
    contact: Annotated[UUID, typer.Argument(help="联系人编号 / contact id")], organisation: Unit, home: Home = None
) -> None:
    """移除一个联系人。 Remove a contact."""
    from hub.casework.contacts import remove_contact
    from hub.commands.opening import opened, operator

    with opened(home) as hub, hub.database.begin() as connection:
        remove_contact(connection, operator(organisation), contact)
    say("已移除。 Removed.")


def _line(one: Notice) -> str:
    from hub.casework.notice_words import wording_of

    return f"{one.made_at:%Y-%m-%d %H:%M}  {'已阅 read ' if one.read_at else '未读 new  '}{wording_of(one.kind, one.facts).text}"
