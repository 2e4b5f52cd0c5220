"""How people earn their living: jobs found and lost, insurance, work elsewhere, shops opened."""

from __future__ import annotations

from datetime import date, timedelta

from hub.demo.names import make_uscc
from hub.demo.people import Resident
from hub.demo.year import MONTHS, Year, address, area_code, day_in, person

EMPLOYERS = 240
TRADES = ("电子", "服饰", "食品", "建材", "物流", "家具", "机械", "印务", "农业", "商贸")
SHOPS = ("小吃店", "百货店", "理发店", "水果店", "五金店", "文具店", "维修店", "茶馆")
FAR = (("990102", "海州省江北市南湖区"), ("990311", "北原省平川市新丰县"))


def employer_name(number: int) -> str:
    return f"云岭{'安瑞新泰恒盛和永昌宏兴源'[number % 12]}{'达丰隆华信'[number // 12 % 5]}{TRADES[number % 10]}有限公司"


def _works(one: Resident, day: date) -> bool:
    return 18 <= one.age(day) <= 59


def work_of(year: Year, month: int) -> None:
    """Everything the labour office and market regulation write down in a month."""
    for _ in range(year.often(60)):
        _hire(year, month, day_in(year.rng, month))
    for _ in range(year.often(12)):
        _lose(year, month, day_in(year.rng, month))
    for _ in range(year.often(90)):
        _insure(year, month, day_in(year.rng, month))
    for _ in range(year.often(24)):
        _go_out(year, month, day_in(year.rng, month))
    for _ in range(year.often(10)):
        _open(year, month, day_in(year.rng, month))


def _hire(year: Year, month: int, day: date) -> None:
    one = year.pick(day, _works)
    if one is None:
        return
    one.employer = year.rng.randrange(EMPLOYERS)
    one.busy_until = day + timedelta(days=5)
    year.report("employment", "labour", month, person(year, one) | {
        "employer": employer_name(one.employer), "employer_uscc": make_uscc(one.employer + 1, "91"),
        "emp_form": year.rng.choice(("1", "2")), "industry": year.rng.choice(("C", "F", "H", "I")),
        "post": year.rng.choice(("操作工", "文员", "销售员", "质检员", "驾驶员")), "start_date": str(day),
        "contract_from": str(day), "contract_to": str(day + timedelta(days=1095)),
        "cert_no": f"999001{year.serial('work book'):010d}", "hukou_kind": "3",
    })  # fmt: skip


def _lose(year: Year, month: int, day: date) -> None:
    one = year.pick(day, lambda one, day: _works(one, day) and one.employer >= 0)
    if one is None:
        return
    year.report("unemployment", "labour", month, person(year, one) | {
        "reason": year.rng.choice(("1", "2", "3")), "reg_date": str(day), "last_employer": employer_name(one.employer),
        "benefit_from": str(day), "cert_no": f"999001{year.serial('work book'):010d}",
    })  # fmt: skip
    one.employer, one.busy_until = -1, day + timedelta(days=5)


def _insure(year: Year, month: int, day: date) -> None:
    one = year.pick(day, _works)
    if one is None:
        return
    employer = one.employer if one.employer >= 0 else year.rng.randrange(EMPLOYERS)
    one.busy_until = date.fromisoformat(f"{MONTHS[month]}-28")  # one change of insurance a month
    year.report("social_insurance", "labour", month, person(year, one) | {
        "scheme": year.rng.choice(("110", "210", "310")), "kind": year.rng.choice(("1", "1", "2")),
        "unit": employer_name(employer), "month": MONTHS[month], "base_amount": str(year.rng.randrange(38, 90) * 100),
        "joined_on": str(day), "insured_no": f"99{year.serial('insured'):08d}",
    })  # fmt: skip


def _go_out(year: Year, month: int, day: date) -> None:
    one = year.pick(day, _works)
    if one is None:
        return
    division, place = year.rng.choice(FAR)
    one.busy_until = day + timedelta(days=20)
    year.report("labour_transfer", "labour", month, person(year, one) | {
        "dest_div": division, "dest_addr": place, "dest_unit": f"{place[-3:]}第{year.rng.randrange(1, 9)}制造厂",
        "industry": "C", "work": "操作工", "out_date": str(day), "return_date": "",
        "organised": year.rng.choice("01"),
    })  # fmt: skip


def _open(year: Year, month: int, day: date) -> None:
    one = year.pick(day, _works)
    if one is None:
        return
    number = year.serial("business")
    one.busy_until = day + timedelta(days=10)
    year.report("business_licence", "commerce", month, person(year, one, "operator_") | {
        "business_name": f"云岭区{one.name[0]}记{SHOPS[number % len(SHOPS)]}{number}号",
        "uscc": make_uscc(10_000 + number), "type": "2", "premises": address(year.district, one.village, one),
        "premises_div": area_code(year.district, one.village), "scope": "日用品零售；餐饮服务",
        "capital": str(year.rng.randrange(1, 20)),
        "established_on": str(day), "approved_on": str(day), "kind": "1", "status": "1", "phone": one.phone,
        "office": "云岭区市场监督管理局", "employees": str(year.rng.randrange(1, 6)),
    })  # fmt: skip
