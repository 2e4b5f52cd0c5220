"""What people are called and numbered: names, phone numbers and valid, fictitious identity numbers."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date

PREFIX = "999001"  # unassigned: no number made here can be a real person's
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999
CHECK = "10X98765432"

SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎"
    "余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
)
MALE_CHARACTERS = (
    "伟强磊军洋勇杰涛明超平刚辉鹏华飞鑫波斌宇浩凯健俊帆帅旭宁龙林建国文武志豪东海云峰岩松柏航泽楷晨晖昊然"
    "嘉睿哲瀚博翰霖铭恒毅诚信义仁德贤良"
)
FEMALE_CHARACTERS = (
    "芳娜敏静丽娟艳霞秀英玲燕红梅兰凤洁琳雪倩颖佳婷玉萍莉琴云慧巧美蓉薇菊珍贞蕾薰怡婕馨瑗琰韵融园艺咏卿聪"
    "澜纯毓悦昭冰爽琬茗羽希宁欣飘育滢馥筠柔竹霭凝晓欢霄枫芸菲寒伊亚宜可姬舒影荔枝思"
)


def check_digit(first_seventeen: str) -> str:
    """The last place of an identity number (ISO 7064 MOD 11-2)."""
    return CHECK[sum(int(digit) * weight for digit, weight in zip(first_seventeen, WEIGHTS, strict=True)) % 11]


class IdentityNumbers:
    """Gives each person a number nobody else has; odd sequence numbers are male."""

    def __init__(self) -> None:
        self._given: Counter[tuple[date, str]] = Counter()

    def give(self, born: date, sex: str) -> str:
        step = self._given[born, sex]
        self._given[born, sex] += 1
        first = f"{PREFIX}{born:%Y%m%d}{2 * step + (1 if sex == '1' else 2):03d}"
        return first + check_digit(first)


def make_name(rng: random.Random, sex: str, surname: str = "") -> str:
    """A family name and one or two characters, two as a rule."""
    characters = MALE_CHARACTERS if sex == "1" else FEMALE_CHARACTERS
    given = rng.choice(characters)
    if rng.random() < 0.88:
        given += rng.choice(characters)
    return (surname or rng.choice(SURNAMES)) + given


def make_dotted_name(rng: random.Random) -> str:
    """A name of two parts, as in the north-west; the dot is U+00B7."""
    own = rng.choice(("阿依", "古丽", "帕提", "热娜", "米日")) + rng.choice("娜曼古夏")
    return f"{own}·{rng.choice(('吐尔逊', '买买提', '艾山'))}"


def make_phone(rng: random.Random) -> str:
    """A mobile number in a range that is not given out."""
    return f"1990000{rng.randrange(10000):04d}"


USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)  # GB 32100-2015
ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)  # GB 11714


def make_uscc(number: int, kind: str = "92") -> str:
    """The unified social credit code of business ``number``: 92 a sole trader, 91 a company."""
    body = f"{number % 10**8:08d}"
    rest = 11 - sum(int(digit) * weight for digit, weight in zip(body, ORGANISATION_WEIGHTS, strict=True)) % 11
    first = kind + PREFIX + body + {10: "X", 11: "0"}.get(rest, str(rest))
    total = sum(USCC_ALPHABET.index(letter) * weight for letter, weight in zip(first, USCC_WEIGHTS, strict=True))
    return first + USCC_ALPHABET[(31 - total % 31) % 31]
