"""Why somebody reads of a person: one of a few purposes, in words where the purpose alone does not say it."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal, get_args

import msgspec

from hub.errors import BadRequest
from hub.registry.masking import mask_within
from hub.registry.permissions import Actor, Right

PurposeCode = Literal["verify", "service", "correction", "inquiry", "other"]
PURPOSES: tuple[PurposeCode, ...] = get_args(PurposeCode)
_LEAST, _MOST = 4, 200
_LONG_NUMBER = re.compile(r"\d{6,}")


class NoPurpose(BadRequest):
    """请选择查阅目的；选“其他”或区局查阅，须另用 4 至 200 个字说明。 Say what for; some say it in 4 to 200 characters too."""

    problem = "no-purpose"


class Purpose(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody reads for, as the audit keeps it."""

    code: PurposeCode
    text: str = ""


def checked_purpose(actor: Actor, code: str, text: str = "") -> Purpose:
    """The purpose as it is noted; NoPurpose if it is none. Whoever oversees gives a reason in words as well."""
    said = " ".join(text.split())
    if code not in PURPOSES or ((said or code == "other" or oversees(actor)) and not _is_a_reason(said)):
        raise NoPurpose()
    return Purpose(code=code, text=said)


def oversees(actor: Actor) -> bool:
    """The bureau and the hub's own machine: they read of everybody, masked, and say why."""
    return actor.kind == "bureau" or actor.may(Right.OPERATE)


def _is_a_reason(said: str) -> bool:
    plain = unicodedata.normalize("NFKC", said)
    is_text = _LEAST <= len(said) <= _MOST and "\0" not in said
    return is_text and not _LONG_NUMBER.search(plain) and mask_within(said) == said
