"""Dirty cells: identity numbers, names, dates; cases 1 to 29."""

from __future__ import annotations

import datetime

from tests.dirty_files import (
    CARE,
    CIVIL,
    HEALTH,
    Sent,
    csv,
    dead,
    each,
    held,
    mover,
    newborn,
    ok,
    refused,
    table,
    text,
    wedding,
    with_last_x,
    xlsx,
)
from tests.doors import identity_number
from tests.factories_identity import registration_number


def numbers_with_marks() -> list[Sent]:
    numbers = [identity_number(41 + at) for at in range(0, 10, 2)]
    marks = ("'{}", "`{}", "{}\u00a0", "{}\t", "{}\u200b")
    return [csv(*[
        (mover(4, at * 2, id_no=mark.format(number)), ok("N_CLEANED", id_no=number))
        for at, (mark, number) in enumerate(zip(marks, numbers, strict=True))
    ])]  # fmt: skip


def numbers_with_letters() -> list[Sent]:
    number = with_last_x(6)
    born = {"birth_date": number[6:14], "id_no": number}
    small = (mover(6, **born | {"id_no": number.lower()}), ok(id_no=number))
    others = [(mover(6, **born | {"id_no": number[:-1] + mark}), ok("W_ID_CLEANED", id_no=number)) for mark in "Х*×"]
    return [csv(small, *others)]


def numbers_of_fifteen_digits() -> list[Sent]:
    number = identity_number(81)
    short = number[:6] + number[8:17]
    upgraded = ok("W_ID_UPGRADED", id_no=number)
    return [csv((mover(8, id_no=short), upgraded)), xlsx((mover(8, id_no=int(short)), upgraded))]


def other_documents() -> list[Sent]:
    """The numbers are those printed as examples: on the permit, and in the rule of the foreigners' card."""
    permit = (wedding(13, male_id_no="810000199408230021"), ok("N_ID_OTHER_DOCUMENT", male_id_type="554"))
    card = (wedding(14, female_id_no="911124198108030024"), ok("N_ID_OTHER_DOCUMENT", female_id_type="553"))
    return [csv(permit, card, **CIVIL)]


def no_numbers_at_all() -> list[Sent]:
    strange = each(14, "id_no", held("E_ID_NOT_A_NUMBER"), "E12345678", "临时0001", "1" * 18)
    return [
        csv(*strange, (mover(14, 8, id_no="无"), held("E_ID_MISSING"))),
        csv((dead(14, id_no="无"), ok(id_no=None)), **HEALTH),
    ]


def dots_in_names() -> list[Sent]:
    written = [f"买买提{dot}吐尔逊" for dot in "•・.．‧·"]
    by_gb2312 = text(table([mover(18, name="买买提・吐尔逊")]), "gb18030").replace("・".encode("gb18030"), b"\xa1\xa4")
    assert b"\xa1\xa4" in by_gb2312
    same = ok(name="买买提·吐尔逊")
    return [
        csv(*[(mover(17, at, sex="", name=name), same) for at, name in enumerate(written)]),
        Sent(content=by_gb2312, rows=(same,)),
    ]


def middle_dot_by_another_codec() -> list[Sent]:
    """Whoever decoded A1A4 by GB 2312 got U+30FB and sends it on; the others got U+00B7. They are one name."""
    name, row = "买买提・吐尔逊", ok(name="买买提·吐尔逊")
    plain = text(table([mover(18, name="买买提·吐尔逊")]), "gb18030")
    return [csv((mover(18, 2, name=name), row)), Sent(content=plain, rows=(row,))]


def moved_character() -> list[Sent]:
    content = text(table([mover(19, name="王甲"), mover(19, 2, name="王乙")]), "gb18030")
    content = content.replace("甲".encode("gb18030"), b"\xfe\x59")
    return [Sent(content=content, rows=(ok(name="王\u9fb4"), ok(name="王乙")))]


def names_not_encodable() -> list[Sent]:
    names = ("王\ue000", "王?", "王□", "王\ufffd", "王(上龙下天)")
    return [csv(*[
        (mover(20, at, sex="", name=name), ok("W_NAME_UNENCODABLE", name=name)) for at, name in enumerate(names)
    ])]  # fmt: skip


def rare_characters() -> list[Sent]:
    rows = [(mover(21, at * 2, name="䶮𬭎"), ok(name="䶮𬭎")) for at in range(3)]
    return [csv(rows[0], encoding="gb18030"), xlsx(rows[1]), csv(rows[2])]


def names_of_one_person() -> list[Sent]:
    """The same number under a variant of the name: nothing is rewritten behind the sender's back, and it is said."""
    first, again = mover(22, name="萧红"), mover(22, name="蕭紅")
    return [csv((first, ok())), csv((again, ok("W_NAME_DIFFERS")), file_name="再报")]


def nameless_newborns() -> list[Sent]:
    children = ("未取名", "张某之女", "")
    born = [(newborn(23, at, child_name=name), ok(child_name=None)) for at, name in enumerate(children)]
    grown = [
        (mover(23, name="未取名"), refused("E_NAME_PLACEHOLDER")),
        (mover(23, 2, name="张某之女"), refused("E_NAME_PLACEHOLDER")),
        (mover(23, 4, name=""), refused("E_REQUIRED")),
    ]
    return [csv(*born, **CARE), csv(*grown)]


