"""The handbooks under docs/zh as pages of help: one for each desk and one for integrators, by task."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import msgspec
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from admin.language import N_
from hub.errors import NotFound
from hub.registry.permissions import Actor, Right

_BESIDE = Path(__file__).parent
# Beside the package where it was installed from a wheel, in the project's folder where it runs from there.
PLACE = next((one for one in (_BESIDE / "zh", _BESIDE.parent / "docs" / "zh") if one.is_dir()), _BESIDE / "zh")
HANDBOOKS = {
    "clerk": N_("部门经办手册"),
    "town": N_("镇街手册"),
    "bureau": N_("区局手册"),
    "administrators": N_("管理员与审计员手册"),
    "integrators": N_("接口规范"),
}
_ANCHOR = re.compile(r"\s*\{#([a-z][a-z0-9-]*)\}\s*$")
_GOVERNORS = (Right.MANAGE_ACCOUNTS, Right.ASK_ACCESS, Right.READ_AUDIT)


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One heading of a handbook: what somebody wants to do."""

    anchor: str
    title: str


class Handbook(msgspec.Struct, frozen=True, kw_only=True):
    """One handbook, ready to be shown."""

    code: str
    title: str
    tasks: tuple[Task, ...]
    text: Markup


def handbook_of(actor: Actor | None) -> str:
    """Which desk somebody sits at."""
    if actor is None:
        return "clerk"
    if any(actor.may(right) for right in _GOVERNORS):
        return "administrators"
    if actor.may(Right.READ_ALL_SUBMISSIONS) or actor.may(Right.READ_MEASURES):
        return "bureau"
    return "town" if actor.kind == "town" else "clerk"


@cache
def read_handbook(code: str) -> Handbook:
    """A handbook as HTML. Headings carry their anchor as ``{#anchor}``; no HTML of its own gets through."""
    if code not in HANDBOOKS:
        raise NotFound(code)
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse((PLACE / f"{code}.md").read_text("utf-8"))
    tasks = [task for place, token in enumerate(tokens) if (task := _anchored(tokens, place, token))]
    for token in tokens:
        _point_pictures_home(token)
    text = Markup(markdown.renderer.render(tokens, markdown.options, {}))  # noqa: S704 -- our own text, its HTML escaped
    return Handbook(code=code, title=HANDBOOKS[code], tasks=tuple(tasks), text=text)


def _anchored(tokens: list[Token], place: int, token: Token) -> Task | None:
    """Take the anchor out of a second-level heading's text and put it on the heading."""
    if token.type != "heading_open" or token.tag != "h2":
        return None
    inline = tokens[place + 1]
    found = _ANCHOR.search(inline.content)
    if found is None:
        return None
    title = inline.content[: found.start()]
    inline.content = title
    for child in (inline.children or [])[-1:]:
        child.content = _ANCHOR.sub("", child.content)
    token.attrSet("id", found.group(1))
    return Task(anchor=found.group(1), title=title)


def _point_pictures_home(token: Token) -> None:
    for child in token.children or []:
        if child.type == "image":
            child.attrSet("src", "/help/" + str(child.attrGet("src")))
            child.attrSet("loading", "lazy")
        elif child.type == "link_open":
            child.attrSet("href", re.sub(r"^([a-z]+)\.md", r"/help/\1", str(child.attrGet("href"))))


# Which task of its reader's handbook belongs to a page: the longest beginning of its address that is listed.
TASKS = {
    "/": "start",
    "/account": "account",
    "/password": "account",
    "/second-factor": "account",
    "/sign-in": "account",
    "/notices": "start",
    "/search": "search",
    "/month": "month",
    "/board": "month",
    "/screen": "month",
    "/matrix": "quality",
    "/quality": "quality",
    "/submissions": "submissions",
    "/submissions/new": "upload",
    "/templates": "upload",
    "/receipts": "submissions",
    "/doors": "doors",
    "/rounds": "rounds",
    "/changes": "rounds",
    "/rolls": "rolls",
    "/balance": "balance",
    "/held": "held",
    "/pairs": "pairs",
    "/comparisons": "comparisons",
    "/challenges": "challenges",
    "/people": "people",
    "/persons": "people",
    "/verify": "people",
    "/unmask": "people",
    "/catalogue": "sharing",
    "/licences": "sharing",
    "/subscriptions": "sharing",
    "/certificates": "sharing",
    "/freshness": "sharing",
    "/corrections": "sharing",
    "/organisations": "registry",
    "/areas": "registry",
    "/mappings": "mappings",
    "/running": "running",
    "/accounts": "accounts",
    "/access-requests": "accounts",
    "/roles": "accounts",
    "/keys": "keys",
    "/audit": "audit",
    "/disclosures": "disclosures",
}


def help_path(path: str, actor: Actor | None) -> str:
    """Where the help link of a page leads: the task, where the reader's handbook has it, else its beginning."""
    code = handbook_of(actor)
    fitting = [one for one in TASKS if path == one or path.startswith(one.rstrip("/") + "/")]
    anchor = TASKS[max(fitting, key=len)] if fitting else "start"
    known = {task.anchor for task in read_handbook(code).tasks}
    return f"/help/{code}#{anchor}" if anchor in known else f"/help/{code}"
