"""The lists of sharing: requests, subscriptions, certificates, corrections, the data catalogue."""

from __future__ import annotations

from typing import Any

from admin.catalogue_words import CLASSIFICATIONS, ENTRY_STATES, FREQUENCIES, SHARING
from admin.language import N_
from admin.licence_words import ANSWER_STATES, LEVELS, REQUEST_KINDS, REQUEST_STATES
from admin.lists.declared import NOTHING, Cell, Column, Filter, ListPage, Words, at, both_ways, counted
from hub.registry.permissions import Right
from hub.sharing.certificates import CERTIFICATE_ORDERS

CAUSES = {
    "mark": N_("存疑标记"),
    "challenge": N_("经校核更正"),
    "identity": N_("身份号码更正"),
    "value": N_("内容更正"),
    "withdrawn": N_("作废或恢复"),
    "other": N_("内容更新"),
}
OPERATIONS = {
    "update": N_("更正"),
    "void": N_("作废"),
    "restore": N_("恢复"),
    "relink": N_("号码更正"),
    "dispute": N_("标为存疑"),
    "settle": N_("解除存疑"),
}
CORRECTION_SIDES = {"receiver": N_("须由我签收"), "source": N_("本单位的记录")}
STATE_WORDS = {"active": N_("有效"), "suspended": N_("已暂停"), "ended": N_("已终止")}
_READS = (Right.READ_SHARING,)
_DELIVER, _SHORT_OF = N_("下发"), N_("差")


# ---- requests ----


def _left(days: int, words: Words) -> str:
    if days < 0:
        return words.say(N_("超期 %(days)s 个工作日")) % {"days": -days}
    return words.say(N_("还有 %(days)s 个工作日")) % {"days": days}


def _request(line: Any, words: Words) -> Cell:
    return Cell(text=line.request.request_no, href=f"/licences/{line.request.request_id}")


def _request_state(line: Any, words: Words) -> Cell:
    one = line.request
    return Cell(text=words.say(REQUEST_STATES[one.state]), tags=(words.say(LEVELS[one.level]),) if one.level else ())


def _clocks(line: Any, words: Words) -> Cell:
    told = [
        f"{words.organisation(one.provider)}："
        + (words.say(ANSWER_STATES[one.state]) if one.left is None else _left(one.left, words))
        for one in line.clocks
    ]
    if line.deliver_left is not None:
        told.append(f"{words.say(_DELIVER)}：{_left(line.deliver_left, words)}")
    return Cell(text=told[0] if told else NOTHING, more=tuple(told[1:]), look="level error" if line.overdue else "")


LICENCES = ListPage(
    code="licences", path="/licences", title=N_("订阅申请"), rights=_READS,
    columns=(
        Column(code="request_no", title=N_("申请编号"), cell=_request, always=True, leads=True, css="nowrap"),
        Column(
            code="title", title=N_("订阅名称"), cell=lambda line, words: line.request.wanted.title or NOTHING, data=True
        ),
        Column(
            code="kind", title=N_("申请类型"), cell=lambda line, words: words.say(REQUEST_KINDS[line.request.kind]),
            css="nowrap",
        ),
        Column(
            code="organisation", title=N_("使用单位"), data=True,
            cell=lambda line, words: words.organisation(line.request.organisation),
        ),
        Column(
            code="asked_at", title=N_("申请时间"), css="nowrap",
            cell=lambda line, words: at(line.request.submitted_at or line.request.asked_at),
        ),
        Column(code="state", title=N_("状态"), cell=_request_state, css="nowrap"),
        Column(code="clocks", title=N_("提供单位与期限"), cell=_clocks, data=True),
    ),
    filters=(Filter(name="state", title=N_("状态"), kind="chips", words=REQUEST_STATES),),
    after="before", older=N_("更早的"),
)  # fmt: skip


# ---- subscriptions ----


def _subscription(one: Any, words: Words) -> Cell:
    return Cell(text=one.title, href=f"/subscriptions/{one.code}", more=(one.code,))


def _providers(one: Any, words: Words) -> Cell:
    between = words.say(N_("、"))
    first = between.join(words.organisation(code) for code in one.providers[:2])
    if not one.providers[2:]:
        return Cell(text=first)
    several = words.say(N_("等 %(count)s 家")) % {"count": len(one.providers)}
    return Cell(text=f"{first} {several}", full=between.join(words.organisation(code) for code in one.providers))


def _standing(one: Any, words: Words) -> Cell:
    until = (words.say(N_("至 %(day)s")) % {"day": one.expires_on},) if one.expires_on else ()
    return Cell(text=words.say(STATE_WORDS[one.state]), more=until)


