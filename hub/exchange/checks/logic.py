"""Compares the cells of one row with each other: number, sex and birth; what came first; who is too young; what lacks."""

from __future__ import annotations

import polars as pl

from hub.exchange.checks.columns import Values
from hub.exchange.checks.context import CheckContext
from hub.exchange.checks.findings import Findings
from mappings.catalogue import Field, Role
from mappings.fields.identity_number import birth_of, sex_of
from mappings.fields.reading import Cells

# The earlier field and the later one, wherever a record type has both.
ORDERS = (
    ("out_date", "return_date"),
    ("arrive_date", "cancelled_on"),
    ("arrive_date", "valid_to"),
    ("issued_on", "valid_to"),
    ("contract_from", "contract_to"),
    ("start_date", "ended_on"),
    ("established_on", "approved_on"),
    ("happened_on", "cancel_date"),
    ("reg_date", "cancelled_on"),
    ("death_date", "issued_on"),
    ("death_date", "cremated_on"),
    ("birth_time", "issued_on"),
    ("asked_on", "due_at"),
    ("lmp", "edd"),
)
# Record type and role -> the least age on the day of the event (Civil Code art. 1047; Labour Law art. 15).
LEAST_AGES = {("marriage", "male"): 22, ("marriage", "female"): 20, ("employment", "person"): 16}
LEFT_EMPTY_WITHOUT_ID = ("name", "id_no")  # parts that may hold a word for nothing where no number is needed


def check_rows(
    values: Values, cells: dict[str, Cells], kinds: pl.Series, context: CheckContext, findings: Findings
) -> None:
    """Everything that needs more than one cell. ``kinds``: new, correct or void, per row."""
    for role in context.record_type.people:
        _compare_with_number(role, values, context, findings)
    _require(values, cells, kinds, context, findings)
    _check_future(values, context, findings)
    _check_orders(values, context, findings)
    for role in context.record_type.people:
        _check_age(role, values, context, findings)


def _compare_with_number(role: Role, values: Values, context: CheckContext, findings: Findings) -> None:
    """The sex and the birth date a number states, against the cells beside it."""
    number = context.part(role, "id_no")
    if number is None or values[number.name].null_count() == len(values[number.name]):
        return
    sex, birth = context.part(role, "sex"), context.part(role, "birth_date")
    told = values[number.name].to_frame("id").with_columns(citizen=pl.col("id").str.contains(r"^[0-9]{17}[0-9X]$"))
    if sex is not None and _is_told(sex.name, values):
        row = told.with_columns(values[sex.name].alias("sex"))
        differs = row.select(pl.col("citizen") & pl.col("sex").is_in(["1", "2"]) & (pl.col("sex") != sex_of("id")))
        findings.mark(sex.name, "E_LOGIC_SEX", differs.to_series())
    if birth is not None and (_is_told(birth.name, values) or not findings.of(birth.name).is_empty()):
        stated = told.select(pl.when("citizen").then(birth_of("id"))).to_series()
        _settle_short_years(birth, stated, values, findings)
        findings.mark(birth.name, "E_LOGIC_BIRTH", values[birth.name] != stated)


def _settle_short_years(birth: Field, stated: pl.Series, values: Values, findings: Findings) -> None:
    """85.3.7 is 1985-03-07 when the number says so."""
    found = findings.of(birth.name)
    if found.is_empty() or not found["code"].is_in(["E_DATE_AMBIGUOUS"]).any():
        return
    by_number = stated.gather(found["row"]).dt.strftime("%y-%m-%d")
    settled = ((found["code"] == "E_DATE_AMBIGUOUS") & (found["detail"] == by_number)).fill_null(False)
    rows = found.filter(settled)["row"]
    values[birth.name] = values[birth.name].clone().scatter(rows, stated.gather(rows))
    findings.replace(birth.name, found.filter(~settled))


def _require(
    values: Values, cells: dict[str, Cells], kinds: pl.Series, context: CheckContext, findings: Findings
) -> None:
    """Required fields are filled; a void needs only what says which record is meant."""
    record_type = context.record_type
    void = kinds == "void"
    for field in record_type.fields:
        key = field.name in record_type.natural_key
        if not (field.required or key) or (key and not field.required and record_type.no_id_allowed and field.part):
            continue
        if not values[field.name].null_count():
            continue
        missing = _missing(field, values, cells, context)
        if not missing.any():
            continue
        missing = missing & ~findings.unreadable(field.name, len(missing))
        code = "E_REQUIRED" if field.required else record_type.key_missing or "E_KEY_MISSING"
        findings.mark(field.name, code, missing if key else missing & ~void)


def _missing(field: Field, values: Values, cells: dict[str, Cells], context: CheckContext) -> pl.Series:
    if context.record_type.no_id_allowed and field.part in LEFT_EMPTY_WITHOUT_ID and field.name in cells:
        sent = cells[field.name].text
        return sent.is_null() | (sent.str.strip_chars() == "")
    return values[field.name].is_null()


def _check_future(values: Values, context: CheckContext, findings: Findings) -> None:
    """Nothing that is reported has yet to happen; nobody is yet to be born."""
    births = [field.name for field in context.record_type.fields if field.part == "birth_date"]
    for name in dict.fromkeys([context.record_type.event_date, *births]):
        if name and _is_told(name, values):
            findings.mark(name, "E_DATE_FUTURE", _days(values[name]) > context.today)


def _check_orders(values: Values, context: CheckContext, findings: Findings) -> None:
    """What ended began before; nothing happened to a person before the birth."""
    event = context.record_type.event_date
    births = [field.name for field in context.record_type.fields if field.part == "birth_date"]
    for earlier, later in (*ORDERS, *((birth, event) for birth in births)):
        if _is_told(earlier, values) and _is_told(later, values):
            wrong = _days(values[earlier], last=False) > _days(values[later], last=True)
            findings.mark(later, "E_DATE_ORDER", wrong, context.record_type.by_name[earlier].title)


def _is_told(name: str, values: Values) -> bool:
    return name in values and values[name].null_count() < len(values[name])


def _check_age(role: Role, values: Values, context: CheckContext, findings: Findings) -> None:
    least = LEAST_AGES.get((context.record_type.code, role.role))
    number, birth = context.part(role, "id_no"), context.part(role, "birth_date")
    if least is None or number is None:
        return
    row = (
        values[number.name]
        .to_frame("id")
        .with_columns(
            event=_days(values[context.record_type.event_date]),
            birth=pl.lit(None, dtype=pl.Date) if birth is None else values[birth.name],
        )
    )
    born = pl.coalesce("birth", birth_of("id"))
    had_birthday = pl.col("event").dt.strftime("%m%d") >= born.dt.strftime("%m%d")
    years = pl.col("event").dt.year() - born.dt.year() - pl.when(had_birthday).then(0).otherwise(1)
    ages = row.with_row_index("row").select("row", age=years).filter(pl.col("age") < least)
    found = ages.select("row", code=pl.lit("W_AGE"), detail=pl.col("age").cast(pl.String))
    findings.add(number.name, found)


def _days(values: pl.Series, *, last: bool = False) -> pl.Series:
    """As days; a month is its first day, or its last where that is the kinder reading."""
    if values.dtype != pl.String:
        return values.cast(pl.Date)
    first = (values + "-01").str.to_date("%Y-%m-%d", strict=False)
    return first.dt.month_end() if last else first
