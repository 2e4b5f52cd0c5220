"""Where the fictitious district is: 999001, twelve towns of twenty villages each, none of them on any map."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from hub.registry.areas import AreaRow

DISTRICT_CODE = "999001000000"
DISTRICT_NAME = "云岭区"
VALID_FROM = date(2020, 1, 1)
VILLAGES_PER_TOWN = 20
TWICE = "东风村"  # one village name in two towns, as there always is
TOWNS_OF_TWICE = ("999001100", "999001104")

# town digits by GB/T 10114: 001-099 street offices, 100-199 towns, 200-399 townships
TOWN_NAMES = {
    "001": "清溪街道", "002": "望江街道", "003": "文昌街道",
    "100": "白鹭镇", "101": "石桥镇", "102": "枫林镇", "103": "龙泉镇",
    "104": "柳河镇", "105": "双塔镇", "106": "永安镇",
    "200": "梅岭乡", "201": "杉坪乡",
}  # fmt: skip
FIRST = "松柏竹兰荷桂桃杏梧榆槐枣柿樟桐茶麦禾稻桑"
SECOND = "坪岗湾塘冲垅溪坝"
COMMUNITY_FIRST = "光明和平建设团结幸福胜利新华解放"
COMMUNITY_SECOND = ("里", "苑", "路", "桥", "巷", "园", "坊", "台")


@dataclass(frozen=True, slots=True)
class Village:
    """A village or a community: the smallest area there is."""

    code: str  # 12 digits
    name: str
    town: int  # place of its town in District.towns


@dataclass(frozen=True, slots=True)
class Town:
    """A street office, town or township."""

    code: str  # 12 digits, the last three zero
    name: str

    @property
    def organisation(self) -> str:
        """The town as an organisation: its nine digits."""
        return self.code[:9]


@dataclass(frozen=True, slots=True)
class District:
    """All areas, and the village every number in the generator refers to."""

    towns: tuple[Town, ...]
    villages: tuple[Village, ...]

    def town_of(self, village: int) -> Town:
        return self.towns[self.villages[village].town]

    def full_name(self, village: int) -> str:
        return self.town_of(village).name + self.villages[village].name


def make_district() -> District:
    """The same areas for every seed: a district does not move."""
    towns = tuple(Town(f"999001{digits}000", name) for digits, name in TOWN_NAMES.items())
    villages = [village for no, town in enumerate(towns) for village in _villages(no, town)]
    return District(towns, tuple(villages))


def _villages(town_no: int, town: Town) -> list[Village]:
    communities = VILLAGES_PER_TOWN if town.name.endswith("街道") else 2
    found = [
        Village(f"{town.organisation}{1 + n:03d}", _community_name(town_no * VILLAGES_PER_TOWN + n), town_no)
        for n in range(communities)
    ]
    for n in range(VILLAGES_PER_TOWN - communities):
        name = (
            TWICE if n == 7 and town.organisation in TOWNS_OF_TWICE else _village_name(town_no * VILLAGES_PER_TOWN + n)
        )
        found.append(Village(f"{town.organisation}{200 + n:03d}", name, town_no))
    return found


def _community_name(number: int) -> str:
    pairs = [COMMUNITY_FIRST[n : n + 2] for n in range(0, len(COMMUNITY_FIRST), 2)]
    first, rest = pairs[number % len(pairs)], number // len(pairs)
    second, again = COMMUNITY_SECOND[rest % len(COMMUNITY_SECOND)], rest // len(COMMUNITY_SECOND)
    return f"{first}{second}{'东西南北'[again - 1] if again else ''}社区"


def _village_name(number: int) -> str:
    first, rest = FIRST[number % len(FIRST)], number // len(FIRST)
    return f"{first}{SECOND[rest % len(SECOND)]}{'上下大小'[rest // len(SECOND) - 1] if rest >= len(SECOND) else ''}村"


def area_rows(district: District) -> list[AreaRow]:
    """The list that is imported into the registry, parents first."""
    rows = [AreaRow(DISTRICT_CODE, DISTRICT_NAME, "district")]
    rows += [AreaRow(town.code, town.name, "town", DISTRICT_CODE) for town in district.towns]
    rows += [AreaRow(one.code, one.name, "village", district.towns[one.town].code) for one in district.villages]
    return rows