def _waiting(times: int, changes: int | None, words: Words) -> Cell:
    many = (words.say(N_("%(rows)s 条")) % {"rows": f"{changes:,}"},) if changes else ()
    return Cell(text=words.say(N_("%(times)s 次")) % {"times": times}, more=many, number=times)


SUBSCRIPTIONS = ListPage(
    code="subscriptions", path="/subscriptions", title=N_("数据订阅"), rights=_READS,
    columns=(
        Column(
            code="title", title=N_("订阅"), cell=_subscription, always=True, leads=True, data=True,
            sort=lambda one: one.title,
        ),
        Column(
            code="organisation", title=N_("使用单位"), data=True, sort=lambda one: one.organisation,
            cell=lambda one, words: words.organisation(one.organisation),
        ),
        Column(code="providers", title=N_("提供单位"), cell=_providers, data=True),
        Column(code="state", title=N_("状态"), cell=_standing, css="nowrap", sort=lambda one: one.state),
        Column(
            code="unfetched", title=N_("已下发未收取"), numeric=True, sort=lambda one: one.unfetched,
            cell=lambda one, words: _waiting(one.unfetched, one.unfetched_changes, words),
        ),
        Column(
            code="unacknowledged", title=N_("已收取未签收"), numeric=True, sort=lambda one: one.unacknowledged,
            cell=lambda one, words: _waiting(one.unacknowledged, one.unacknowledged_changes, words),
        ),
        Column(code="oldest", title=N_("最早下发于"), cell=lambda one, words: at(one.oldest), css="nowrap"),
        Column(
            code="mismatches", title=N_("签收不一致"), numeric=True, sort=lambda one: one.mismatches,
            cell=lambda one, words: counted(one.mismatches, "refused" if one.mismatches else ""),
        ),
        Column(
            code="last_delivered_at", title=N_("最近下发"), cell=lambda one, words: at(one.last_delivered_at),
            css="nowrap", shown=False,
        ),
    ),
    filters=(
        Filter(name="state", title=N_("状态"), kind="chips", words=STATE_WORDS),
        Filter(name="organisation", title=N_("使用单位")),
        Filter(name="waiting", title=N_("有未签收的"), kind="flag"),
    ),
)  # fmt: skip


# ---- certificates ----


def _closed(one: Any, words: Words) -> Cell:
    if one.closed:
        return Cell(text=words.say(N_("已闭合")), look="level note")
    gap = (f"{words.say(_SHORT_OF)} {one.gap:,}",) if one.gap else ()
    return Cell(text=words.say(N_("未闭合")), look="level warning", tags=gap)


def _figure(name: str, title: str) -> Column:
    return Column(
        code=name, title=title, cell=lambda one, words: counted(getattr(one, name)), numeric=True,
    )  # fmt: skip


CERTIFICATES = ListPage(
    code="certificates", path="/certificates", title=N_("完整性证明"), rights=_READS,
    columns=(
        Column(
            code="certificate_no", title=N_("证明编号"), always=True, leads=True, css="nowrap",
            cell=lambda one, words: Cell(text=one.certificate_no, href=f"/certificates/{one.certificate_no}"),
        ),
        Column(
            code="subscription", title=N_("订阅"), cell=lambda one, words: one.subscription, data=True,
        ),
        Column(
            code="organisation", title=N_("使用单位"), data=True,
            cell=lambda one, words: words.organisation(one.organisation),
        ),
        Column(
            code="period", title=N_("期间"), cell=lambda one, words: one.period, css="nowrap",
        ),
        _figure("expected", N_("应发")), _figure("sent", N_("已发")), _figure("fetched", N_("已取")),
        _figure("acknowledged", N_("已签收")),
        Column(code="closed", title=N_("状态"), cell=_closed, css="nowrap"),
        Column(
            code="issued_at", title=N_("出具时间"), cell=lambda one, words: at(one.issued_at), css="nowrap",
        ),
    ),
    filters=(
        Filter(name="closed", title=N_("状态"), kind="chips", words={"yes": N_("已闭合"), "no": N_("未闭合")}),
        Filter(name="subscription", title=N_("订阅")),
        Filter(name="period", title=N_("期间"), kind="month"),
    ),
    sorts=both_ways(CERTIFICATE_ORDERS), usual="-issued_at",
)  # fmt: skip


# ---- corrections ----

