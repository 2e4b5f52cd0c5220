"""The pages' words for requests: kinds, states, answers, acts, levels."""

from __future__ import annotations

from admin.language import N_

REQUEST_KINDS = {"new": N_("新申请"), "change": N_("变更"), "renew": N_("续期")}
REQUEST_STATES = {
    "draft": N_("草稿"),
    "incomplete": N_("待补正"),
    "submitted": N_("待答复"),
    "approved": N_("已批准"),
    "refused": N_("未获批准"),
    "withdrawn": N_("已撤回"),
}
ANSWER_STATES = {"waiting": N_("待答复"), "approved": N_("同意共享"), "refused": N_("不同意共享")}
ANSWERS = {"approved": N_("同意共享"), "refused": N_("不同意共享")}
SHARED_HOW = {"unconditional": N_("无条件共享"), "conditional": N_("有条件共享")}
LEVELS = {0: N_("未提请"), 1: N_("区局协调"), 2: N_("共同上级协调"), 3: N_("报区政府")}
EVENTS = {
    "approved": N_("批准生效"),
    "changed": N_("变更生效"),
    "renewed": N_("续期生效"),
    "suspended": N_("暂停"),
    "resumed": N_("恢复"),
    "ended": N_("终止"),
    "lapsed": N_("到期"),
    "stop_asked": N_("提供单位提请暂停"),
}
SUBSCRIPTION_STATES = {"active": N_("使用中"), "suspended": N_("已暂停"), "ended": N_("已终止")}
LICENCE_DONE = {
    "drafted": N_("已存为草稿。"),
    "submitted": N_("已提交，提供单位会在期限内答复。"),
    "incomplete": N_("还不能提交：请按下面的清单补正。"),
    "answer": N_("已答复。"),
    "extension": N_("已申请延期，待区局同意。"),
    "consent": N_("已同意延期，使用单位会收到提醒。"),
    "withdraw": N_("已撤回。"),
    "escalate": N_("已提请协调。"),
    "send-back": N_("已退回提供单位重新答复。"),
    "remind": N_("已催办。"),
    "suspend": N_("订阅已暂停，立即停止下发。"),
    "resume": N_("订阅已恢复。"),
    "end": N_("订阅已终止。"),
    "ask-stop": N_("已提请区局核实；在区局决定之前，订阅照常下发。"),
}
