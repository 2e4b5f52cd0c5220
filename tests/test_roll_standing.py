"""Rows that say what stands are not checked again: of any roll the comparison is what it is when every cell is checked."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest

from hub.casework.rolls import LAST, PLACE, Register, match
from hub.database import Database
from hub.decisions import roll_file, roll_standing
from hub.decisions.roll_file import Reading, ReadRoll, SentRoll, check_roll
from hub.decisions.rolls import scope_of
from hub.exchange.parse import ParsedColumn
from hub.registry.areas import load_area_index
from hub.registry.permissions import ROLES, Actor
from hub.settings import Settings
from mappings.catalogue import Catalogue
from mappings.fields.reading import DATE, FILLED, NUMBER, TEXT
from tests.doors import OTHER_VILLAGE, TOWN, VILLAGE, founded_hub, identity_number

PEOPLE, ROLLS = 40, 20
SECOND = "999001001002"
FIELDS = ("name", "id_no", "sex", "birth_date", PLACE, "live_addr", "hukou_div", "phone", "education")
Row = dict[str, str | None]
# How cells may be written that say the same, something else, or nothing that can be read.
WAYS: dict[str, tuple[str | None, ...]] = {
    "name": ("王 民", " 王民", "王民 ", "阿依古丽·买买提", "阿依古丽.买买提", None, "?"),
    "sex": ("男", "女", "1", "2", "１", "M", "不", None, "未知"),
    "birth_date": ("1990年3月7日", "19900307", "1990/3/7", "1990-03-07", "90.3.7", "3/7/1990", "2090-01-01", None, "1990-3-32"),
    PLACE: (VILLAGE, SECOND, OTHER_VILLAGE, "清溪街道", "nowhere", f" {VILLAGE}", None, "110101001001"),
    "live_addr": ("光明路1号", "光明路１号", "光明路 1号", "光明路2号", None, "无", "NULL", "\u200b光明路1号", "#REF!"),
    "hukou_div": (VILLAGE, OTHER_VILLAGE, "北京市东城区", "110101", None),
    "phone": ("13800000000", "138-0000-0000", "１３８００００００００", None, "12"),
    "education": ("70", "初中", "小学", "70 ", None, "X"),
}  # fmt: skip


@pytest.fixture
def reading(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Reading]:
    with founded_hub(database, app_database, settings, catalogue) as hub, hub.served.begin() as connection:
        areas = load_area_index(connection)
        town = Actor(
            name="qingxi", organisation=TOWN, kind="town", door="panel", rights=ROLES["town_officer"],
            area_id=areas.codes[f"{TOWN}000"],
        )  # fmt: skip
        yield Reading(
            settings=hub.settings, catalogue=catalogue, areas=areas, choices={},
            mapping=catalogue.mapping_for(TOWN, "town", "resident_roll"),
            own_areas=frozenset(scope_of(town, areas).own_areas),
        )  # fmt: skip


def person(serial: int, by_chance: random.Random) -> Row:
    return {
        "name": "王" + "民安兴业邦泰"[serial % 6], "id_no": identity_number(serial), "sex": "男" if serial % 2 else "女",
        "birth_date": "1990-03-07", PLACE: by_chance.choice((VILLAGE, SECOND)), "live_addr": "光明路1号",
        "hukou_div": by_chance.choice((VILLAGE, "北京市东城区", None)), "phone": by_chance.choice(("13800000000", None)),
        "education": by_chance.choice(("70", "初中", None)),
    }  # fmt: skip


def sent(rows: list[Row], by_chance: random.Random, *, plain: bool = False) -> SentRoll:
    """As the parse hands them on: of a text file, or of a workbook with its kinds of cells."""
    cells: dict[str, Any] = {name: [row.get(name) for row in rows] for name in FIELDS}
    frame = pl.DataFrame(cells, schema=dict.fromkeys(FIELDS, pl.String)).with_columns(
        row_no=pl.int_range(1, len(rows) + 1, dtype=pl.Int32), sheet=pl.lit(""),
        sheet_row=pl.int_range(2, len(rows) + 2, dtype=pl.Int32), section=pl.lit(None, dtype=pl.String),
    )  # fmt: skip
    if not plain:
        frame = _with_more(frame, by_chance)
    return SentRoll(frame=frame, columns=[ParsedColumn(name, name, "A", "") for name in FIELDS])


def _with_more(frame: pl.DataFrame, by_chance: random.Random) -> pl.DataFrame:
    def some(name: str, values: tuple[object, ...], dtype: type[pl.DataType]) -> pl.Series:
        return pl.Series(name, [by_chance.choice(values) for _ in range(frame.height)], dtype=dtype)

    if by_chance.random() < 0.3:
        frame = frame.with_columns(some("section", (None, None, "清溪街道", "一、本月迁入"), pl.String))
    if by_chance.random() < 0.3:
        frame = frame.with_columns(some("change_kind", (None, None, None, "新增", "更正", "作废", "?"), pl.String))
    if by_chance.random() < 0.4:
        kinds = (TEXT,) * 60 + (NUMBER, DATE, TEXT + FILLED)
        frame = frame.with_columns(some(f"{name}__kind", kinds, pl.UInt8) for name in FIELDS)
    if by_chance.random() < 0.1:
        frame = frame.drop("phone", "education")
    return frame


def roll_of(everybody: list[Row], by_chance: random.Random) -> list[Row]:
    """Some are gone, some new, some on it twice; most are as they were."""
    rows = [dict(row) for row in everybody if by_chance.random() > 0.1]
    again = by_chance.sample(everybody, by_chance.choice((0, 1, 2)))
    rows += [row | {"id_no": by_chance.choice((row["id_no"], f" {row['id_no']}"))} for row in again]
    rows += [person(PEOPLE + by_chance.randint(1, 4), by_chance) for _ in range(2)]
    by_chance.shuffle(rows)
    for row in rows:
        if by_chance.random() < 0.2:
            field = by_chance.choice([*WAYS, "id_no"])
            row[field] = _number(row["id_no"] or "", by_chance) if field == "id_no" else by_chance.choice(WAYS[field])
    for _ in range(by_chance.choice((0, 0, 0, 4))):
        by_chance.choice(rows)[by_chance.choice([*WAYS, "id_no"])] = by_chance.choice(("同上", "〃"))
    return rows


def _number(number: str, by_chance: random.Random) -> str | None:
    wide = number.translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"})
    return by_chance.choice((f" {number}", wide, number.lower(), f"{number[:6]} {number[6:]}", number[:-1], None))


def register_of(everybody: list[Row], reading: Reading, by_chance: random.Random) -> Register:
    """The last roll as it was read, and what has happened since."""
    last = check_roll(sent(everybody, by_chance, plain=True), reading, None).rows
    said = last.drop("row", "sheet_row", "area")
    living = said.rename({name: LAST + name for name in said.columns}).with_columns(
        last["id_no"], last["area"].alias("home"), person_id=pl.format("p{}", last["row"]),
        gone=_some(last, by_chance), doubtful=_some(last, by_chance),
    )  # fmt: skip
    moved = living.head(2).with_columns(home=pl.lit(reading.areas.codes[SECOND], dtype=pl.Int32))
    never = living.slice(2, 1).with_columns(
        pl.lit(None, dtype=pl.String).alias(name) for name in living.columns if LAST in name
    )
    other_number = living.slice(3, 1).with_columns(id_no=pl.lit(identity_number(PEOPLE + 9)))
    renumbered = living.slice(4, 1).with_columns(id_no=pl.lit(identity_number(PEOPLE + 1)))
    twice = living.slice(5, 1).with_columns(person_id=pl.lit("another"))
    replaced = pl.DataFrame({"id_no": living["id_no"][4:5], "now": renumbered["id_no"]})
    everyone = pl.concat([moved, never, living.slice(3, 1), renumbered, living.slice(5), other_number, twice])
    return Register(living=everyone, replaced=replaced)


def _some(rows: pl.DataFrame, by_chance: random.Random) -> pl.Series:
    return pl.Series([by_chance.random() < 0.04 for _ in range(rows.height)], dtype=pl.Boolean)


def compared(read: ReadRoll, register: Register, reading: Reading) -> tuple[Any, ...]:
    found = match(read.rows, register, reading.own_areas, read.numbers, read.standing["its"])
    lists = [getattr(found, kind) for kind in ("missing_here", "missing_there", "unsure", "duplicated")]
    told = [sorted(map(str, frame.select(sorted(frame.columns)).rows(named=True))) for frame in lists]
    return found.same, told, read.readable, read.received, read.unreadable, sorted(read.numbers)


Compared = tuple[SentRoll, Register, tuple[Any, ...]]


def whole_comparisons(reading: Reading) -> Iterator[Compared]:
    """Rolls and registers, and what is found when every row is checked."""
    for seed in range(ROLLS):
        by_chance = random.Random(seed)
        everybody = [person(serial, by_chance) for serial in range(1, PEOPLE + 1)]
        register = register_of(everybody, reading, by_chance)
        roll = sent(roll_of(everybody, by_chance), by_chance)
        yield roll, register, compared(check_roll(roll, reading, None), register, reading)


def differs(one: Compared, reading: Reading) -> bool:
    roll, register, found = one
    return compared(check_roll(roll, reading, register), register, reading) != found


def _everything(sent: pl.DataFrame, *_: object) -> pl.Series:
    return pl.Series([True]).new_from_index(0, sent.height)


TRUSTING: dict[str, tuple[object, str, Callable[..., object]]] = {
    "whatever the cells say": (roll_standing, "_alike", lambda field, said, known, context: known.is_null() | True),
    "whatever becomes of the row": (roll_standing, "_says_nothing_else", lambda sent: sent["id_no"].is_not_null()),
    "wherever they live": (roll_standing, "_of_the_village", _everything),
    "what leans on the row above": (roll_standing, "_leans_on_others", lambda *_: False),
    "whoever is named again": (roll_file, "_named_again", lambda standing, *_: standing["its"].is_null()),
}


def test_of_any_roll_the_quick_comparison_is_the_whole_one(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that trusts too much, in any of these ways, is caught."""
    rolls = list(whole_comparisons(reading))
    quick = [check_roll(roll, reading, register) for roll, register, _ in rolls]
    for number, (read, (_, register, found)) in enumerate(zip(quick, rolls, strict=True)):
        assert compared(read, register, reading) == found, f"roll {number}"
    assert sum(read.standing.height for read in quick) > ROLLS * PEOPLE / 4
    for trusting, (module, name, careless) in TRUSTING.items():
        with monkeypatch.context() as patched:
            patched.setattr(module, name, careless)
            assert any(differs(one, reading) for one in rolls), trusting


