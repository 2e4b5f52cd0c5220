"""The pages' words for states, levels, changes and doors: one word per idea, Chinese here and English in the catalogue."""

from __future__ import annotations

from admin.language import N_

STATES = {
    "received": N_("已收到"),
    "asking": N_("待确认列名"),
    "checked": N_("已检查"),
    "braked": N_("待复核"),
    "merged": N_("已入库"),
    "previewed": N_("试检完成"),
    "refused": N_("整份退回"),
    "failed": N_("处理失败"),
}
KINDS = {
    "regular": N_("月度报送"),
    "nil": N_("本月无变动"),
    "backfill": N_("补录历史"),
    "undo": N_("撤销报送"),
    "release": N_("采纳待核"),
    "system": N_("系统"),
}
LEVELS = {"error": N_("退回"), "hold": N_("待核"), "warning": N_("警告"), "note": N_("提示")}
COUNTS = {
    "received": N_("收到"),
    "accepted": N_("通过"),
    "unchanged": N_("无变化"),
    "held": N_("待核"),
    "refused": N_("退回"),
}
EFFECTS = {
    "new": N_("新增"),
    "changed": N_("更正"),
    "unchanged": N_("无变化"),
    "voided": N_("作废"),
    "restored": N_("恢复"),
}
OUTCOMES = {
    "new": N_("新增"),
    "update": N_("更正"),
    "void": N_("作废"),
    "restore": N_("恢复"),
    "unchanged": N_("无变化"),
    "hold": N_("待核"),
}
CHANGES = {"enter": N_("新增"), "update": N_("更正"), "leave": N_("移出"), "void": N_("作废")}
DOORS = {
    "upload": N_("网页上传"),
    "folder": N_("目录投放"),
    "sftp": N_("SFTP 投放"),
    "api": N_("接口"),
    "command": N_("命令行"),
    "pull": N_("枢纽抓取"),
    "round": N_("月度核对"),
    "system": N_("系统"),
}
ROLES = {
    "department_clerk": N_("部门报送员"),
    "data_officer": N_("部门数据专员"),
    "town_officer": N_("镇街经办人"),
    "care_worker": N_("医护人员"),
    "bureau_operator": N_("区局经办人"),
    "bureau_leader": N_("区局领导"),
    "system_administrator": N_("系统管理员"),
    "security_administrator": N_("安全管理员"),
    "auditor": N_("审计管理员"),
    "integrator": N_("系统对接人员"),
}
