"""The words of every kind of notice: one sentence of counts and dates for the page, the mail and the short message."""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

Way = Literal["mail", "sms"]
BOTH: tuple[Way, ...] = ("mail", "sms")
_SUBJECT = "区级数据交换枢纽：{title} {title_en}"
_WHERE = "请登录区级数据交换枢纽办理。"
_WHERE_EN = "Please sign in to the district exchange hub."


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """All that a notice may say: counts, dates, a month, codes of organisations. Nothing here can hold a person."""

    month: str = ""
    items: int = 0
    due_on: date | None = None
    organisations: tuple[str, ...] = ()
    number: str = ""  # of an export or a request, a subscription's code, a record type's, a channel's name


class NoticeKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind: its title, its sentence over Facts, and how it is sent out."""

    title: str
    title_en: str
    text: str
    text_en: str
    page: str  # where its work is done, in the panel
    ways: tuple[Way, ...] = BOTH


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """A notice in words, both languages."""

    title: str
    title_en: str
    text: str
    text_en: str
    page: str


_LICENCES = "/licences"
LICENCE_NOTICES: dict[str, NoticeKind] = {
    "licence_asked": NoticeKind(
        title="订阅申请待答复", title_en="A licence request to answer", page=_LICENCES,
        text="订阅申请 {number} 待你单位答复，{due_on} 到期。",
        text_en="Licence request {number} waits for your unit's answer, due on {due_on}.",
    ),
    "licence_due": NoticeKind(
        title="订阅申请答复即将到期", title_en="An answer is due soon", page=_LICENCES,
        text="订阅申请 {number} 还未答复，{due_on} 到期。",
        text_en="Licence request {number} is not answered yet; the answer is due on {due_on}.",
    ),
    "licence_overdue": NoticeKind(
        title="订阅申请逾期未答复", title_en="An answer is overdue", page=_LICENCES,
        text="订阅申请 {number} 逾期未答复（{due_on} 到期），已报区局。逾期仍须答复。",
        text_en="The answer to licence request {number} was due on {due_on}; the bureau was told. It must still be given.",
    ),
    "licence_reminded": NoticeKind(
        title="区局催办订阅申请", title_en="The bureau reminds you", page=_LICENCES,
        text="区局催办：订阅申请 {number} 请尽快答复（{due_on} 到期）。",
        text_en="The bureau reminds you of licence request {number}: its answer is due on {due_on}.",
    ),
    "licence_escalated": NoticeKind(
        title="订阅申请提请协调", title_en="A licence request was escalated", page=_LICENCES,
        text="订阅申请 {number} 已提请协调（{items} 级）。",
        text_en="Licence request {number} was escalated to level {items}.",
    ),
    "licence_incomplete": NoticeKind(
        title="订阅申请需补正", title_en="A licence request is incomplete", page=_LICENCES, ways=("mail",),
        text="订阅申请 {number} 有 {items} 处需补正，补正后重新提交，答复期限从那时起算。",
        text_en="Licence request {number} lacks {items} things; complete it and hand it in again.",
    ),
    "licence_approved": NoticeKind(
        title="订阅申请已批准", title_en="A licence request was approved", page=_LICENCES,
        text="订阅申请 {number} 已批准。", text_en="Licence request {number} was approved.",
    ),
    "licence_refused": NoticeKind(
        title="订阅申请未获批准", title_en="A licence request was refused", page=_LICENCES,
        text="订阅申请 {number} 未获批准，理由见申请页；有异议可提请区局协调。",
        text_en="Licence request {number} was refused; the reason is on its page. You may bring it before the bureau.",
    ),
    "licence_extension": NoticeKind(
        title="申请延长答复期限", title_en="An extension is asked for", page=_LICENCES,
        text="订阅申请 {number} 的提供单位申请延长答复期限 {items} 个工作日，请审核。",
        text_en="A provider of licence request {number} asks for {items} working days more: please decide.",
    ),
    "licence_extended": NoticeKind(
        title="答复期限已延长", title_en="The answer has more time", page=_LICENCES,
        text="经区局同意，订阅申请 {number} 的答复期限延长至 {due_on}。",
        text_en="With the bureau's consent, the answer to licence request {number} is now due on {due_on}.",
    ),
    "licence_undelivered": NoticeKind(
        title="批准后逾期未下发", title_en="An approved slice was not delivered", page=_LICENCES,
        text="订阅申请 {number} 已批准，{due_on} 前应首次下发，至今没有下发。",
        text_en="Licence request {number} was approved; the first delivery was due by {due_on} and has not come.",
    ),
    "subscription_expiring": NoticeKind(
        title="订阅即将到期", title_en="A subscription expires soon", page=_LICENCES,
        text="订阅 {number} 的使用时限为 {due_on}，还有 {items} 天；需要继续使用的请续期。",
        text_en="Subscription {number} may be used until {due_on}, {items} days more; have it renewed if it is needed.",
    ),
    "subscription_lapsed": NoticeKind(
        title="订阅已到期", title_en="A subscription has lapsed", page=_LICENCES,
        text="订阅 {number} 已于 {due_on} 到期，停止下发；已取得的数据请按规定处置。",
        text_en="Subscription {number} lapsed after {due_on}; nothing is delivered. Dispose of the data as the rules say.",
    ),
    "subscription_suspended": NoticeKind(
        title="订阅已暂停", title_en="A subscription was suspended", page=_LICENCES,
        text="订阅 {number} 已暂停，停止下发。", text_en="Subscription {number} was suspended; nothing is delivered.",
    ),
    "subscription_resumed": NoticeKind(
        title="订阅已恢复", title_en="A subscription was resumed", page=_LICENCES,
        text="订阅 {number} 已恢复下发。", text_en="Subscription {number} was resumed.",
    ),
    "subscription_ended": NoticeKind(
        title="订阅已终止", title_en="A subscription has ended", page=_LICENCES,
        text="订阅 {number} 已终止；已取得的数据请按规定处置。",
        text_en="Subscription {number} has ended. Dispose of the data as the rules say.",
    ),
    "subscription_stop_asked": NoticeKind(
        title="提供单位提请暂停订阅", title_en="A provider asks to stop a subscription", page=_LICENCES,
        text="提供单位提请暂停或终止订阅 {number}，请区局核实。",
        text_en="A provider asks that subscription {number} be stopped: please look into it.",
    ),
}  # fmt: skip

NOTICE_KINDS: dict[str, NoticeKind] = {
    **LICENCE_NOTICES,
    "round_opened": NoticeKind(
        title="月度核对开始", title_en="The round is open", page="/rounds/{month}/items",
        text="{month} 月度核对已开始：变动清单 {items} 项，请于 {due_on} 前核对回报。",
        text_en="The round of {month} is open: {items} lines, to be answered by {due_on}.",
    ),
    "round_empty": NoticeKind(
        title="月度核对开始", title_en="The round is open", page="/rounds",
        text="{month} 月度核对已开始：本月没有变动须核对；清单上没有的人请照常补报。",
        text_en="The round of {month} is open: nothing to verify; please report whom nobody knows of, as ever.",
        ways=("mail",),
    ),
    "due_soon": NoticeKind(
        title="月度核对即将到期", title_en="The round is due soon", page="/rounds/{month}/items",
        text="{month} 月度核对还有 {items} 项未回报，{due_on} 到期。",
        text_en="{items} lines of the round of {month} are still open; they are due on {due_on}.",
    ),
    "overdue": NoticeKind(
        title="月度核对逾期", title_en="The round is overdue", page="/rounds/{month}/items",
        text="{month} 月度核对有 {items} 项未回报，已于 {due_on} 到期。逾期仍须办理。",
        text_en="{items} lines of the round of {month} were due on {due_on}. They must still be answered.",
    ),
    "round_reminded": NoticeKind(
        title="区局催办月度核对", title_en="The bureau asks for the round", page="/rounds/{month}/items",
        text="区局催办：{month} 月度核对还有 {items} 项未核（{due_on} 到期），请尽快办理。",
        text_en="The bureau asks for the round of {month}: {items} lines are still open, due on {due_on}.",
    ),
    "escalated": NoticeKind(
        title="月度核对逾期，已报区局", title_en="The overdue round was told to the bureau", page="/rounds/{month}/items",
        text="{month} 月度核对有 {items} 项未回报（{due_on} 到期），已报区局。",
        text_en="{items} lines of the round of {month}, due on {due_on}, are open; the bureau was told.",
    ),
    "towns_late": NoticeKind(
        title="镇街逾期未回报", title_en="Towns are late", page="/rounds",
        text="{month} 月度核对：{organisations} 个镇街共 {items} 项逾期未回报（{due_on} 到期）。",
        text_en="Round of {month}: {organisations} towns have {items} lines open that were due on {due_on}.",
    ),
    "transferred": NoticeKind(
        title="转来待核对事项", title_en="Lines were transferred to you", page="/rounds/{month}/items",
        text="{month} 月度核对有 {items} 项由其他镇街转来，最早 {due_on} 到期。",
        text_en="{items} lines of the round of {month} were transferred to you; the first is due on {due_on}.",
    ),
    "challenged": NoticeKind(
        title="校核待答复", title_en="Challenges to answer", page="/challenges",
        text="{items} 项校核待你单位答复，最早 {due_on} 到期。",
        text_en="{items} challenges wait for your unit's answer; the first is due on {due_on}.",
    ),
    "challenge_due": NoticeKind(
        title="校核即将到期", title_en="Challenges are due soon", page="/challenges",
        text="{items} 项校核还未答复，{due_on} 到期。",
        text_en="{items} challenges are not answered yet; they are due on {due_on}.",
    ),
    "challenge_overdue": NoticeKind(
        title="校核逾期", title_en="Challenges are overdue", page="/challenges",
        text="{items} 项校核逾期未答复（{due_on} 到期）。逾期仍须办理。",
        text_en="{items} challenges were due on {due_on}. They must still be answered.",
    ),
    "challenge_unanswered": NoticeKind(
        title="对方逾期未答复校核", title_en="Your challenges are not answered", page="/challenges",
        text="你单位提出的 {items} 项校核，对方逾期未答复（{due_on} 到期）。",
        text_en="{items} challenges your unit raised, due on {due_on}, are not answered.", ways=("mail",),
    ),
    "challenge_escalated": NoticeKind(
        title="校核逾期，已报区局", title_en="Overdue challenges were told to the bureau", page="/challenges",
        text="{items} 项校核逾期未答复（{due_on} 到期），已报区局。",
        text_en="{items} challenges, due on {due_on}, are not answered; the bureau was told.",
    ),
    "sources_late": NoticeKind(
        title="单位逾期未答复校核", title_en="Units are late with challenges", page="/challenges",
        text="{organisations} 个单位共 {items} 项校核逾期未答复（{due_on} 到期）。",
        text_en="{organisations} units have {items} challenges open that were due on {due_on}.",
    ),
    "challenge_answered": NoticeKind(
        title="校核已有答复", title_en="Challenges were answered", page="/challenges",
        text="你单位提出的 {items} 项校核已有答复，请确认。",
        text_en="{items} challenges your unit raised were answered: please close them.", ways=("mail",),
    ),
    "month_asked": NoticeKind(
        title="区局催报", title_en="The bureau asks for the month", page="/month",
        text="区局催报：{month} 还有 {items} 类信息未报送（最早 {due_on} 到期）。没有变动的，请零报送。",
        text_en="The bureau asks for {month}: {items} record types are not sent yet, the first due on {due_on}."
        " Where nothing happened, send a nil return.",
    ),
    "copy_differs": NoticeKind(
        title="副本与枢纽不一致", title_en="Your copy differs", page="/subscriptions/{number}/copy-checks",
        text="订阅 {number} 的副本比对发现 {items} 处不一致，请修复后再比对。",
        text_en="The comparison of your copy of {number} found {items} differences: repair them and compare again.",
    ),
    "copies_differ": NoticeKind(
        title="使用单位副本与枢纽不一致", title_en="A receiver's copy differs", page="/subscriptions/{number}/copy-checks",
        ways=("mail",),
        text="订阅 {number} 的使用单位比对副本，发现 {items} 处不一致。",
        text_en="The receiver of {number} compared its copy and found {items} differences.",
    ),
    "reported": NoticeKind(
        title="家庭服务需求", title_en="Family service requests", page="/submissions",
        text="镇街报来家庭服务需求 {items} 件，请受理。",
        text_en="Towns reported {items} family service requests: please take them up.",
    ),
    "entry_due": NoticeKind(
        title="数据目录待更新", title_en="An entry of the data catalogue is to be updated", page="/catalogue",
        text="你单位有 {items} 个数据目录条目须更新，请于 {due_on} 前提交。",
        text_en="{items} entry of your data catalogue is to be updated and handed in by {due_on}.",
    ),
    "entry_returned": NoticeKind(
        title="数据目录被退回", title_en="An entry of the data catalogue was given back", page="/catalogue",
        text="你单位提交的 {items} 个数据目录条目被退回，请补正后重新提交（期限 {due_on}）。",
        text_en="{items} entry you handed in was given back: please put it right by {due_on}.",
    ),
    "entry_overdue": NoticeKind(
        title="数据目录逾期未更新", title_en="An entry of the data catalogue is overdue", page="/catalogue",
        text="你单位有 {items} 个数据目录条目逾期未更新（{due_on} 到期）。逾期仍须办理。",
        text_en="{items} entry of your data catalogue was due on {due_on}. It must still be updated.",
    ),
    "entry_late": NoticeKind(
        title="单位逾期未更新数据目录", title_en="A provider is late with its data catalogue", page="/catalogue",
        text="{organisations} 个单位有 {items} 个数据目录条目逾期未更新（{due_on} 到期）。",
        text_en="{items} entry of {organisations} provider was due on {due_on}.", ways=("mail",),
    ),
    "entry_review": NoticeKind(
        title="数据目录待审核", title_en="An entry of the data catalogue waits for review", page="/catalogue",
        text="{items} 个数据目录条目待审核，请于 {due_on} 前发布或退回。",
        text_en="{items} entry of the data catalogue is to be published or given back by {due_on}.",
    ),
    "entry_review_overdue": NoticeKind(
        title="数据目录审核逾期", title_en="A review of the data catalogue is overdue", page="/catalogue",
        text="{items} 个数据目录条目逾期未审核（{due_on} 到期）。",
        text_en="{items} entry of the data catalogue was to be reviewed by {due_on}.",
    ),
    "deliveries_unfetched": NoticeKind(
        title="下发即将逾期未收取", title_en="Deliveries are not fetched", page="/subscriptions",
        text="订阅 {number} 有 {items} 次下发尚未收取，应于 {due_on} 前收取并签收。",
        text_en="{items} deliveries of the subscription {number} are to be fetched and acknowledged by {due_on}.",
    ),
    "deliveries_unacknowledged": NoticeKind(
        title="下发即将逾期未签收", title_en="Deliveries are not acknowledged", page="/subscriptions",
        text="订阅 {number} 有 {items} 次下发已收取、尚未签收，应于 {due_on} 前签收。",
        text_en="{items} deliveries of the subscription {number} were fetched and are to be acknowledged by {due_on}.",
    ),
    "slice_stale": NoticeKind(
        title="订阅切片停滞", title_en="A slice has stopped moving", page="/freshness",
        text="订阅 {number} 有变动超过时效目标仍未取走，请检查接收程序。",
        text_en="Changes of the subscription {number} wait beyond its freshness target: see to the reader.",
    ),
    "acknowledgement_differs": NoticeKind(
        title="签收摘要不一致", title_en="An acknowledgement differs", page="/freshness",
        text="订阅 {number} 有 {items} 次下发的签收摘要与枢纽不一致，请比对副本。",
        text_en="{items} acknowledgements of the subscription {number} differ from what was delivered: compare the copy.",
    ),
    "source_silent": NoticeKind(
        title="数源单位未按时报送", title_en="A source is silent", page="/freshness",
        text="信息类别 {number} 超过更新频率未报送；没有变动的，请零报送。",
        text_en="Nothing was sent of {number} within its frequency; where there is nothing, send a nil return.",
    ),
    "channel_failing": NoticeKind(
        title="对外通道故障", title_en="A channel fails", page="/freshness",
        text="通道 {number} 连续失败 {items} 次，或长时间没有消息，请检查。",
        text_en="The channel {number} has failed {items} times in a row, or is silent: see to it.",
    ),
    "correction_unacknowledged": NoticeKind(
        title="更正逾期未签收", title_en="Corrections are not acknowledged", page="/corrections",
        text="订阅 {number} 有 {items} 项更正超过期限未签收。",
        text_en="{items} corrections of the subscription {number} are not acknowledged in time.",
    ),
    "export_corrected": NoticeKind(
        title="导出文件中的信息已更正", title_en="Records of an exported file were corrected", page="/corrections",
        text="导出文件 {number} 中有 {items} 条信息已更正，请停止使用旧文件并重新导出。",
        text_en="{items} records of the exported file {number} were corrected: use it no more, export anew.",
    ),
}  # fmt: skip


def wording_of(kind: str, facts: Facts) -> Wording:
    """The notice in words; a kind this version does not know is told by its name."""
    words = NOTICE_KINDS.get(kind) or NoticeKind(title=kind, title_en=kind, text=kind, text_en=kind, page="/notices")
    said = {
        "month": facts.month,
        "items": facts.items,
        "due_on": facts.due_on or "—",
        "organisations": len(facts.organisations),
        "number": facts.number or "—",
    }
    return Wording(
        title=words.title,
        title_en=words.title_en,
        text=words.text.format_map(said),
        text_en=words.text_en.format_map(said),
        page=words.page.format_map(said),
    )


def mail_of(unit: str, words: Wording) -> tuple[str, str]:
    """Subject and text of a mail; no link: nobody is to get used to following one."""
    subject = _SUBJECT.format(title=words.title, title_en=words.title_en)
    return subject, f"{unit}：\n\n{words.text}{_WHERE}\n\n{words.text_en} {_WHERE_EN}\n"


def short_message_of(unit: str, words: Wording) -> str:
    return f"{unit}：{words.text}{_WHERE}"
