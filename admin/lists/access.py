"""The lists of accounts, keys, what was asked for, and the audit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from admin.access_words import ACCOUNT_STATES, ACTS, KEY_KINDS, KEY_STATES, REQUEST_STATES
from admin.audit_words import AUDIT_DOORS, AUDITED_ACTS, FACTS, HUB, SAID
from admin.language import N_
from admin.lists.declared import NOTHING, Cell, Column, Filter, ListPage, Words, at, both_ways
from admin.words import ROLES
from hub.operations.audit_search import LINES_A_PAGE
from hub.registry.account_list import ACCOUNT_ORDERS, state_of
from hub.registry.permissions import Right
from hub.registry.requests import REQUEST_ORDERS

OUTCOMES = {"done": N_("完成"), "refused": N_("拒绝"), "failed": N_("失败")}
_CODED = ("how", "what", "why", "problem", "purpose")  # the facts that hold a code of the hub's own
_ASKERS = (Right.MANAGE_ACCOUNTS, Right.ASK_ACCESS, Right.ASK_OWN_ACCESS)


def _login(one: Any, words: Words) -> Cell:
    return Cell(text=one.login, href=f"/accounts/{quote(one.login)}")


ACCOUNTS = ListPage(
    code="accounts", path="/accounts", title=N_("账号"), rights=_ASKERS, rows_a_page=100,
    columns=(
        Column(
            code="login", title=N_("登录名"), cell=_login, always=True, leads=True, data=True,
        ),
        Column(code="name", title=N_("姓名"), cell=lambda one, words: one.name, data=True),
        Column(
            code="organisation", title=N_("单位"), data=True,
            cell=lambda one, words: words.organisation(one.organisation),
        ),
        Column(
            code="roles", title=N_("角色"), cell=lambda one, words: ", ".join(words.say(ROLES[each]) for each in one.roles)
        ),
        Column(
            code="state", title=N_("状态"), css="nowrap",
            cell=lambda one, words: words.say(ACCOUNT_STATES[state_of(one, words.beside["now"])]),
        ),
        Column(
            code="second_factor", title=N_("第二步验证"),
            cell=lambda one, words: words.say(N_("有")) if one.has_second_factor else words.say(N_("无")),
        ),
        Column(
            code="last_signed_in_at", title=N_("最近登录"), cell=lambda one, words: at(one.last_signed_in_at),
            css="nowrap",
        ),
        Column(
            code="created_at", title=N_("开户时间"), cell=lambda one, words: at(one.created_at), css="nowrap",
            shown=False,
        ),
    ),
    filters=(
        Filter(name="state", title=N_("状态"), kind="chips", words=ACCOUNT_STATES),
        Filter(name="text", title=N_("登录名或姓名"), kind="text", personal=True),
        Filter(name="organisation", title=N_("单位")),
        Filter(name="role", title=N_("角色"), words=ROLES),
    ),
    sorts=both_ways(ACCOUNT_ORDERS),
)  # fmt: skip


# ---- keys ----


class ListedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key, how it stands, and its place below /keys/."""

    key: Any
    state: str
    address: str


def _key(one: ListedKey, words: Words) -> Cell:
    return Cell(text=one.key.name, href=f"/keys/{quote(one.address)}")


KEYS = ListPage(
    code="keys", path="/keys", title=N_("系统密钥"), rights=(Right.MANAGE_ACCOUNTS, Right.ASK_OWN_ACCESS),
    columns=(
        Column(code="name", title=N_("名称"), cell=_key, always=True, leads=True, data=True, css="file"),
        Column(code="kind", title=N_("种类"), cell=lambda one, words: words.say(KEY_KINDS[one.key.kind]), css="nowrap"),
        Column(
            code="organisation", title=N_("单位"), data=True, sort=lambda one: one.key.organisation,
            cell=lambda one, words: words.organisation(one.key.organisation),
        ),
        Column(code="title", title=N_("用于哪个系统"), cell=lambda one, words: one.key.title, data=True),
        Column(
            code="state", title=N_("状态"), cell=lambda one, words: words.say(KEY_STATES[one.state]), css="nowrap",
            sort=lambda one: one.state,
        ),
        Column(
            code="expires_at", title=N_("有效期至"), cell=lambda one, words: at(one.key.expires_at), css="nowrap",
            sort=lambda one: one.key.expires_at.timestamp() if one.key.expires_at else 0.0,
        ),
        Column(
            code="last_used_at", title=N_("最近使用"), cell=lambda one, words: at(one.key.last_used_at), css="nowrap",
            sort=lambda one: one.key.last_used_at.timestamp() if one.key.last_used_at else 0.0,
        ),
        Column(
            code="addresses", title=N_("来源网段"), data=True,
            cell=lambda one, words: " ".join(one.key.allowed_addresses) or NOTHING,
        ),
    ),
    filters=(
        Filter(name="which", title=N_("状态"), kind="chips", words=KEY_STATES),
        Filter(name="organisation", title=N_("单位")),
    ),
)  # fmt: skip


