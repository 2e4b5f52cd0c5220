"""The cover of an export: who took it, what for, on what terms, how much is in it, and that it goes no further."""

from __future__ import annotations

from datetime import datetime

import msgspec

NOT_TO_BE_PASSED_ON = "本文件含个人信息，只用于上述用途和使用范围，不得转供第三方，不得另作他用；用后按规定销毁。"
NOT_TO_BE_PASSED_ON_EN = "Personal information: for the purpose and within the bounds above, not to be passed on."


class Cover(msgspec.Struct, frozen=True, kw_only=True):
    """What is on it, in the order it is written."""

    export_no: str
    organisation: str  # its name
    organisation_code: str
    login: str
    made_at: datetime
    subscription: str
    title: str
    version: int
    catalogue_no: str
    purpose: str
    legal_basis: str
    scope: str
    expires_on: str
    content: str  # whole as it stands, or which delivery numbers
    filter: str
    providers: str
    rows: int
    digest: str
    conditions: tuple[str, ...]

    @property
    def mark(self) -> str:
        """The light line on every sheet and every printed page."""
        return f"{self.export_no} · {self.organisation} · {self.login} · 不得转供第三方"

    def lines(self) -> list[tuple[str, str]]:
        """Label and value."""
        told = [(label, str(getattr(self, name))) for name, label in _LABELS.items()]
        told += [("使用要求", one) for one in self.conditions]
        return [*told, ("声明", NOT_TO_BE_PASSED_ON), ("Notice", NOT_TO_BE_PASSED_ON_EN)]

    def text(self) -> str:
        """As a text file beside the tables."""
        return "".join(f"{label}：{value or '—'}\r\n" for label, value in self.lines())


_LABELS = {
    "export_no": "导出编号",
    "organisation": "使用单位",
    "login": "下载人",
    "made_at": "下载时间",
    "subscription": "订阅",
    "title": "订阅名称",
    "version": "订阅版本",
    "catalogue_no": "目录编号",
    "purpose": "使用场景",
    "legal_basis": "使用依据",
    "scope": "使用范围",
    "expires_on": "使用时限",
    "content": "内容",
    "filter": "筛选",
    "providers": "提供单位",
    "rows": "行数",
    "digest": "内容摘要（SHA-256）",
}
