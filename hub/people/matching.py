"""How likely are two descriptions one person? Compared feature by feature; the weights are in mappings/matching.toml."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec
from rapidfuzz.distance import OSA, Hamming

from hub.people.name_keys import name_key
from hub.people.sounds import pinyin
from mappings.catalogue import MatchingRules

Weighed = dict[str, tuple[str, float]]  # feature -> its level and weight
Finding = Literal["new", "same", "doubt"]
_HEAD, _BODY = 14, 17  # of an identity number: area and day of birth; all but the check digit
_SHORT_NAME = 3  # below this, one character is most of the name


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What one row or one profile says of somebody; "" and None where it says nothing."""

    name: str = ""
    sex: str = ""
    born: date | None = None
    number: str = ""
    mother: UUID | None = None
    household: str = ""
    area: int | None = None
    town: int | None = None
    phone: str = ""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody in the register whom a row may mean."""

    person_id: UUID
    score: float
    features: Weighed


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a row means: somebody new, this one, or one of these and a person must say which."""

    finding: Finding
    candidates: tuple[Match, ...] = ()  # the best first


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """One compared feature in words."""

    code: str
    feature: str
    feature_en: str
    level: str
    level_en: str
    weight: float


def side(
    *, name: object = None, sex: object = None, born: object = None, number: object = None, **rest: object
) -> Side:
    """A description with what the identity number says filled in."""
    written = str(number or "")
    known = Side(
        name=str(name or ""),
        sex=str(sex or "") or _sex_in(written),
        born=born if isinstance(born, date) else _birth_date_in(written),
        number=written,
    )
    return msgspec.structs.replace(known, **{one: value for one, value in rest.items() if value is not None})


def weigh(mine: Side, theirs: Side, rules: MatchingRules) -> Weighed:
    """Every feature both sides speak of: its level and weight."""
    levels = {
        "name": _compare_names(mine, theirs),
        "number": _compare_numbers(mine.number, theirs.number),
        "birth_date": _compare_dates(mine.born, theirs.born),
        "sex": _equal_or_different(mine.sex, theirs.sex),
        "mother": _equal_or_different(mine.mother, theirs.mother),
        "household": _equal_only(mine.household, theirs.household),
        "area": _compare_places(mine, theirs),
        "phone": _equal_only(mine.phone, theirs.phone),
    }
    return {code: (level, rules.features[code].levels[level].weight) for code, level in levels.items() if level}


def score_of(features: Weighed) -> float:
    return sum(weight for _, weight in features.values())


def match_with(mine: Side, person_id: UUID, theirs: Side, rules: MatchingRules) -> Match:
    features = weigh(mine, theirs, rules)
    return Match(person_id=person_id, score=score_of(features), features=features)


def answer(matches: Iterable[Match], rules: MatchingRules, *, number_given: bool) -> Answer:
    """One clear winner takes a row without a number; a number nobody has is a slip or somebody else, so a person says."""
    near = sorted((one for one in matches if one.score >= rules.hold), key=lambda one: (-one.score, one.person_id))
    if not near:
        return Answer(finding="new")
    alone = len(near) == 1 or near[0].score - near[1].score >= rules.margin
    if near[0].score >= rules.auto and alone and not number_given:
        return Answer(finding="same", candidates=(near[0],))
    return Answer(finding="doubt", candidates=tuple(near))


def explain(features: Weighed, rules: MatchingRules) -> list[Explained]:
    """The compared features in words, the weightiest first."""
    told = []
    for code, (level, weight) in sorted(features.items(), key=lambda item: -abs(item[1][1])):
        feature = rules.features.get(code)
        known = feature.levels.get(level) if feature else None
        if feature and known:
            told.append(
                Explained(
                    code=code, feature=feature.title, feature_en=feature.title_en,
                    level=known.title, level_en=known.title_en, weight=weight,
                )
            )  # fmt: skip
    return told


def compare_name_texts(mine: str, theirs: str) -> str:
    """equal, variant, sound, one_character or different; "" when one side is not named."""
    if not mine or not theirs:
        return ""
    if mine == theirs:
        return "equal"
    first, second = name_key(mine), name_key(theirs)
    if first == second:
        return "variant"
    if _may_sound_alike(first, second) and pinyin(first) == pinyin(second):
        return "sound"
    near = min(len(first), len(second)) >= _SHORT_NAME and OSA.distance(first, second, score_cutoff=1) == 1
    return "one_character" if near else "different"


def _may_sound_alike(first: str, second: str) -> bool:
    """Who writes by ear gets some character right; reading aloud costs, so most names are told apart before it."""
    return len(first) == len(second) and any(one == other for one, other in zip(first, second, strict=True))


def is_one_slip(mine: str, theirs: str) -> bool:
    """One place wrong, or two neighbours exchanged; the check digit follows from the rest."""
    return OSA.distance(mine[:_BODY], theirs[:_BODY], score_cutoff=1) <= 1


def _compare_names(mine: Side, theirs: Side) -> str:
    level = compare_name_texts(mine.name, theirs.name)
    one_family = _equal_only(mine.household, theirs.household) or (mine.mother and mine.mother == theirs.mother)
    return "sibling" if level == "one_character" and one_family else level


def _compare_numbers(mine: str, theirs: str) -> str:
    if not mine or not theirs:
        return ""
    if mine == theirs:
        return "equal"
    same_head = mine[:_HEAD] == theirs[:_HEAD]
    if same_head and len(mine) == len(theirs) and Hamming.distance(mine[:_BODY], theirs[:_BODY]) <= 1:
        return "sequence_off"
    if is_one_slip(mine, theirs):
        return "one_off"
    return "same_head" if same_head else "different"


def _compare_dates(mine: date | None, theirs: date | None) -> str:
    if mine is None or theirs is None:
        return ""
    if mine == theirs:
        return "equal"
    if (mine.year, mine.month, mine.day) == (theirs.year, theirs.day, theirs.month):
        return "swapped"
    return "one_digit" if Hamming.distance(f"{mine:%Y%m%d}", f"{theirs:%Y%m%d}") == 1 else "different"


def _compare_places(mine: Side, theirs: Side) -> str:
    if mine.area is None or theirs.area is None:
        return ""
    if mine.area == theirs.area and mine.area != mine.town:
        return "village"
    return "town" if mine.town == theirs.town else "different"


def _equal_or_different(mine: object, theirs: object) -> str:
    if not mine or not theirs:
        return ""
    return "equal" if mine == theirs else "different"


def _equal_only(mine: object, theirs: object) -> str:
    return "equal" if mine and mine == theirs else ""


def _sex_in(number: str) -> str:
    return "21"[int(number[16]) % 2] if _is_number(number) else ""


def _birth_date_in(number: str) -> date | None:
    if not _is_number(number):
        return None
    try:
        return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None


def _is_number(number: str) -> bool:
    return len(number) == _BODY + 1 and number[:_BODY].isascii() and number[:_BODY].isdigit()
