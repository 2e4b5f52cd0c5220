"""The mail server and the message gateway a site has set up, with their secrets; whether they can be reached."""

from __future__ import annotations

from adapters.mail import MailFailed, MailServer, greet_mail_server, is_mail_address
from adapters.outbound import Outbound
from adapters.private_file import NotPrivate, read_private
from adapters.short_message import Gateway, MessageFailed, reach_gateway
from hub.errors import HubError
from hub.settings import Settings

_LARGEST_ANSWER = 64 * 1024
_REACH_SECONDS = 5.0


class BadSending(HubError):
    """邮件或短信的设置有误，提醒暂不能发出。 Mail or short messages are not set up right: notices cannot be sent."""

    problem = "bad-sending"


def mail_server(settings: Settings) -> MailServer | None:
    """None: notices are not sent by mail here. BadSending."""
    policy = settings.mail
    if not policy.host:
        return None
    if not is_mail_address(policy.sender):
        raise BadSending("[mail] sender")
    if policy.account and policy.security == "none":
        raise BadSending("[mail] security：密码不走明文 a password is not sent in the clear")
    password = _secret(settings, "mail") if policy.account else ""
    return MailServer(policy.host, policy.port, policy.security, policy.account, password, _authorities(settings))


def sms_gateway(settings: Settings) -> Gateway | None:
    """None: no short messages are sent here. BadSending."""
    policy = settings.sms
    if not policy.url:
        return None
    if "{text}" not in policy.url + policy.body or "{phone}" not in policy.url + policy.body:
        raise BadSending("[sms] body：缺少 {phone} 或 {text}。 {phone} or {text} is missing.")
    token = _secret(settings, "sms") if policy.token_header else ""
    return Gateway(
        policy.url, policy.method, policy.body, policy.content_type, policy.token_header, token, policy.accepted
    )


def message_outbound(settings: Settings, seconds: float) -> Outbound:
    """Calls to the hosts the site has listed, and no others."""
    return Outbound(
        settings.outbound_hosts,
        settings.outbound_networks,
        seconds=seconds,
        largest_answer=_LARGEST_ANSWER,
        verify=_authorities(settings) or True,
    )


def mail_problem(settings: Settings) -> str:
    """What keeps mail from being sent: connected, encrypted and signed in, nothing sent. "": nothing does."""
    try:
        server = mail_server(settings)
        if server is not None:
            greet_mail_server(server, _REACH_SECONDS)
    except (BadSending, MailFailed) as wrong:
        return str(wrong)
    return ""


def sms_problem(settings: Settings) -> str:
    """What keeps short messages from being sent: the gateway is listed and answers the telephone. "": nothing does."""
    try:
        gateway = sms_gateway(settings)
        if gateway is not None:
            reach_gateway(gateway, settings.outbound_hosts, settings.outbound_networks, _REACH_SECONDS)
    except (BadSending, MessageFailed) as wrong:
        return str(wrong)
    return ""


def _secret(settings: Settings, name: str) -> str:
    try:
        return read_private(settings.keys / name)
    except NotPrivate as wrong:
        raise BadSending(f"keys/{wrong}") from None


def _authorities(settings: Settings) -> str | None:
    """Certificate authorities of the site's own, for servers inside the government network."""
    own = settings.keys / "authorities.pem"
    return str(own) if own.is_file() else None