CORRECTIONS = ListPage(
    code="corrections", path="/corrections", title=N_("更正与存疑"), rights=_READS,
    columns=(
        Column(
            code="seq", title=N_("变动号"), always=True, leads=True,
            cell=lambda one, words: Cell(text=str(one.seq), href=f"/corrections/{one.seq}"),
        ),
        Column(
            code="record_type", title=N_("信息类别"), cell=lambda one, words: words.record_type(one.record_type),
            data=True,
        ),
        Column(code="op", title=N_("变动"), cell=lambda one, words: words.say(OPERATIONS[one.op]), css="nowrap"),
        Column(code="cause", title=N_("原因"), cell=lambda one, words: words.say(CAUSES[one.cause]), css="nowrap"),
        Column(code="recorded_at", title=N_("时间"), cell=lambda one, words: at(one.recorded_at), css="nowrap"),
        Column(
            code="receivers", title=N_("收到过原内容"), cell=lambda one, words: counted(len(one.receivers)),
            numeric=True,
        ),
        Column(code="told", title=N_("已告知"), cell=lambda one, words: counted(one.told), numeric=True),
        Column(code="acknowledged", title=N_("已签收"), cell=lambda one, words: counted(one.acknowledged), numeric=True),
        Column(
            code="open", title=N_("未了"), numeric=True,
            cell=lambda one, words: counted(one.open, "held" if one.open else ""),
        ),
    ),
    filters=(
        Filter(name="side", title=N_("按关系"), kind="chips", words=CORRECTION_SIDES, other=False),
        Filter(name="everything", title=N_("我收到过的全部更正"), kind="flag"),
    ),
    after="before", older=N_("更早的"),
)  # fmt: skip


# ---- the data catalogue ----


def provider_name(one: Any, words: Words) -> str:
    named = one.provider_name_en if words.language == "en" and one.provider_name_en else one.provider_name
    return str(named or one.provider)


def _entry(one: Any, words: Words) -> Cell:
    return Cell(text=words.title(one.content), href=f"/catalogue/{one.record_type}")


def _provider(one: Any, words: Words) -> Cell:
    tag = "" if one.provider_takes_part else words.say(N_("已停用"))
    if not one.provider_name:
        tag = words.say(N_("本区没有此单位"))
    return Cell(text=provider_name(one, words), tags=(tag,) if tag else ())


def _shared(one: Any, words: Words) -> Cell:
    look = {"unconditional": "note", "none": "error"}.get(one.sharing, "warning")
    return Cell(text=words.say(SHARING[one.sharing]), look=f"level {look}")


def _update(one: Any, words: Words) -> Cell:
    if not one.open:
        return Cell(text=NOTHING)
    clock = words.beside["clocks"][one.record_type]
    look = {"due": "asking", "returned": "refused", "submitted": "braked"}.get(one.open.state, "")
    late = (words.say(N_("超期")),) if clock.overdue else ()
    return Cell(
        text=words.say(ENTRY_STATES[one.open.state]), look=f"state {look}".strip(), tags=(str(clock.last_day), *late)
    )


DATA_CATALOGUE = ListPage(
    code="catalogue", path="/catalogue", title=N_("数据目录"), rights=(Right.READ_REGISTRY,),
    columns=(
        Column(
            code="catalogue_no", title=N_("目录编号"), cell=lambda one, words: one.catalogue_no, always=True, css="id",
            sort=lambda one: one.catalogue_no,
        ),
        Column(
            code="title", title=N_("目录名称"), cell=_entry, always=True, leads=True, data=True,
            sort=lambda one: one.content.title,
        ),
        Column(
            code="provider", title=N_("提供单位"), cell=_provider, data=True, sort=lambda one: one.provider_name
        ),
        Column(code="sharing", title=N_("共享类型"), cell=_shared, css="nowrap", sort=lambda one: one.sharing),
        Column(
            code="frequency", title=N_("更新频率"), cell=lambda one, words: words.say(FREQUENCIES[one.frequency]),
            css="nowrap",
        ),
        Column(
            code="fields", title=N_("共享数据项"), numeric=True,
            cell=lambda one, words: f"{len(one.content.shared_fields)} / {len(one.content.items)}",
        ),
        Column(
            code="classification", title=N_("数据级别"), css="nowrap",
            cell=lambda one, words: words.say(CLASSIFICATIONS[one.content.classification]),
        ),
        Column(code="version", title=N_("版本"), cell=lambda one, words: counted(one.version), numeric=True),
        Column(code="update", title=N_("更新"), cell=_update, css="nowrap"),
        Column(
            code="published_at", title=N_("发布时间"), cell=lambda one, words: at(one.published_at), shown=False,
            css="nowrap",
        ),
    ),
    filters=(
        Filter(name="sharing", title=N_("共享类型"), kind="chips", words=SHARING),
        Filter(name="provider", title=N_("提供单位")),
    ),
)  # fmt: skip
