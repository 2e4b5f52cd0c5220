"""The inbox's sentences: one for each kind of line, Chinese here and English in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from admin.language import N_, Language, titled, translator
from hub.desks.inbox_lines import Line
from hub.registry.organisations import Organisation

SENTENCES = {
    "month": N_("{month}还有 {count} 类信息没有报送"),
    "asking": N_("{count} 份报送等待确认列名"),
    "braked": N_("{count} 份报送影响较大，等待第二人复核"),
    "round": N_("{month}核对还有 {count} 条没有答复"),
    "held": N_("{count} 行数据待核"),
    "pairs": N_("{count} 对人员疑似同一人，等待判断"),
    "comparisons": N_("{count} 项比对等待处理"),
    "challenges": N_("{count} 件校核等待答复"),
    "escalated": N_("{count} 件校核有争议，等待区局裁定"),
    "licence": N_("{organisation}的订阅申请 {number} 等待本单位答复"),
    "access": N_("{count} 件权限申请等待审批"),
    "errors": N_("{month}有 {count} 类报送存在差错，等待改正"),
    "turned_back": N_("{month}有 {count} 类已收下，但后来又报的一份被退回"),
    "answered": N_("{count} 件本单位提出的校核已有答复"),
    "licence_approved": N_("本单位的订阅申请 {number} 已批准"),
    "licence_refused": N_("本单位的订阅申请 {number} 未获批准"),
    "licence_incomplete": N_("本单位的订阅申请 {number} 需要补正"),
    "certificate": N_("订阅 {code} 已出具 {period} 的完整性证明"),
    "notices": N_("{count} 条提醒未读"),
    "sealed": N_("审计记录已封存至第 {number} 号"),
    "failed": N_("{month}有 {count} 份报送处理失败"),
    "stopped_uploads": N_("{count} 个 SFTP 文件没有传完，没有收下"),
    "units_late": N_("{month}各单位共有 {count} 类信息逾期未报"),
    "rounds_late": N_("{month}核对已过期限，还有 {count} 条没有答复"),
    "licence_late": N_("{organisation}的订阅申请 {number} 逾期未答复"),
    "alarms": N_("{count} 项时效告警：报送、下发或通道停滞"),
    "key_ends": N_("{organisation}的密钥“{title}”即将到期"),
    "key_ended": N_("{organisation}的密钥“{title}”已经到期"),
    "locked": N_("{count} 个账号被锁定"),
    "unsealed": N_("审计记录已超过一天没有封存（最后为第 {number} 号）"),
}
SECTIONS = {
    "due": (N_("该办的"), N_("没有要办的。")),
    "returned": (N_("退回和回复"), N_("没有新的退回和回复。")),
    "wrong": (N_("出了问题"), N_("一切正常。")),
}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A line as it is read."""

    line: Line
    count: str
    sentence: str


def tell(line: Line, known: Mapping[str, Organisation], language: Language) -> Told:
    """Its sentence in the reader's language; the count as it stands in it."""
    count = f"{line.count - 1}+" if line.limited else f"{line.count:,}"
    facts = dict(line.facts) | {"count": count}
    if "month" in facts:
        facts["month"] = written_month(facts["month"], language)
    if unit := known.get(facts.get("organisation", "")):
        facts["organisation"] = titled(unit.name, unit.name_en, language)
    return Told(line=line, count=count, sentence=translator(language)(SENTENCES[line.kind]).format(**facts))


def written_month(month: str, language: Language) -> str:
    return month if language == "en" else f"{month[:4]}年{int(month[5:])}月"
