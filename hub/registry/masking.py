"""How much of a personal value anybody is shown: enough to recognise one's own row, not enough to copy a person.

One table says it for every page, file, answer and log: what a value is, who looks, which mask lies over it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Literal

from mappings.catalogue import Field

View = Literal["own", "town", "oversight", "auditor"]
Kind = Literal["identifier", "phone", "address", "name", "date", "place", "open", "other"]
Mask = Callable[[str], str]

_IDENTIFIER_TYPES = ("id_no", "certificate")
_PLACE_TYPES = ("area", "division")
_DATE_TYPES = ("date", "datetime", "month")
_OPEN_SENSITIVITIES = ("public", "internal")
_ADDRESS_WORDS = frozenset({"addr", "address"})
_SHOWN_HEAD, _SHOWN_TAIL, _SHORT = 6, 4, 11
_ADDRESS_HEAD = 4
_AREA_CODE = re.compile(r"\d{6}|\d{9}|\d{12}")


def mask_field(value: object, field: Field | None, view: View) -> str:
    """A value as this view may read it; ``field`` is None where nobody knows what the value is."""
    text = "" if value is None else str(value)
    return RULES[kind_of(field)][view](text) if text else ""


def kind_of(field: Field | None) -> Kind:
    """What a field's values are, as far as masking goes."""
    if field is None:
        return "other"
    if field.type in _IDENTIFIER_TYPES:
        return "identifier"
    if field.type == "phone":
        return "phone"
    if _ADDRESS_WORDS & set(field.name.split("_")):
        return "address"
    return _kind_of_the_rest(field)


def _kind_of_the_rest(field: Field) -> Kind:
    if field.sensitivity in _OPEN_SENSITIVITIES:
        return "open"
    if field.type == "name":
        return "name"
    if field.type in _DATE_TYPES:
        return "date"
    return "place" if field.type in _PLACE_TYPES else "other"


def mask_identifier(value: str | None) -> str:
    """110101********0011; something shorter keeps only its two ends."""
    if not value:
        return ""
    if len(value) <= _SHORT:
        return value[:1] + "*" * (len(value) - 2) + value[-1:] if len(value) > 2 else "*" * len(value)
    return f"{value[:_SHOWN_HEAD]}{'*' * (len(value) - _SHOWN_HEAD - _SHOWN_TAIL)}{value[-_SHOWN_TAIL:]}"


