"""Invented identity numbers: always the unassigned prefix 999001, so that none can be a real person's."""

from __future__ import annotations

from datetime import date

PREFIX = "999001"
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def identity_number(born: date = date(1990, 3, 7), sequence: int = 123, prefix: str = PREFIX) -> str:
    """18 characters; an odd sequence is a man's."""
    digits = f"{prefix}{born:%Y%m%d}{sequence:03d}"
    total = sum(int(digit) * weight for digit, weight in zip(digits, WEIGHTS, strict=True))
    return digits + "10X98765432"[total % 11]


def registration_number(authority: str = "999001", sequence: str = "60001234") -> str:
    """15 digits of a business registration before 2015 (GS 15-2006)."""
    rest = 10
    for digit in authority + sequence:
        rest = ((rest + int(digit)) % 10 or 10) * 2 % 11
    return f"{authority}{sequence}{(11 - rest) % 10}"
