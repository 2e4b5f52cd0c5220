"""What the demo tells at the end: who sent what, what became of it, who now holds what; in under sixty lines."""

from __future__ import annotations

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub.demo.founding import SFTP_SENDER, Founded, sftp_key_of
from hub.demo.month import MonthsTold
from hub.demo.reckoning import Reckoned
from hub.demo.settling import Settled
from hub.demo.subscribers import Replayed
from hub.settings import Settings

TITLES = {
    "town": "12 个镇街 towns", "public_security": "公安 police", "health": "卫健 health", "civil_affairs": "民政 civil affairs",
    "labour": "人社 labour", "commerce": "市监 commerce", "mch_station": "妇幼 care",
}  # fmt: skip
WIDTH = 112
_COMPARISONS_SHOWN = 4


class Summary(msgspec.Struct, kw_only=True):
    """Everything the demo found out about itself."""

    people: int
    seconds: dict[str, float]
    reckoned: Reckoned
    slices: list[Replayed]
    changes: int
    feed_problems: list[str]
    settled: Settled
    months: MonthsTold | None = None

    @property
    def right(self) -> bool:
        """Everything came out as it had to."""
        slices_right = all(one.equal and one.acknowledged for one in self.slices)
        people_right = not self.settled.differing and (self.months is None or self.months.balanced)
        return self.reckoned.right and slices_right and not self.feed_problems and people_right


def print_summary(summary: Summary, console: Console) -> None:
    console.print(
        f"\n[bold]虚构的云岭区 The fictitious district 999001[/]  {summary.people:,} 人 people，12 个月 months"
    )
    console.print(_sent(summary.reckoned))
    _print_checks(summary, console)
    _print_people(summary.settled, console)
    if summary.months is not None:
        _print_months(summary.months, console)
    console.print(_held(summary))
    timings = "，".join(f"{name} {seconds:.1f} s" for name, seconds in summary.seconds.items())
    console.print(f"用时 Time: {timings}")
    for sentence in (*summary.feed_problems, *summary.reckoned.wrong):
        console.print(f"[red]✗[/] {escape(sentence)}", highlight=False)
    verdict = (
        "[bold green]✓ 全部符合预期 Everything as expected[/]"
        if summary.right
        else "[bold red]✗ 有不符之处 Differences[/]"
    )
    console.print(verdict)


def _table(title: str, *columns: str, left: int = 1) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < left else "right", no_wrap=True)
    return table


def _sent(reckoned: Reckoned) -> Table:
    table = _table(
        "报送 Sent", "单位\norganisation", "文件\nfiles", "重传\nagain", "退件\nrejected", "收到\nreceived", "接收\naccepted",
        "无变化\nunchanged", "待核\nheld", "退回\nrefused",
    )  # fmt: skip
    for one in reckoned.departments:
        counts = (one.files, one.repeated_files, one.refused_files, one.received, one.accepted, one.unchanged, one.held)
        table.add_row(TITLES[one.sender], *(f"{count:,}" for count in (*counts, one.refused)))
    return table


def _print_checks(summary: Summary, console: Console) -> None:
    reckoned = summary.reckoned
    checks = {
        "文件结果 files as expected": (reckoned.files_right, reckoned.files),
        "问题行与重报行 dirty and repeated rows as expected": (reckoned.dirty_right, reckoned.dirty),
        "正常行入库 clean rows landed": (reckoned.clean_right, reckoned.clean),
        "镇街名册 town registers": (reckoned.towns_right, reckoned.towns),
        "订阅重放=查询 slices replayed = queried": (sum(one.equal for one in summary.slices), len(summary.slices)),
    }
    for name, (right, total) in checks.items():
        console.print(f"{_tick(right == total)} {name} {right:,}/{total:,}", highlight=False)
    records = sum(reckoned.register.values())
    console.print(f"{_tick(reckoned.register_right)} 现行记录 records in force {records:,}", highlight=False)
    feed = f"变动日志校验 feed verify: {summary.changes:,} 条变动 changes"
    console.print(f"{_tick(not summary.feed_problems)} {feed}", highlight=False)


def _print_people(settled: Settled, console: Console) -> None:
    derived = (
        f"人员属性重算一致 attributes recomputed the same {settled.persons - settled.differing:,}/{settled.persons:,}"
    )
    console.print(f"{_tick(not settled.differing)} {derived}", highlight=False)
    waiting = f"待人判断 for people to decide: 待核行 held rows {settled.held:,}，疑似同一人 pairs {settled.pairs:,}"
    console.print(f"  {waiting}，比对事项 comparison items {sum(settled.comparisons.values()):,}", highlight=False)
    for title, count in list(settled.comparisons.items())[:_COMPARISONS_SHOWN]:
        console.print(f"    {escape(title)} {count:,}", highlight=False)


def _print_months(months: MonthsTold, console: Console) -> None:
    console.print(
        f"  月度核对 rounds with the towns {months.rounds}：{months.lines:,} 项 lines，已核 answered {months.answered:,}，"
        f"待核 open {months.late:,}，校核 challenges {months.challenges:,}",
        highlight=False,
    )
    told = (
        f"月度平衡 the account balances in every village: {months.closed} 个月封账 months closed，常住 residents"
        f" {months.residents:,}" + (f"，说明放行 excused {months.excused:,}" if months.excused else "")
    )
    console.print(f"{_tick(months.balanced)} {told}", highlight=False)


def _tick(right: bool) -> str:
    return "[green]✓[/]" if right else "[red]✗[/]"


def _held(summary: Summary) -> Table:
    table = _table(
        "订阅 Slices",
        "代码 code",
        "内容 what",
        "现有 holds",
        "进入 enter",
        "更新 update",
        "离开 leave",
        "一致 equal",
        left=2,
    )
    for one in summary.slices:
        counts = (one.records, one.enters, one.updates, one.leaves)
        table.add_row(one.code, one.title, *(f"{count:,}" for count in counts), _tick(one.equal and one.acknowledged))
    return table


def print_logins(founded: Founded, settings: Settings, console: Console) -> None:
    """Addresses and logins, loudly: this is a demo and nothing else."""
    console.print(f"\n[bold yellow]仅供演示 DEMO ONLY[/]  http://{settings.host}:{settings.port}/")
    table = _table("", "账号 login", "密码 password", "单位 organisation", "角色 role", left=4)
    for one in founded.logins:
        table.add_row(one.login, one.password, one.organisation, one.role)
    console.print(table)
    for organisation, key in founded.keys.items():
        console.print(f"接口密钥 API key {organisation}: {key}", highlight=False)
    console.print(f"投递文件夹 drop folders: {settings.drops}", highlight=False)
    if settings.sftp.enabled:
        way = f"sftp -P {settings.sftp.port} -i {sftp_key_of(settings.home)} {SFTP_SENDER}@{settings.sftp.host}"
        console.print(f"SFTP: {way}", highlight=False, soft_wrap=True)
