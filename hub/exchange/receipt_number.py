"""A receipt's number: ``HR20261130-7K3M9QX2T4``, to be read aloud, typed from paper and found mistyped."""

from __future__ import annotations

import re
import secrets
from datetime import date

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_VALUE = {letter: value for value, letter in enumerate(_ALPHABET)}
_READ_AS = str.maketrans("ILO", "110")
_RANDOM_LETTERS = 9  # 45 bits a day
_FORM = re.compile(rf"^HR(\d{{8}})-?([{_ALPHABET}]{{{_RANDOM_LETTERS + 1}}})$")


def new_receipt_number(day: date, prefix: str = "HR") -> str:
    """A number of that day: nine random letters and a check letter over date and letters. Two letters say what it is of."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LETTERS))
    return f"{prefix}{day:%Y%m%d}-{body}{_check_letter(f'{day:%Y%m%d}{body}')}"


def read_receipt_number(typed: str) -> str | None:
    """The number as it is kept, from what somebody typed; None if it cannot be one."""
    compact = re.sub(r"\s", "", typed).upper()
    found = _FORM.match(compact[:2] + compact[2:].translate(_READ_AS))
    if found is None:
        return None
    day, letters = found.groups()
    if _check_letter(day + letters[:-1]) != letters[-1]:
        return None
    return f"HR{day}-{letters}"


def _check_letter(letters: str) -> str:
    """Luhn's rule in base 32: every single wrong letter and nearly every swap of neighbours shows."""
    total = 0
    for place, letter in enumerate(reversed(letters)):
        value = _VALUE[letter] * (2 if place % 2 == 0 else 1)
        total += value // 32 + value % 32
    return _ALPHABET[-total % 32]
