"""The differences of a roll as a file to take to the village: masked, marked with who took it."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from hub.casework.roll_items import Chosen, list_items
from hub.casework.roll_words import Reader, ShownItem, shown
from hub.casework.roll_workbook import Wording, write_differences
from hub.database import Database, utc_now
from hub.decisions.rolls import RollCheck, find_roll
from hub.registry.areas import load_area_index
from hub.registry.organisations import Organisation, load_organisation
from hub.registry.permissions import Actor
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_MOST = 200_000
_WORDS = {
    "zh": {
        "title": "{unit}名册比对差异清单", "footer": "填表人：______________    审核人：______________    日期：______________",
        "watermark": "{unit} {account} 于 {time} 下载，仅用于名册核对，请妥善保管，用后销毁",
        "headers": "序号 村居 姓名 身份号码 名册行号 差异 名册 登记 上次名册 核实结果",
        "kinds": "漏登 错登 信息不一致 重登 无法识别", "registered": "区内他处已有登记 已登记迁出或死亡 未登记",
        "decisions": "名册为准 登记为准 入户再核",
    },
    "en": {
        "title": "{unit}: roll and register", "footer": "Filled in by: ________    Checked by: ________    Date: ________",
        "watermark": "Taken by {unit} {account} at {time}, for the check of the roll only. Keep it safe, destroy it after use",
        "headers": "No. Village Name Number Row Difference Roll Register Before Found",
        "kinds": "Not-registered Not-on-the-roll Different Twice Unreadable", "registered": "elsewhere gone nobody",
        "decisions": "roll register ask",
    },
}  # fmt: skip


def export_differences(
    database: Database, settings: Settings, catalogue: Catalogue, actor: Actor, roll_id: UUID, path: Path,
    chosen: Chosen | None = None, *, language: str = "zh",
) -> str:  # fmt: skip
    """Write the workbook; the name it should have."""
    english = language == "en"
    with database.begin(reach_of(actor)) as connection:
        check = find_roll(connection, actor, roll_id)
        reader = Reader(catalogue=catalogue, areas=load_area_index(connection), english=english)
        items = list_items(connection, actor, roll_id, chosen or Chosen(), limit=_MOST)
        unit = load_organisation(connection, actor.organisation)
    now = utc_now()
    words = _wording(unit, actor, now.astimezone(ZoneInfo(settings.time_zone)).strftime("%Y-%m-%d %H:%M"), english)
    write_differences(path, [shown(item, reader) for item in items], words, now)
    return f"{words.title}-{check.asked_at:%Y%m%d}.xlsx"


def shown_items(
    database: Database, catalogue: Catalogue, actor: Actor, roll_id: UUID, chosen: Chosen, after: int, limit: int,
    *, english: bool = False,
) -> tuple[RollCheck, list[ShownItem]]:  # fmt: skip
    """A page of the list, masked."""
    with database.begin(reach_of(actor)) as connection:
        check = find_roll(connection, actor, roll_id)
        reader = Reader(catalogue=catalogue, areas=load_area_index(connection), english=english)
        items = list_items(connection, actor, roll_id, chosen, after, limit)
    return check, [shown(item, reader) for item in items]


def _wording(unit: Organisation, actor: Actor, time: str, english: bool) -> Wording:
    said = _WORDS["en" if english else "zh"]
    name = unit.name_en if english and unit.name_en else unit.name
    kinds = ("missing_here", "missing_there", "different", "duplicated", "unreadable")
    return Wording(
        title=said["title"].format(unit=name),
        headers=said["headers"].split(),
        footer=said["footer"],
        watermark=said["watermark"].format(unit=name, account=actor.name, time=time),
        kinds=dict(zip(kinds, said["kinds"].split(), strict=True)),
        registered=dict(zip(("elsewhere", "gone", "nobody"), said["registered"].split(), strict=True)),
        decisions=dict(zip(("roll", "register", "ask"), said["decisions"].split(), strict=True)),
        english=english,
    )
