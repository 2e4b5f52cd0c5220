"""A district of two towns and three villages, two of them with the same name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Areas:
    codes: Mapping[str, int]
    names: Mapping[str, tuple[int, ...]]
    town_of: Mapping[int, int]
    code_of: Mapping[int, str]


CODE_OF = {
    1: "999001100000",
    2: "999001101000",
    3: "999001100200",
    4: "999001101200",
    5: "999001100201",
    9: "999001000000",
}
AREAS = Areas(
    codes={code: area for area, code in CODE_OF.items()} | {"999001100": 1, "999001101": 2, "999001": 9},
    names={"甲镇": (1,), "乙镇": (2,), "东风村": (3, 4), "红旗村": (5,), "旧旗村": (5,)},
    town_of={1: 1, 2: 2, 3: 1, 4: 2, 5: 1},
    code_of=CODE_OF,
)