def mask_phone(value: str) -> str:
    """139****1234; something shorter keeps nothing but its end."""
    head, tail = (3, 4) if len(value) >= _SHORT else (0, min(2, len(value) // 3))
    return value[:head] + "*" * (len(value) - head - tail) + value[len(value) - tail :]


def mask_address(value: str) -> str:
    """Where it begins, and never more than half of it."""
    return value[: min(_ADDRESS_HEAD, len(value) // 2)] + "***"


def mask_within(text: str | None) -> str:
    """A sentence or a cell with every number of a person or a telephone in it masked, and every house number.

    Numbers are recognised as people mangle them: in full width, with spaces or hyphens inside, glued to letters.
    """
    written = text or ""
    plain, places = _normalised(written)
    shown = list(written)
    for hidden in _hidden(plain):
        shown[places[hidden]] = "*"
    return "".join(shown)


# ---- the table ----


def _place_name(value: str) -> str:
    """A code of the district's areas is nobody's number."""
    return value if _AREA_CODE.fullmatch(value.strip()) else mask_within(value)


def _first_character(value: str) -> str:
    return f"{value[:1]}***" if len(value) > 1 else "***"  # of a value this short the first would be all of it


def _year(value: str) -> str:
    return f"{value[:4]}-**-**" if re.match(r"(?:18|19|20)\d\d\b", value) else _first_character(value)


def _nothing(value: str) -> str:
    return "***"


def _rules(own: Mask, oversight: Mask, auditor: Mask = _nothing) -> dict[View, Mask]:
    return {"own": own, "town": own, "oversight": oversight, "auditor": auditor}


RULES: dict[Kind, dict[View, Mask]] = {
    "identifier": _rules(own=mask_identifier, oversight=mask_identifier),
    "phone": _rules(own=mask_phone, oversight=mask_phone),
    "address": _rules(own=mask_address, oversight=_first_character),
    "name": _rules(own=mask_within, oversight=_first_character),
    "date": _rules(own=mask_within, oversight=_year),
    "place": _rules(own=_place_name, oversight=_first_character),
    "open": _rules(own=mask_within, oversight=mask_within, auditor=mask_within),
    "other": _rules(own=mask_within, oversight=_first_character),
}


# ---- numbers inside a text ----

_GAP = r"[\s\-_.,·•、/|'\"()\u00ad\u200b-\u200f\u2010-\u2015\u2060\u2212\ufeff]{0,3}"
_RUN = re.compile(rf"\d(?:{_GAP}[\dOoIl])*(?:{_GAP}[Xx])?")
_ALIKE = str.maketrans("〇零一二三四五六七八九×", "00123456789X")
_MOMENTS = re.compile(r"(?:(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])?(?:[0-5]\d){0,2})+")
_CERTIFICATE = re.compile(r"(?<![0-9A-Za-z])(?!HR\d)[A-Za-z]{1,2}\d{7,9}(?![0-9A-Za-z])")
# the hub's own receipt numbers; one that is all digits could be a person's number dressed up as one
_RECEIPT = re.compile(r"(?<![0-9A-Za-z])HR20\d{6}-(?!\d{9}[0-9X])[0-9A-HJKMNP-TV-Z]{10}(?![0-9A-Za-z])")
_HOUSE = re.compile(
    r"(?<=[路街道巷弄村庄屯寨组区园苑里号栋幢座楼元])[0-9A-Za-z一二三四五六七八九十百-]{1,8}(?=组|号|栋|幢|座|室|单元|弄|楼|层)"
)
_PERSONS, _AREAS, _PHONES = 15, 12, 11  # so many digits has a number of a person, of an area, of a telephone
_LEAST_BEFORE_X = 14


def _normalised(written: str) -> tuple[str, list[int]]:
    """The text in plain width (NFKC), and for each of its characters the place it has in what was written."""
    if written.isascii():
        return written, list(range(len(written)))
    pairs = [(plain, at) for at, one in enumerate(written) for plain in unicodedata.normalize("NFKC", one)]
    return "".join(plain for plain, _ in pairs), [at for _, at in pairs]


def _hidden(plain: str) -> Iterator[int]:
    """Places in the plain text that are not shown."""
    plain = _RECEIPT.sub(lambda found: "R" * len(found.group()), plain)
    for run in _RUN.finditer(plain.translate(_ALIKE)):
        places = [at for at in range(*run.span()) if plain[at].translate(_ALIKE).isalnum()]
        yield from _hidden_of_run(run.group(), places)
    for found in _CERTIFICATE.finditer(plain):
        yield from range(found.start() + 2, found.end() - 2)
    for found in _HOUSE.finditer(plain):
        yield from range(*found.span())


def _hidden_of_run(run: str, places: list[int]) -> list[int]:
    """Of a run of digits, all but its ends, if it is long enough to be somebody's; a moment is a moment."""
    digits = "".join(one for one in run if one.isalnum())
    if digits[-1:] in "Xx" and len(digits) <= _LEAST_BEFORE_X:
        digits, places = digits[:-1], places[:-1]
    if len(digits) < _PHONES or _MOMENTS.fullmatch(digits) or _is_area_code(run):
        return []
    return places[_SHOWN_HEAD:-_SHOWN_TAIL] if len(digits) >= _PERSONS else places[3:-_SHOWN_TAIL]


def _is_area_code(run: str) -> bool:
    """Twelve digits in one piece; a landline begins with 0, a foreign prefix is 86."""
    return len(run) == _AREAS and run.isdigit() and not run.startswith(("0", "86"))