# ---- what was asked for ----


def _act(one: Any, words: Words) -> Cell:
    return Cell(
        text=words.say(ACTS[one.act]) if one.act in ACTS else one.act, href=f"/access-requests/{one.request_id}"
    )


ACCESS_REQUESTS = ListPage(
    code="access-requests", path="/access-requests", title=N_("权限申请"), rights=_ASKERS, rows_a_page=100,
    columns=(
        Column(
            code="asked_at", title=N_("申请时间"), cell=lambda one, words: at(one.asked_at), css="nowrap",
        ),
        Column(code="act", title=N_("申请事项"), cell=_act, always=True, leads=True),
        Column(code="object", title=N_("对象"), cell=lambda one, words: one.object, data=True),
        Column(
            code="asked_by", title=N_("申请人"), cell=lambda one, words: one.asked_by, data=True,
        ),
        Column(code="reason", title=N_("申请理由"), cell=lambda one, words: one.reason, data=True, css="long"),
        Column(code="state", title=N_("状态"), cell=lambda one, words: words.say(REQUEST_STATES[one.state]), css="nowrap"),
        Column(code="answer", title=N_("答复"), cell=lambda one, words: one.answer, data=True),
        Column(
            code="decided_at", title=N_("答复时间"), cell=lambda one, words: at(one.decided_at), css="nowrap",
            shown=False,
        ),
    ),
    filters=(
        Filter(
            name="which", title=N_("状态"), kind="chips", words={"all": N_("全部"), **REQUEST_STATES}, default="all",
            other=False,
        ),
    ),
    sorts=both_ways(REQUEST_ORDERS),
)  # fmt: skip


# ---- the audit ----


def _outcome(line: Any, words: Words) -> str:
    return words.say(OUTCOMES[line.outcome]) if line.outcome in OUTCOMES else line.outcome


def _from(line: Any, words: Words) -> str:
    return f"{_said(AUDIT_DOORS, line.door, words)} {line.address}".strip()


def _said(known: Mapping[str, str], code: str, words: Words) -> str:
    """An edited line may say anything: what has no word is shown as it stands."""
    return words.say(known[code]) if code in known else code


def facts_in_short(line: Any, words: Words) -> str:
    """The facts for the eye: name and value, a digest by its beginning. The numbered export has them whole."""
    if not isinstance(line.facts, dict):
        return msgspec.json.encode(line.facts).decode()
    told = ((name, _short(name, value, words)) for name, value in line.facts.items() if value not in (None, "", []))
    return words.say(N_("，")).join(f"{_said(FACTS, name, words)} {value}" for name, value in told)


def _short(name: str, value: object, words: Words) -> str:
    if isinstance(value, bool):
        return words.say(N_("是") if value else N_("否"))
    if name in _CODED and isinstance(value, str) and value in SAID:
        return words.say(SAID[value])
    written = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"{written[:12]}…" if len(written) >= 40 and set(written) <= set("0123456789abcdef") else written


AUDIT = ListPage(
    code="audit", path="/audit", title=N_("审计查询"), rights=(Right.READ_AUDIT,),
    columns=(
        Column(
            code="at", title=N_("时间"), cell=lambda line, words: at(line.at), always=True, css="nowrap"
        ),
        Column(code="actor", title=N_("操作人"), cell=lambda line, words: line.actor, data=True),
        Column(
            code="organisation", title=N_("单位"), data=True,
            cell=lambda line, words: words.organisation(line.organisation) if line.organisation != "hub" else words.say(HUB),
        ),
        Column(code="door", title=N_("来源"), cell=_from, css="nowrap"),
        Column(
            code="act", title=N_("操作"), cell=lambda line, words: _said(AUDITED_ACTS, line.act, words), always=True,
            css="nowrap",
        ),
        Column(code="object", title=N_("对象"), cell=lambda line, words: line.object, data=True, css="file"),
        Column(code="outcome", title=N_("结果"), cell=_outcome, css="nowrap"),
        Column(
            code="facts", title=N_("详情"), data=True, css="file",
            cell=facts_in_short,
        ),
    ),
    filters=(
        Filter(name="outcome", title=N_("结果"), kind="chips", words=OUTCOMES),
        Filter(name="actor", title=N_("操作人"), kind="text"),
        Filter(name="organisation", title=N_("单位")),
        Filter(name="act", title=N_("操作")),
        Filter(name="object", title=N_("对象（开头部分）"), kind="text", longest=200),
        Filter(name="address", title=N_("来源地址"), kind="text", longest=60),
        Filter(name="since", title=N_("自"), kind="day"),
        Filter(name="until", title=N_("至"), kind="day"),
    ),
    after="before", older=N_("更早的记录"), rows_a_page=LINES_A_PAGE,
)  # fmt: skip
