"""The words of a change list as it is printed: each line as texts that read back as they were written, and its mark.

The list is Chinese whoever fetches it: its headers, its drop-downs and what its marks are made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec
import polars as pl

from hub.casework.item_list import ListedItem, RoundList
from hub.casework.list_mark import mark_of
from hub.registry.areas import AreaIndex
from mappings.catalogue import Catalogue
from mappings.fields.text import one_line

CHANGES = {"enter": "新增", "update": "更正", "leave": "移出", "void": "作废"}
CAME = {"change": "", "transfer": "转派", "again": "上月未核实"}
NO_NAME, NO_CHILDS_NAME = "不详", "未取名"  # read back as no name at all


class Printing(msgspec.Struct, frozen=True, kw_only=True):
    """For whom, by whom and when a list is printed, and with what its lines are marked."""

    unit: str
    account: str
    at: datetime  # on the district's clock
    key: bytes
    sources: Mapping[str, str]  # organisation code -> name

    @property
    def watermark(self) -> str:
        return f"{self.unit} {self.account} 于 {self.at:%Y-%m-%d %H:%M} 下载，仅用于月度核对，请妥善保管，用后销毁"


class PrintedLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line as it stands on paper; field names are those of the answer where it has them."""

    number: str
    village: str
    name: str
    id_no: str
    kind: str
    change_type: str
    changed_on: str
    source_org: str
    involved: str
    due_on: str
    result: str = ""
    actual: str = ""
    right_village: str = ""
    right_name: str = ""
    right_id_no: str = ""
    right_date: str = ""
    to_town: str = ""
    method: str = ""
    verifier: str = ""
    verified_on: str = ""
    source_record_id: str
    round: str
    list_mark: str


def print_lines(catalogue: Catalogue, areas: AreaIndex, listed: RoundList, printing: Printing) -> list[PrintedLine]:
    """Every line of the list, in its order."""
    sources = dict(zip(printing.sources, _as_read(printing.sources.values()), strict=True))
    return [_line(catalogue, areas, listed, item, sources, printing.key) for item in listed.items]


def month_words(month: str) -> str:
    return f"{month[:4]}年{int(month[5:])}月"


def place_name(areas: AreaIndex, listed: RoundList, village: int | None) -> str:
    """The village of a line, or the town where no village is known."""
    return areas.name_of.get(areas.current(village if village is not None else listed.town), "")


def village_choices(areas: AreaIndex, town: int) -> list[str]:
    """What a cell for one of the town's villages may say: its name, with the town's where another has the same."""
    villages = [one for one in areas.expand(town) if areas.kind[one] == "village"]
    return [_alone(areas, one) for one in sorted(villages, key=areas.code_of.__getitem__)]


def town_choices(areas: AreaIndex, but: int) -> list[str]:
    """The other towns of the district."""
    towns = [one for one, kind in areas.kind.items() if kind == "town" and one in areas.code_of and one != but]
    return [_alone(areas, one) for one in sorted(towns, key=areas.code_of.__getitem__)]


def code_words(catalogue: Catalogue, code_set: str) -> list[str]:
    return [code.title for code in catalogue.code_sets[code_set].codes]


def _alone(areas: AreaIndex, area: int) -> str:
    name = areas.name_of[area]
    if len(areas.named(name)) == 1:
        return name
    town = areas.town_of[area]
    return areas.code_of[area] if town == area else areas.name_of.get(town, "") + name


def _as_read(texts: Iterable[str]) -> list[str]:
    """Texts as they are read back from a cell: else the mark of a line nobody touched would be another."""
    return pl.Series("text", list(texts), dtype=pl.String).to_frame().select(one_line(pl.col("text")))["text"].to_list()


def _line(
    catalogue: Catalogue, areas: AreaIndex, listed: RoundList, item: ListedItem, sources: Mapping[str, str], key: bytes
) -> PrintedLine:
    source = sources.get(item.source, item.source)
    change = CHANGES[item.change]
    record, about = str(item.record_id), (item.name, change, item.event_date, source)
    return PrintedLine(
        number=str(item.number),
        village=place_name(areas, listed, item.village),
        name=item.name or no_name(catalogue, item),
        id_no=item.id_no,
        kind=kind_words(catalogue, item),
        change_type=change,
        changed_on=item.event_date,
        source_org=source,
        involved="、".join(f"{one.title} {one.name}" for one in item.involved),
        due_on=item.due_on.isoformat(),
        source_record_id=record,
        round=listed.month,
        list_mark=mark_of(key, listed.month, listed.town, record, item.answers, *about),
        **_answer(catalogue, areas, item),
    )


def kind_words(catalogue: Catalogue, item: ListedItem) -> str:
    """What sort of message it is; and why it stands here if it is no change of this month."""
    title = catalogue.record_types[item.record_type].title
    return f"{title}（{CAME[item.came]}）" if CAME[item.came] else title


def no_name(catalogue: Catalogue, item: ListedItem) -> str:
    """What stands where a name should: the newborn has none yet."""
    first = next(iter(catalogue.record_types[item.record_type].people), None)
    return NO_CHILDS_NAME if first is not None and first.role == "child" else NO_NAME


def _answer(catalogue: Catalogue, areas: AreaIndex, item: ListedItem) -> dict[str, str]:
    """What the town said before, as it would write it: the same cells sent again say nothing new."""
    given = item.answer
    if given is None:
        return {}
    kept = ("actual", "right_name", "right_id_no", "right_date", "verifier", "verified_on")
    return {name: getattr(given, name) for name in kept} | {
        "result": _title(catalogue, "verdict", given.result),
        "method": _title(catalogue, "verification_method", given.method),
        "right_village": _area(areas, given.right_village),
        "to_town": _area(areas, given.to_town),
    }


def _title(catalogue: Catalogue, code_set: str, value: str) -> str:
    return next((code.title for code in catalogue.code_sets[code_set].codes if code.value == value), value)


def _area(areas: AreaIndex, code: str) -> str:
    return _alone(areas, areas.codes[code]) if code in areas.codes else code
