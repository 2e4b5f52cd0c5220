"""The data catalogue's words on pages: how something is shared, how often it comes, where a version stands."""

from __future__ import annotations

from admin.language import N_

SHARING = {"unconditional": N_("无条件共享"), "conditional": N_("有条件共享"), "none": N_("不予共享")}
FREQUENCIES = {
    "realtime": N_("实时"),
    "daily": N_("每日"),
    "weekly": N_("每周"),
    "monthly": N_("每月"),
    "as_it_comes": N_("不定期"),
}
MODES = {"interface": N_("服务接口"), "exchange": N_("批量交换"), "download": N_("文件下载")}
FORMATS = {"xlsx": N_("Excel 工作簿"), "csv": N_("CSV"), "json": N_("JSON")}
CLASSIFICATIONS = {
    1: N_("一级（公开）"),
    2: N_("二级（个人信息）"),
    3: N_("三级（敏感个人信息）"),
    4: N_("四级（医疗健康）"),
}
SENSITIVITIES = {
    "public": N_("公开"),
    "internal": N_("内部"),
    "personal": N_("个人信息"),
    "sensitive": N_("敏感个人信息"),
    "clinical": N_("医疗健康"),
}
ENTRY_STATES = {
    "due": N_("待更新"),
    "draft": N_("草稿"),
    "submitted": N_("待审核"),
    "returned": N_("已退回"),
    "published": N_("已发布"),
    "replaced": N_("已被替代"),
    "withdrawn": N_("已撤销"),
}
ENTRY_DONE = {
    "begin": N_("已建立草稿，请修改后提交。"),
    "saved": N_("已保存。完整后请提交审核。"),
    "extend": N_("已延长更新期限。"),
    "submit": N_("已提交区局审核。"),
    "drop": N_("已撤销这一版本。"),
    "publish": N_("已发布。"),
    "return": N_("已退回提供单位。"),
    "provider": N_("已指定提供单位，由其更新并提交目录条目。"),
}