def test_who_is_told_differently_by_other_sources_or_has_left_is_never_taken_as_standing(reading: Reading) -> None:
    by_chance = random.Random(1)
    everybody = [person(serial, by_chance) for serial in range(1, PEOPLE + 1)]
    register = register_of(everybody, reading, by_chance)
    living = register.living.with_columns(gone=pl.lit(True), doubtful=pl.lit(False))
    for flags in (living, living.with_columns(gone=pl.lit(False), doubtful=pl.lit(True))):
        read = check_roll(
            sent(everybody, by_chance, plain=True), reading, Register(living=flags, replaced=register.replaced)
        )
        assert read.standing.is_empty() and read.rows.height == PEOPLE


def test_words_for_codes_and_names_of_villages_are_read_once_and_stand(reading: Reading) -> None:
    by_chance = random.Random(2)
    everybody = [person(serial, by_chance) for serial in range(1, PEOPLE + 1)]
    last = check_roll(sent(everybody, by_chance, plain=True), reading, None).rows
    said = last.drop("row", "sheet_row", "area")
    living = said.rename({name: LAST + name for name in said.columns}).with_columns(
        last["id_no"], last["area"].alias("home"), person_id=last["id_no"], gone=pl.lit(False), doubtful=pl.lit(False)
    )
    otherwise = [
        row | {"birth_date": "1990年3月7日", "sex": {"男": "1", "女": "2"}[str(row["sex"])]} for row in everybody
    ]
    register = Register(living=living, replaced=pl.DataFrame(schema={"id_no": pl.String, "now": pl.String}))
    read = check_roll(sent(otherwise, by_chance, plain=True), reading, register)
    assert read.standing.height == PEOPLE and read.rows.is_empty()
