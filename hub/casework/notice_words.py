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


NOTICE_KINDS: dict[str, NoticeKind] = {
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
    "reported": NoticeKind(
        title="家庭服务需求", title_en="Family service requests", page="/submissions",
        text="镇街报来家庭服务需求 {items} 件，请受理。",
        text_en="Towns reported {items} family service requests: please take them up.",
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
