"""Writes large files of people moving in, as the police would send them: valid, fictitious, the same for the same seed."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path

import polars as pl

from hub.demo.names import CHECK, FEMALE_CHARACTERS, MALE_CHARACTERS, PREFIX, SURNAMES, WEIGHTS
from hub.registry.areas import AreaRow

TOWNS, VILLAGES = 12, 20
RECORD_TYPE, SENDER = "hukou_move_in", "public_security"
HEADERS = {
    "name": "姓名", "id_no": "公民身份号码", "sex": "性别", "birth_date": "出生日期", "ethnicity": "民族",
    "household_no": "户号", "relation": "与户主关系", "from_addr": "何时由何地迁来", "reason": "迁入原因",
    "hukou_addr": "户籍地详址", "live_div": "所属社区(村)", "move_date": "迁入日期",
}  # fmt: skip
_FIRST_BIRTH, _DAYS = date(1940, 1, 1), 24_000
_RELATIONS = ("户主", "妻", "长子", "长女", "父亲", "母亲")
_REASONS = ("工作调动", "投靠亲属", "夫妻投靠", "购房入户", "人才引进")
_KEPT = Path(tempfile.gettempdir()) / "hub-benchmarks"


def areas() -> list[AreaRow]:
    """The benchmark district: 12 towns of 20 villages."""
    district = AreaRow(f"{PREFIX}000000", "基准区", "district")
    towns = [AreaRow(f"{PREFIX}{100 + town}000", f"第{town}镇", "town", district.code) for town in range(1, TOWNS + 1)]
    villages = [
        AreaRow(f"{town.code[:9]}{200 + number}", f"{town.name}{number}村", "village", town.code)
        for town in towns
        for number in range(1, VILLAGES + 1)
    ]
    return [district, *towns, *villages]


def people(first: int, count: int, seed: int, *, moved: float = 0.0) -> pl.DataFrame:
    """Persons ``first`` … in random order, cells as sent; a share ``moved`` of them at another address."""
    numbers = pl.int_range(first, first + count, dtype=pl.Int64, eager=True).shuffle(seed).alias("n")
    spread = numbers.to_frame().with_columns(
        mixed=(pl.col("n") * 2_654_435_761 + seed) % 1_000_003, day=pl.col("n") % _DAYS, step=pl.col("n") // _DAYS
    )
    born = pl.lit(_FIRST_BIRTH) + pl.duration(days="day")
    frame = spread.with_columns(birth_date=born.cast(pl.Date), male=pl.col("mixed") % 2 == 0)
    place = (
        pl.when(pl.col("mixed") % 10_000 < int(moved * 10_000)).then(pl.lit("临时安置点")).otherwise(pl.lit("幸福路"))
    )
    village = pl.Series([each.code for each in areas() if each.kind == "village"])
    return frame.select(
        name=_names(),
        id_no=_identity_numbers(),
        sex=pl.when("male").then(pl.lit("男")).otherwise(pl.lit("女")),
        birth_date=pl.col("birth_date").dt.strftime("%Y-%m-%d"),
        ethnicity=pl.lit("汉族"),
        household_no=pl.lit("9990") + (pl.col("n") // 3).cast(pl.String).str.zfill(8),
        relation=_one_of(_RELATIONS, pl.col("n") % len(_RELATIONS)),
        from_addr=pl.lit("外省远山市河口县第") + (pl.col("mixed") % 97).cast(pl.String) + pl.lit("街道"),
        reason=_one_of(_REASONS, pl.col("mixed") % len(_REASONS)),
        hukou_addr=pl.lit("基准区") + place + (pl.col("mixed") % 900 + 1).cast(pl.String) + pl.lit("号"),
        live_div=pl.lit(village).gather(pl.col("mixed") % len(village)),
        move_date=(pl.lit(date(2026, 9, 1)) + pl.duration(days=pl.col("n") % 30)).cast(pl.Date).dt.strftime("%Y-%m-%d"),
    )


def _one_of(words: tuple[str, ...] | str, place: pl.Expr) -> pl.Expr:
    return pl.lit(pl.Series(list(words))).gather(place)


def _names() -> pl.Expr:
    given = [_one_of(MALE_CHARACTERS, pl.col("mixed") // k % len(MALE_CHARACTERS)) for k in (7, 531)]
    hers = [_one_of(FEMALE_CHARACTERS, pl.col("mixed") // k % len(FEMALE_CHARACTERS)) for k in (7, 531)]
    surname = _one_of(SURNAMES, pl.col("n") % len(SURNAMES))
    return pl.when("male").then(pl.concat_str([surname, *given])).otherwise(pl.concat_str([surname, *hers]))


def _identity_numbers() -> pl.Expr:
    """Prefix, birth date, three digits whose last is odd for men, check digit (ISO 7064 MOD 11-2)."""
    serial = 2 * pl.col("step") + pl.when("male").then(1).otherwise(2)
    day = pl.col("birth_date").dt.strftime("%Y%m%d").cast(pl.Int64)
    total = sum(int(digit) * weight for digit, weight in zip(PREFIX, WEIGHTS, strict=False))
    digits = [(day // 10**k % 10, WEIGHTS[13 - k]) for k in range(8)] + [
        (serial // 10**k % 10, WEIGHTS[16 - k]) for k in range(3)
    ]
    summed = pl.sum_horizontal([digit * weight for digit, weight in digits]) + total
    first = pl.concat_str([pl.lit(PREFIX), day.cast(pl.String), serial.cast(pl.String).str.zfill(3)])
    return first + _one_of(CHECK, summed % 11)


def write_csv(frame: pl.DataFrame, name: str) -> Path:
    """The frame under the department's headers, UTF-8."""
    _KEPT.mkdir(parents=True, exist_ok=True)
    path = _KEPT / name
    frame.rename(HEADERS).write_csv(path)
    return path


def file_of(rows: int, seed: int, *, first: int = 0, moved: float = 0.0) -> Path:
    """The CSV of these people; written once and kept in the temp folder."""
    path = _KEPT / f"people-{seed}-{first}-{rows}-{moved}.csv"
    return path if path.exists() else write_csv(people(first, rows, seed, moved=moved), path.name)


def delta_file(known: int, seed: int, rows: int) -> Path:
    """Half of the rows are known persons at another address, half are new."""
    half = rows // 2
    changed = people(0, known, seed, moved=1.0).head(half)
    return write_csv(pl.concat([changed, people(known, rows - half, seed)]), f"delta-{seed}-{known}-{rows}.csv")


def as_gb18030(path: Path) -> Path:
    """The same file as an older office program saves it."""
    target = path.with_name(path.stem + ".gb18030.csv")
    if not target.exists():
        target.write_bytes(path.read_bytes().decode("utf-8").encode("gb18030"))
    return target


def as_workbook(rows: int, seed: int) -> Path:
    """The people as an XLSX workbook."""
    path = _KEPT / f"people-{seed}-{rows}.xlsx"
    if not path.exists():
        _KEPT.mkdir(parents=True, exist_ok=True)
        people(0, rows, seed).rename(HEADERS).write_excel(path, autofit=False)
    return path
