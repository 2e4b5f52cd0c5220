"""One TOML file a channel in ``<home>/channels``: what it may say, and where it says something wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from adapters.channels.http_pull import Paging
from adapters.channels.sftp_client import read_host_key
from adapters.outbound import CallRefused, Outbound, require_listed
from hub.channels.secret_files import BadSecret, read_public, read_secret
from hub.errors import HubError
from hub.settings import Settings
from mappings.catalogue import Catalogue, CatalogueError
from mappings.documents import Document, Problem, Step, read_document

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}")
_INLINE = re.compile(r"(?i)(password|passwd|secret|token|private_?key|api_?key|app_?key|authorization|credential)s?$")
_MARKER = "-----BEGIN"
Positive = Annotated[int, msgspec.Meta(gt=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
Filled = Annotated[str, msgspec.Meta(min_length=1)]
Period = Literal["none", "current", "name"]


class BadChannel(HubError):
    """通道声明有误，枢纽不启动通道。 A channel's declaration is wrong; the channels do not start."""

    problem = "bad-channel"


class Channel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every channel says: whose it is, when it works, after how long its silence is an alarm."""

    kind: str
    organisation: Filled
    every_seconds: Annotated[int, msgspec.Meta(ge=5)] | None = None
    at: tuple[str, ...] = ()  # "08:30", by the district's clock
    silent_after_hours: Annotated[float, msgspec.Meta(gt=0)] = 48.0
    enabled: bool = True


class SftpChannel(Channel, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A channel to another machine's SFTP server."""

    host: Filled
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 22
    user: Filled
    key_file: str = ""
    password_file: str = ""
    host_keys: Annotated[tuple[Filled, ...], msgspec.Meta(min_length=1)]
    folder: str = "."
    seconds: Seconds = 300.0  # of one visit