def dates_as_numbers() -> list[Sent]:
    day = ok(move_date=datetime.date(2011, 9, 16))
    return [
        xlsx((mover(25, move_date=40802), day)),
        xlsx((mover(25, 2, move_date=39340), day), options={"date_1904": True}),
    ]


def half_dates() -> list[Sent]:
    rows = [
        (mover(27, move_date="2011年9月"), held("E_DATE_INCOMPLETE")),
        (mover(27, 2, birth_date="90.3.7"), ok(birth_date=datetime.date(1990, 3, 7))),
        (mover(27, 4, birth_date="85.3.7"), held("E_DATE_AMBIGUOUS")),
        (mover(27, 6, move_date="9/10/11"), held("E_DATE_AMBIGUOUS")),
        (mover(27, 8, move_date="农历八月初一"), held("E_DATE_LUNAR")),
        (mover(28, move_date="2026年2月30日"), refused("E_DATE")),
    ]
    insured = {"insured_no": "7", "id_no": identity_number(271), "name": "王小明", "scheme": "110"}
    month = {"organisation": "labour", "record_type": "social_insurance"}
    return [csv(*rows), csv((insured | {"month": "2011年9月", "kind": "1"}, ok(month="2011-09")), **month)]


def impossible_dates() -> list[Sent]:
    young = wedding(29, male_id_no=identity_number(291, "20050101"))
    gone = {"name": "王强", "id_no": identity_number(293), "out_date": "2026-05-01", "return_date": "2026-04-01"}
    return [
        csv((mover(29, move_date="2062-11-01"), held("E_DATE_FUTURE"))),
        csv((dead(29, death_date="1949-01-01"), held("E_DATE_ORDER")), **HEALTH),
        csv((gone, held("E_DATE_ORDER")), organisation="labour", record_type="labour_transfer"),
        csv((young, ok("W_AGE")), **CIVIL),
    ]


def rounded_by_a_spreadsheet() -> list[Sent]:
    return [xlsx(*each(1, "id_no", held("E_ID_TRUNCATED"), 9.99001199003071e17))]


def numbers_of_a_script() -> list[Sent]:
    """A number cell whose digits happen to pass the check: nobody knows what the last ones were."""
    return [xlsx(*each(2, "id_no", held("E_ID_TRUNCATED"), float(identity_number(21)[:17] + "0")))]


def scientific_notation() -> list[Sent]:
    return [csv(*each(3, "id_no", refused("E_ID_SCIENTIFIC"), "9.99001E+17"))]


def full_width_digits() -> list[Sent]:
    number = identity_number(51)
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in number)
    return [csv((mover(5, id_no=wide), ok(id_no=number)))]


def numbers_in_groups() -> list[Sent]:
    numbers = ((gap, identity_number(71 + at * 2)) for at, gap in enumerate(" -"))
    grouped = [(gap.join((one[:6], one[6:14], one[14:])), one) for gap, one in numbers]
    return [csv(*[(mover(7, id_no=written), ok(id_no=number)) for written, number in grouped])]


def registration_numbers() -> list[Sent]:
    return [csv(*each(9, "id_no", refused("E_ID_IS_REGNO"), registration_number(sequence="69901234")))]


def household_numbers() -> list[Sent]:
    return [csv(*each(10, "id_no", held("E_ID_IS_HOUSEHOLD"), "999001102203010012"))]


def wrong_check_digit() -> list[Sent]:
    number = identity_number(111)
    wrong = "0" if number.endswith("1") else "1"
    return [csv(*each(11, "id_no", held("E_ID_CHECK"), number[:17] + wrong))]


def division_younger_than_its_citizen() -> list[Sent]:
    """No list of former divisions is published whole: the six digits of a well-formed number raise no doubt."""
    number = identity_number(121, "18990307")
    return [csv((mover(12, id_no=number, birth_date="1899-03-07"), ok(id_no=number)))]


def against_the_number() -> list[Sent]:
    sex, birth = mover(15, sex="女"), mover(15, 2, birth_date="1990-03-08")
    return [csv((sex, held("E_LOGIC_SEX")), (birth, held("E_LOGIC_BIRTH")))]


def names_spread_out() -> list[Sent]:
    return [csv(*each(16, "name", ok(name="王芳"), "王　芳", "王 芳"))]


def one_date_in_five_manners() -> list[Sent]:
    manners = ("2011年9月16日", "2011.9.16", "20110916", "2011/9/16 00:00:00", "二○一一年九月十六日")
    return [csv(*each(24, "move_date", ok(move_date=datetime.date(2011, 9, 16)), *manners))]


def months_without_their_zero() -> list[Sent]:
    return [xlsx(*each(26, "move_date", held("E_DATE_AMBIGUOUS_MONTH"), 2011.1, 2011.10))]


def door_numbers_turned_into_dates() -> list[Sent]:
    return [xlsx((mover(28, 2, hukou_addr=datetime.date(2026, 3, 2)), held("E_TEXT_TURNED_DATE")))]
