"""Which slices would hunt people: by marriage, by childbearing, by contraception. A table, without any setting."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

# That such a record exists already says who is pregnant, was delivered or operated on, whatever fields are asked for.
CARE_ONLY_TYPES = frozenset(
    {"antenatal_booking", "delivery_outcome", "postnatal_visit", "preconception_check", "family_planning_service"}
)
BIRTH_TYPES = frozenset(
    {
        "birth_certificate",
        "birth_certificate_void",
        "newborn_hukou",
        "immunisation_enrol",
        "adoption",
        "fertility_registration",
        "town_arrival",  # a town's finds, births among them
        *CARE_ONLY_TYPES,
    }
)

# What a condition asks about, told by the words of its field's name; how it asks (one of, from, empty ...) is no matter.
_SUBJECTS: dict[str, frozenset[str]] = {
    "marriage": frozenset({"marital", "married", "marriage", "divorce", "divorced", "relation", "spouse"}),
    "childbearing": frozenset(
        {"parity", "para", "gravida", "plurality", "children", "pregnancy", "pregnant", "lmp", "edd", "planned"}
    ),
    "contraception": frozenset({"contraception", "contraceptive", "sterilisation", "iud"}),
    "parent": frozenset(
        {"mother", "father", "parent", "adopter", "guardian", "woman", "husband", "wife", "follow", "relation"}
    ),
    "sex": frozenset({"sex", "gender"}),
    "age": frozenset({"birth", "birthday", "age"}),
}
# Fields whose name does not say it: of which kind a marriage or a divorce is.
_BY_PLACE = {("marriage", "kind"): "marriage", ("divorce", "mode"): "marriage"}
# Whose birth date or marriage it is says of which sex they are.
_OF_ONE_SEX = frozenset({"female", "male", "woman", "man", "wife", "husband", "mother", "father"})
_AREA_WORDS = frozenset({"div", "area", "facility", "certificate", "cert"})  # where, or which paper: never whom


class HuntingRule(msgspec.Struct, frozen=True, kw_only=True):
    """Broken when the slice names one of ``types`` (any type if empty) and its conditions ask about all of ``asks``."""

    name: str
    asks: frozenset[str]
    types: frozenset[str] = frozenset()
    reason: str


HUNTING_RULES = (
    HuntingRule(
        name="births-by-marriage",
        types=BIRTH_TYPES,
        asks=frozenset({"marriage"}),
        reason="不得按婚姻状况筛选出生信息。 Births are not filtered by marriage.",
    ),
    HuntingRule(
        name="births-by-parent",
        types=BIRTH_TYPES,
        asks=frozenset({"parent"}),
        reason="不得按父母情况筛选出生信息。 Births are not filtered by who the parents are.",
    ),
    HuntingRule(
        name="childbearing",
        asks=frozenset({"childbearing"}),
        reason="不得按孕产、孩次筛选。 Nobody is filtered by pregnancies or number of children.",
    ),
    HuntingRule(
        name="contraception",
        asks=frozenset({"contraception"}),
        reason="不得按避孕节育情况筛选。 Nobody is filtered by contraception.",
    ),
    HuntingRule(
        name="sex-by-marriage",
        asks=frozenset({"sex", "marriage"}),
        reason="不得按性别与婚姻状况筛选人员。 Nobody is filtered by sex and marriage.",
    ),
    HuntingRule(
        name="sex-by-age",
        asks=frozenset({"sex", "age"}),
        reason="不得按性别与出生日期筛选人员。 Nobody is filtered by sex and birth date.",
    ),
)


def broken_hunting_rule(
    asked: Iterable[tuple[str, frozenset[str]]], whether: frozenset[tuple[str, str]] = frozenset()
) -> HuntingRule | None:
    """The first rule a slice breaks, given each record type and the fields its conditions look at.

    ``whether``: type and field where what is asked is whether it is filled. That tells of whom even where the value
    would only say where: a father without a place is no father.
    """
    wanted = list(asked)
    types = frozenset(record_type for record_type, _ in wanted)
    subjects = frozenset(
        subject
        for record_type, fields in wanted
        for name in fields
        for subject in _asks_about(record_type, name, (record_type, name) in whether)
    )
    return next((rule for rule in HUNTING_RULES if _breaks(rule, types, subjects)), None)


def _breaks(rule: HuntingRule, types: frozenset[str], subjects: frozenset[str]) -> bool:
    return rule.asks <= subjects and (not rule.types or bool(rule.types & types))


def _asks_about(record_type: str, field: str, whether: bool) -> set[str]:
    words = set(field.split("_"))
    if words & _AREA_WORDS and not whether:
        return set()
    subjects = {subject for subject, told_by in _SUBJECTS.items() if words & told_by}
    return subjects | {_BY_PLACE[record_type, field]} if (record_type, field) in _BY_PLACE else subjects


def implied_by(record_type: str, field: str) -> frozenset[str]:
    """What else a condition on this field picks people by: whose birth date or marriage it is says of which sex they are.

    A comparison holds it against everybody alike and picks nobody by it: only slices are asked this.
    """
    one_sex = bool({*field.split("_")} & _OF_ONE_SEX)
    return (
        frozenset({"sex"}) if one_sex and _asks_about(record_type, field, False) & {"age", "marriage"} else frozenset()
    )
