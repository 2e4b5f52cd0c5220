"""What must hold in matching.toml: every level the comparison knows has its weight, every block can be looked up."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from mappings.catalogue import MatchingBlock, MatchingFeature, MatchingLevel, MatchingRules
from mappings.documents import Document, Problem
from mappings.sources import MatchingBlockSource, MatchingFeatureSource, MatchingSource

LEVELS = {
    "name": ("equal", "variant", "sound", "one_character", "sibling", "different"),
    "number": ("equal", "one_off", "sequence_off", "same_head", "different"),
    "birth_date": ("equal", "swapped", "one_digit", "different"),
    "sex": ("equal", "different"),
    "mother": ("equal", "different"),
    "household": ("equal",),
    "area": ("village", "town", "different"),
    "phone": ("equal",),
}
INDEXED_KEYS = ("name_key", "birth_date")  # what profiles are indexed by
BLOCK_KEYS = (*INDEXED_KEYS, "number_head", "number_tail", "home_area", "household_no", "mother", "phone")


def matching_problems(document: Document, source: MatchingSource) -> Iterator[Problem]:
    yield from _threshold_problems(document, source)
    yield from _feature_problems(document, source.features)
    yield from _block_problems(document, source.blocks)


def matching_rules(source: MatchingSource) -> MatchingRules:
    return MatchingRules(
        auto=source.auto,
        hold=source.hold,
        margin=source.margin,
        features={feature.code: _feature(feature) for feature in source.features},
        blocks=tuple(MatchingBlock(**msgspec.structs.asdict(block)) for block in source.blocks),
    )


def _feature(source: MatchingFeatureSource) -> MatchingFeature:
    levels = {level.code: MatchingLevel(**msgspec.structs.asdict(level)) for level in source.levels}
    return MatchingFeature(code=source.code, title=source.title, title_en=source.title_en, levels=levels)


def _threshold_problems(document: Document, source: MatchingSource) -> Iterator[Problem]:
    if source.hold <= 0:
        yield document.problem("须为正数 must be above 0", "hold")
    if source.auto <= source.hold:
        yield document.problem(f"须高于 hold must be above hold ({source.hold})", "auto")
    if source.margin <= 0:
        yield document.problem("须为正数 must be above 0", "margin")


def _feature_problems(document: Document, features: tuple[MatchingFeatureSource, ...]) -> Iterator[Problem]:
    for index, feature in enumerate(features):
        codes = [level.code for level in feature.levels]
        if feature.code not in LEVELS or feature.code in [one.code for one in features[:index]]:
            yield document.problem(f"未知或重复的特征 unknown or repeated: {feature.code}", "features", index, "code")
        elif sorted(codes) != sorted(LEVELS[feature.code]):
            wanted = " ".join(LEVELS[feature.code])
            yield document.problem(f"各级须恰为 levels must be exactly: {wanted}", "features", index, "levels")
    missing = set(LEVELS) - {feature.code for feature in features}
    if missing:
        yield document.problem(f"缺少特征 missing: {' '.join(sorted(missing))}", "features")


def _block_problems(document: Document, blocks: tuple[MatchingBlockSource, ...]) -> Iterator[Problem]:
    for index, block in enumerate(blocks):
        if block.code in [one.code for one in blocks[:index]]:
            yield document.problem(f"重复 duplicate: {block.code}", "blocks", index, "code")
        for key in block.keys:
            if key not in BLOCK_KEYS:
                yield document.problem(f"未知的查找键 unknown key: {key}", "blocks", index, "keys")
        if not set(block.keys) & set(INDEXED_KEYS) or len(block.keys) < 2:
            reason = "须含姓名或出生日期，且不止一项 needs name_key or birth_date, and one more"
            yield document.problem(reason, "blocks", index, "keys")
    if not blocks:
        yield document.problem("不能为空 must not be empty", "blocks")
