"""The desks' words: rights, kinds of organisation, what may be asked for, and the states of requests, accounts, keys."""

from __future__ import annotations

from admin.language import N_
from hub.registry.permissions import Right

RIGHTS = {
    Right.SIGNED_IN: N_("登录，管理自己的密码、第二步验证和会话"),
    Right.SUBMIT: N_("报送本单位的数据"),
    Right.CONFIRM_SUBMISSION: N_("作为第二人复核本单位影响异常的报送"),
    Right.READ_SUBMISSION: N_("查看本单位的报送、回执和错误"),
    Right.READ_ALL_SUBMISSIONS: N_("查看全区报送的进度和数量，号码遮盖"),
    Right.PULL_SLICE: N_("下载已批准给本单位的数据"),
    Right.READ_CHANGE_LIST: N_("查看本辖区的人口变动清单"),
    Right.READ_MEASURES: N_("查看全区月度数量，不涉及个人"),
    Right.UNMASK: N_("说明理由后显示一项被遮盖的号码"),
    Right.READ_REGISTRY: N_("查看数据类型、区划和单位名录"),
    Right.ASK_ACCESS: N_("申请开户、启用账号、重置密码和增改单位；停用账号"),
    Right.ASK_OWN_ACCESS: N_("为本单位申请账号、重置密码和密钥"),
    Right.MANAGE_ACCOUNTS: N_("审批申请，管理角色、密钥和会话"),
    Right.READ_AUDIT: N_("查询和导出审计"),
    Right.READ_SHARING: N_("查看本单位的订阅、申请、积压和完整性证明"),
    Right.KEEP_ENTRY: N_("维护本单位的数据目录"),
    Right.ASK_SLICE: N_("为本单位申请订阅"),
    Right.ANSWER_SLICE: N_("答复对本单位数据的订阅申请"),
    Right.OVERSEE_SHARING: N_("审核目录，同意延期，督办、暂停、终止订阅"),
    Right.READ_DISCLOSURES: N_("查询某人信息的去向，不含内容"),
}
KINDS = {
    "department": N_("部门"),
    "care": N_("医疗照护单位"),
    "town": N_("镇街"),
    "village": N_("村居"),
    "bureau": N_("区局"),
    "information_centre": N_("信息中心"),
    "upper": N_("上级单位"),
}
ACTS = {
    "open_account": N_("开户"),
    "enable_account": N_("启用账号"),
    "reset_password": N_("重置密码"),
    "save_organisation": N_("新增或修改单位"),
    "enable_organisation": N_("启用单位"),
    "disable_organisation": N_("停用单位"),
    "issue_key": N_("发放密钥"),
}
REQUEST_STATES = {
    "waiting": N_("待审批"),
    "confirmed": N_("已同意"),
    "refused": N_("不同意"),
    "withdrawn": N_("已撤回"),
}
ACCOUNT_STATES = {"usable": N_("可用"), "locked": N_("锁定"), "disabled": N_("停用"), "closed": N_("已注销")}
KEY_KINDS = {"secret": N_("密钥"), "certificate": N_("客户端证书"), "ssh": N_("SSH 公钥")}
KEY_STATES = {"usable": N_("可用"), "expired": N_("已过期"), "revoked": N_("已撤销")}
CONTENT = {
    "name": N_("名称或姓名"),
    "name_en": N_("英文名称"),
    "organisation": N_("单位"),
    "roles": N_("角色"),
    "language": N_("语言"),
    "kind": N_("单位类别"),
    "area_id": N_("区划编号"),
    "title": N_("用于哪个系统"),
    "scopes": N_("权限"),
    "expires_at": N_("有效期至"),
}