class SftpFetch(SftpChannel, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files of the other side become submissions of its organisation."""

    record_type: Filled
    pattern: Filled = "*"
    period: Period = "none"
    period_pattern: str = r"(?P<year>20\d\d)[-_年]?(?P<month>0[1-9]|1[0-2])"
    settle_seconds: Annotated[float, msgspec.Meta(ge=0)] = 60.0  # how long a file must look the same
    after: Literal["rename", "keep"] = "keep"
    done_folder: Filled = "done"
    largest_bytes: Positive = 300 * 1024 * 1024
    most_files: Positive = 200  # in one visit


class SftpDeliver(SftpChannel, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A slice laid down on the other side's SFTP server."""

    subscription: Filled
    format: Literal["ndjson", "csv"] = "ndjson"
    page_size: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 1000
    most_pages: Positive = 100  # in one visit


class OutFolder(Channel, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same in ``<home>/drops/<organisation>/out``, for the hub's own SFTP server."""

    subscription: Filled
    format: Literal["ndjson", "csv"] = "ndjson"
    page_size: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 1000
    most_pages: Positive = 100  # in one visit


class Sign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the hub signs in: a header with a secret, or OAuth 2.0 client credentials."""

    kind: Literal["header", "oauth2"]
    secret_file: Filled
    header: str = "Authorization"
    prefix: str = ""  # "Bearer "
    token_url: str = ""
    client_id: str = ""
    scope: str = ""


class HttpPull(Channel, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of the other side's interface become one submission of its organisation."""

    url: Filled
    record_type: Filled
    fields: dict[str, str]  # place in its item -> field of the record type
    items: str = ""
    paging: Paging = "none"
    parameter: str = ""
    size_parameter: str = ""
    page_size: Positive = 500
    first_page: int = 1
    next_cursor: str = ""
    parameters: dict[str, str] = {}
    auth: Sign | None = None
    period: Literal["none", "current"] = "none"
    since_parameter: str = ""
    since_item: str = ""  # place in an item whose largest value is asked for next; else the time of the last pull
    since_first: str = ""
    overlap_seconds: Annotated[int, msgspec.Meta(ge=0)] = 300
    most_pages: Positive = 200
    most_bytes: Positive = 100 * 1024 * 1024
    page_bytes: Positive = 10 * 1024 * 1024
    seconds: Seconds = 300.0  # of one pull
    page_seconds: Seconds = 20.0
    authority_file: str = ""  # certificates of the other side's own authority


class Webhook(Channel, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The other side is told that its slice has moved."""

    url: Filled
    subscription: Filled
    seconds: Seconds = 20.0
    authority_file: str = ""


KINDS: dict[str, type[Channel]] = {
    "sftp_fetch": SftpFetch,
    "sftp_deliver": SftpDeliver,
    "out_folder": OutFolder,
    "http_pull": HttpPull,
    "webhook": Webhook,
}


def load_channels(settings: Settings, catalogue: Catalogue) -> dict[str, Channel]:
    """Every declared channel by its name; BadChannel tells everything that is wrong in all files."""
    read: dict[str, Channel] = {}
    wrong: list[str] = []
    for path in sorted(settings.channels.glob("*.toml")):
        try:
            document = read_document(settings.channels, path)
            read[path.stem], problems = _read(document, settings, catalogue)
            wrong += [str(problem.error()) for problem in problems]
        except CatalogueError as refused:
            wrong.append(str(refused))
    if wrong:
        raise BadChannel("\n" + "\n".join(wrong))
    return read


def _read(document: Document, settings: Settings, catalogue: Catalogue) -> tuple[Channel, list[Problem]]:
    for place in _inline_secrets(document.values, ()):
        raise document.problem(
            "口令、密钥不写在声明里，只写其文件名（keys/channels 下） secrets are named by file, never written here",
            *place,
        ).error()
    kind = KINDS.get(str(document.values.get("kind")))
    if kind is None:
        raise document.problem(f"kind: {', '.join(KINDS)}", "kind").error()
    channel = document.shaped(kind)
    return channel, list(_problems(document, channel, settings, catalogue))


def _inline_secrets(values: Any, path: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    for name, value in values.items():
        if isinstance(value, dict) and name != "fields":
            yield from _inline_secrets(value, (*path, name))
        elif isinstance(value, str) and (_INLINE.search(name) or _MARKER in value):
            yield (*path, name)


def _problems(document: Document, channel: Channel, settings: Settings, catalogue: Catalogue) -> Iterator[Problem]:
    if not _NAME.fullmatch(Path(document.file).stem):
        yield document.problem("文件名只用小写字母、数字、-、_ the file's name: a-z 0-9 - _")
    if (channel.every_seconds is None) == (not channel.at):
        yield document.problem("every_seconds 与 at 二者写一 either every_seconds or at", "at")
    for text in channel.at:
        if read_clock(text) is None:
            yield document.problem(f"{text!r}: HH:MM", "at")
    for wrong in _WRONG[type(channel)]:
        yield from wrong(document, channel, settings, catalogue)


def read_clock(text: str) -> time | None:
    """``08:30``."""
    try:
        return time.fromisoformat(text) if re.fullmatch(r"\d\d:\d\d", text) else None
    except ValueError:
        return None


# ---- what each kind must keep ----


def _server(document: Document, channel: Any, settings: Settings, catalogue: Catalogue) -> Iterator[Problem]:
    if bool(channel.key_file) == bool(channel.password_file):
        yield document.problem("key_file 与 password_file 二者写一 either key_file or password_file", "key_file")
    yield from _secret(document, settings, "key_file" if channel.key_file else "password_file")
    yield from _listed(document, settings, f"sftp://{channel.host}:{channel.port}", "host")
    for line in channel.host_keys:
        try:
            read_host_key(line)
        except ValueError:
            yield document.problem("不是主机公钥 not a host key: ssh-ed25519 AAAA…", "host_keys")


def _files(document: Document, channel: Any, settings: Settings, catalogue: Catalogue) -> Iterator[Problem]:
    yield from _record_type(document, channel, settings, catalogue)
    if "/" in channel.done_folder or channel.done_folder in (".", ".."):
        yield document.problem("只写一个文件夹名 one folder's name", "done_folder")
    try:
        groups = re.compile(channel.period_pattern).groupindex
    except re.error as wrong:
        yield document.problem(f"正则有误 bad expression: {wrong}", "period_pattern")
    else:
        if channel.period == "name" and not {"year", "month"} <= groups.keys():
            yield document.problem("须有 (?P<year>…) 与 (?P<month>…)", "period_pattern")


def _record_type(document: Document, channel: Any, settings: Settings, catalogue: Catalogue) -> Iterator[Problem]:
    if channel.record_type not in catalogue.record_types:
        yield document.problem(f"没有此信息类别 no such record type: {channel.record_type}", "record_type")


def _interface(document: Document, channel: Any, settings: Settings, catalogue: Catalogue) -> Iterator[Problem]:
    yield from _url(document, settings, channel.url, "url")
    known = catalogue.record_types.get(channel.record_type)
    for place, field in channel.fields.items():
        if known is not None and field not in known.by_name and field != "change_kind":
            yield document.problem(f"{channel.record_type} 没有字段 no field {field}", "fields", place)
    needed = {"page": "parameter", "offset": "parameter", "cursor": "parameter"}.get(channel.paging)
    if needed and not channel.parameter:
        yield document.problem(f"paging = {channel.paging!r}: parameter", "paging")
    if channel.paging == "cursor" and not channel.next_cursor:
        yield document.problem("paging = 'cursor': next_cursor", "paging")
    if channel.auth is not None:
        yield from _signing(document, channel.auth, settings)
    yield from _authority(document, channel, settings)


def _signing(document: Document, auth: Sign, settings: Settings) -> Iterator[Problem]:
    yield from _secret(document, settings, "auth", "secret_file")
    if auth.kind == "oauth2":
        yield from _url(document, settings, auth.token_url, "auth", "token_url")
        if not auth.client_id:
            yield document.problem("缺少此键 missing key: client_id", "auth")


def _hook(document: Document, channel: Any, settings: Settings, catalogue: Catalogue) -> Iterator[Problem]:
    yield from _url(document, settings, channel.url, "url")
    yield from _authority(document, channel, settings)


def _authority(document: Document, channel: Any, settings: Settings) -> Iterator[Problem]:
    try:
        if channel.authority_file:
            read_public(settings, channel.authority_file)
    except BadSecret as wrong:
        yield document.problem(str(wrong), "authority_file")


def _secret(document: Document, settings: Settings, *path: str) -> Iterator[Problem]:
    name = document.values
    for step in path:
        name = name.get(step, "")
    try:
        if name:
            read_secret(settings, str(name))
    except BadSecret as wrong:
        yield document.problem(str(wrong), *path)


def _url(document: Document, settings: Settings, url: str, *path: str) -> Iterator[Problem]:
    try:
        parts = urlsplit(url)
        unfit = parts.username is not None or parts.query or parts.fragment or parts.scheme not in ("http", "https")
    except ValueError:
        unfit = True
    if unfit:
        yield document.problem("http(s) 地址，不含账号、参数 a http(s) URL without account or query", *path)
    else:
        yield from _listed(document, settings, url, *path)


def _listed(document: Document, settings: Settings, url: str, *path: str) -> Iterator[Problem]:
    try:
        require_listed(url, settings.outbound_hosts)
    except CallRefused as refused:
        yield document.problem(f"未列入 hub.toml 的 outbound_hosts: {refused}", *path)


_WRONG: dict[type[Channel], tuple[Any, ...]] = {
    SftpFetch: (_server, _files),
    SftpDeliver: (_server,),
    OutFolder: (),
    HttpPull: (_record_type, _interface),
    Webhook: (_hook,),
}


def caller(settings: Settings, channel: HttpPull | Webhook, **limits: Any) -> Outbound:
    """The only way out, with this channel's limits and its own authority's certificates."""
    verify: str | bool = str(read_public(settings, channel.authority_file)) if channel.authority_file else True
    return Outbound(settings.outbound_hosts, settings.outbound_networks, verify=verify, **limits)
