"""The words for what runs: channels, jobs and their states, and what to do about each."""

from __future__ import annotations

from admin.language import N_

CHANNEL_KINDS = {
    "sftp_fetch": N_("SFTP 取文件"),
    "sftp_deliver": N_("SFTP 送数据"),
    "out_folder": N_("下发文件夹"),
    "http_pull": N_("接口抓取"),
    "webhook": N_("变动通知"),
}
CHANNEL_STATES = {
    "ok": N_("正常"),
    "failing": N_("失败，自动重试中"),
    "alarm": N_("告警：长时间未成功"),
    "disabled": N_("对方已停用"),
    "off": N_("未启用"),
    "new": N_("尚未运行"),
}
CHANNEL_ADVICE = {
    "failing": N_("看错误原因；枢纽会按退避时间自动再试。"),
    "alarm": N_("请联系对方单位，并在枢纽主机上运行 hub channels try。"),
    "disabled": N_("与对方核实后，在枢纽主机上运行 hub channels enable。"),
}
TASKS = {
    "run_submission": N_("处理报送"),
    "carry_out_decision": N_("执行人员认定"),
    "carry_out_round_order": N_("办理核对指令"),
    "carry_out_month_asking": N_("提醒报送单位"),
    "retry_stalled": N_("接手中断的任务"),
    "sweep_submissions": N_("查找遗漏的报送"),
    "seal_audit": N_("审计封存"),
    "anchor_audit": N_("审计锚定"),
    "derive_profiles": N_("更新人员属性"),
    "keep_quality": N_("质量数字更新"),
    "keep_rounds": N_("月度核对开启与提醒"),
    "close_months": N_("平衡表生成与封账"),
    "keep_challenges": N_("校核跟踪"),
    "send_notices": N_("发送提醒"),
    "keep_licences": N_("订阅期限与完整性证明"),
    "watch_slices": N_("时效监测"),
    "compare_sources": N_("多源比对"),
    "expire_files": N_("到期文件清理"),
    "tidy": N_("日常清理"),
}
FINDINGS = {
    "D_SPACE": N_("磁盘空间"),
    "D_INODES": N_("文件数余量"),
    "D_BACKUP": N_("最近备份"),
    "D_QUEUE": N_("最早未完成的报送任务"),
    "D_STUCK": N_("长事务"),
    "D_FAILED": N_("处理失败的报送"),
    "D_CHANNELS": N_("对外通道"),
    "D_FRESHNESS": N_("共享时效"),
    "D_NOTICES": N_("提醒发送"),
    "D_CONTACTS": N_("镇街有联系人"),
}
LIGHTS = {"ok": N_("正常"), "warn": N_("注意"), "fail": N_("故障")}
SHOWN_STATES = {"trouble": N_("需要处理的"), "all": N_("全部")}
