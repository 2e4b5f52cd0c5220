"""Which pages an account has, by its rights, and how they are grouped."""

from __future__ import annotations

from itertools import groupby

import msgspec

from admin.language import N_
from hub.registry.permissions import Actor, Right


class PageLink(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the navigation."""

    path: str
    title: str
    part: str  # what belongs together, see PARTS
    rights: tuple[Right, ...]  # any of them
    current: bool = False


class PagePart(msgspec.Struct, frozen=True, kw_only=True):
    """Pages that stand behind one entry of the navigation, and in a row of their own once one of them is open."""

    title: str
    pages: list[PageLink]

    @property
    def current(self) -> bool:
        return any(page.current for page in self.pages)


IN_ONE_ROW = 6  # pages of an account that has no more than these are not grouped
PARTS = {
    "home": N_("待办"),
    "oversight": N_("总览"),
    "month": N_("报送"),
    "round": N_("镇街核对"),
    "judge": N_("核实"),
    "people": N_("人员"),
    "sharing": N_("数据共享"),
    "registry": N_("登记"),
    "running": N_("运行"),
    "access": N_("账号权限"),
    "audit": N_("审计"),
}
_SENDERS = (Right.READ_SUBMISSION, Right.READ_ALL_SUBMISSIONS)
_GRANTERS = (Right.MANAGE_ACCOUNTS, Right.ASK_ACCESS, Right.ASK_OWN_ACCESS)
PAGES = (
    PageLink(path="/", title=N_("待办"), part="home", rights=(Right.SIGNED_IN,)),
    PageLink(path="/notices", title=N_("提醒"), part="home", rights=(Right.READ_SUBMISSION, Right.READ_ROUND)),
    PageLink(
        path="/board", title=N_("月度总览"), part="oversight", rights=(Right.READ_ALL_SUBMISSIONS, Right.READ_MEASURES)
    ),
    PageLink(
        path="/matrix", title=N_("矩阵"), part="oversight", rights=(Right.READ_ALL_SUBMISSIONS, Right.READ_MEASURES)
    ),
    PageLink(
        path="/screen", title=N_("大屏"), part="oversight", rights=(Right.READ_ALL_SUBMISSIONS, Right.READ_MEASURES)
    ),
    PageLink(path="/month", title=N_("本月报送"), part="month", rights=(Right.READ_SUBMISSION,)),
    PageLink(path="/submissions/new", title=N_("上传报送"), part="month", rights=(Right.SUBMIT,)),
    PageLink(path="/submissions", title=N_("报送记录"), part="month", rights=_SENDERS),
    PageLink(path="/templates", title=N_("报送模板"), part="month", rights=(Right.SUBMIT,)),
    PageLink(path="/doors", title=N_("接口与通道"), part="month", rights=(Right.READ_OWN_DOORS,)),
    PageLink(path="/rounds", title=N_("月度核对"), part="round", rights=(Right.READ_ROUND,)),
    PageLink(path="/changes", title=N_("变动清单"), part="round", rights=(Right.READ_CHANGE_LIST,)),
    PageLink(path="/rolls", title=N_("名册比对"), part="round", rights=(Right.READ_CHANGE_LIST,)),
    PageLink(path="/balance", title=N_("平衡表"), part="round", rights=(Right.READ_ROUND,)),
    PageLink(path="/held", title=N_("待核"), part="judge", rights=(Right.DECIDE_HELD, Right.READ_ALL_SUBMISSIONS)),
    PageLink(path="/pairs", title=N_("疑似同一人"), part="judge", rights=(Right.JUDGE_PERSON,)),
    PageLink(path="/comparisons", title=N_("比对"), part="judge", rights=(Right.WORK_COMPARISON,)),
    PageLink(path="/challenges", title=N_("校核"), part="judge", rights=(Right.WORK_CHALLENGE,)),
    PageLink(path="/quality", title=N_("质量"), part="judge", rights=(Right.READ_QUALITY, Right.READ_MEASURES)),
    PageLink(path="/people", title=N_("人员查找"), part="people", rights=(Right.READ_PERSON,)),
    PageLink(path="/verify", title=N_("身份核验"), part="people", rights=(Right.VERIFY_PEOPLE,)),
    PageLink(path="/catalogue", title=N_("数据目录"), part="sharing", rights=(Right.READ_SHARING, Right.ASK_SLICE)),
    PageLink(path="/licences", title=N_("订阅申请"), part="sharing", rights=(Right.READ_SHARING,)),
    PageLink(path="/subscriptions", title=N_("数据订阅"), part="sharing", rights=(Right.READ_SHARING,)),
    PageLink(path="/certificates", title=N_("完整性证明"), part="sharing", rights=(Right.READ_SHARING,)),
    PageLink(path="/freshness", title=N_("时效"), part="sharing", rights=(Right.READ_SHARING,)),
    PageLink(path="/corrections", title=N_("更正与存疑"), part="sharing", rights=(Right.READ_SHARING,)),
    PageLink(path="/organisations", title=N_("单位名录"), part="registry", rights=(Right.READ_RUNNING,)),
    PageLink(path="/areas", title=N_("区划名录"), part="registry", rights=(Right.READ_RUNNING,)),
    PageLink(path="/mappings", title=N_("映射"), part="registry", rights=(Right.READ_RUNNING,)),
    PageLink(path="/running", title=N_("运行状况"), part="running", rights=(Right.READ_RUNNING,)),
    PageLink(path="/accounts", title=N_("账号"), part="access", rights=_GRANTERS),
    PageLink(path="/access-requests", title=N_("权限申请"), part="access", rights=_GRANTERS),
    PageLink(path="/keys", title=N_("系统密钥"), part="access", rights=(Right.MANAGE_ACCOUNTS, Right.ASK_OWN_ACCESS)),
    PageLink(path="/audit", title=N_("审计查询"), part="audit", rights=(Right.READ_AUDIT,)),
    PageLink(path="/audit/verification", title=N_("审计验证"), part="audit", rights=(Right.READ_AUDIT,)),
    PageLink(path="/disclosures", title=N_("信息去向"), part="audit", rights=(Right.READ_DISCLOSURES,)),
)


def links_for(actor: Actor, path: str) -> list[PageLink]:
    """The account's pages; the one that ``path`` belongs to is marked."""
    mine = pages_of(actor)
    fitting = [page.path for page in mine if path == page.path or path.startswith(page.path + "/")]
    nearest = max(fitting, key=len, default="")
    return [msgspec.structs.replace(page, current=page.path == nearest) for page in mine]


def bar_for(actor: Actor, path: str) -> list[PageLink | PagePart]:
    """The navigation: page by page where they are few, else part by part."""
    links = links_for(actor, path)
    if len(links) <= IN_ONE_ROW:
        return list(links)
    bar: list[PageLink | PagePart] = []
    for part, pages in groupby(links, key=lambda page: page.part):
        together = list(pages)
        bar += [PagePart(title=PARTS[part], pages=together)] if together[1:] else together
    return bar


def pages_of(actor: Actor) -> list[PageLink]:
    """In the order of the parts; within a part, as they were written down."""
    order = list(PARTS)
    mine = [page for page in PAGES if any(actor.may(right) for right in page.rights)]
    return sorted(mine, key=lambda page: order.index(page.part))
