"""What a password must be, how it is kept (argon2id, never in clear), and new ones that fit."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from hub.database import utc_now
from hub.errors import BadRequest
from hub.settings import AccountPolicy

LONGEST_PASSWORD = 128
UNUSABLE = "!"  # in place of a hash: no password opens this account
ADMINISTRATORS = frozenset({"system_administrator", "security_administrator", "auditor"})

# Words of this place that a guesser tries first; a site adds its own (AccountPolicy.forbidden_words).
CONTEXT_WORDS = (
    "hub", "exchange", "district", "bureau", "population", "admin", "root", "password", "passwd", "passw0rd", "mima",
    "welcome", "login", "qwer", "asdf", "zxcv", "1qaz", "abc123", "123456", "888888", "666666",
    "枢纽", "人口", "数据", "交换", "区局", "管理员", "系统", "密码", "口令", "登录", "欢迎",
)  # fmt: skip

_LEAST_SCORE = 2  # of zxcvbn: below it, fewer than a million guesses
_ESTIMATED = 72  # characters zxcvbn looks at: its time grows with the square
_WORD = re.compile(r"[a-z]+|\d+")
_UNSHIFTED = str.maketrans("!@#$%^&*()", "1234567890")  # 1234!@#$ is 1234 twice
_POOLS = ("abcdefghjkmnpqrstuvwxyz", "ABCDEFGHJKMNPQRSTUVWXYZ", "23456789", "-_%#", "春夏秋冬山川湖海")
_NEW_LENGTH = 16
_PART = re.compile(r"[a-z0-9]{3,}|[\u3400-\u9fff]{2,}")  # shorter ones are in every second password by chance
_SHORTEST_LOGIN = 3  # a shorter one is in every second password by chance

_hasher = PasswordHasher()
_NOBODY = _hasher.hash("nobody has this password")  # checked for unknown logins, so that they take as long


class Reason(NamedTuple):
    """Why a password will not do, in both languages."""

    chinese: str
    english: str


class UnfitPassword(BadRequest):
    """密码不符合要求。 This password will not do."""

    def __init__(self, reasons: tuple[Reason, ...]) -> None:
        self.reasons = reasons
        chinese, english = "；".join(each.chinese for each in reasons), "; ".join(each.english for each in reasons)
        super().__init__(f"密码{chinese}。 A password {english}.")


def hash_password(password: str) -> str:
    return _hasher.hash(password)


def matches(kept: str | None, password: str) -> bool:
    """Whether this password made that hash; no hash, or an unusable one, costs as much and is never right.

    One longer than any that was ever taken is wrong, whatever it begins with; hashing all of it would be a weapon.
    """
    usable = kept is not None and kept.startswith("$argon2") and len(password) <= LONGEST_PASSWORD
    try:
        right = _hasher.verify(kept if kept and usable else _NOBODY, password[:LONGEST_PASSWORD])
    except (VerificationError, InvalidHashError):
        return False
    return usable and right


def is_outdated(kept: str) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(kept)


def refuse_unfit(
    password: str,
    login: str,
    policy: AccountPolicy,
    *,
    roles: Collection[str] = (),
    former: Collection[str] = (),
    about: Collection[str] = (),
) -> None:
    """UnfitPassword with every reason; ``former`` are the hashes of earlier passwords and of the present one,
    ``about`` the names that go with the account: its person's, its organisation's code."""
    reasons = tuple(_reasons(password, login, policy, roles, about))
    if not reasons and any(matches(hash_, password) for hash_ in former):
        reasons = (Reason("不能与现用或最近用过的相同", "is not the present one or one used lately"),)
    if reasons:
        raise UnfitPassword(reasons)


def _reasons(
    password: str, login: str, policy: AccountPolicy, roles: Collection[str], about: Collection[str]
) -> Iterator[Reason]:
    least = least_length(policy, roles)
    if not least <= len(password) <= LONGEST_PASSWORD:
        yield Reason(f"须 {least}–{LONGEST_PASSWORD} 位", f"has {least} to {LONGEST_PASSWORD} characters")
    if _classes(password) < policy.password_least_classes:
        wanted = policy.password_least_classes
        yield Reason(
            f"须含小写字母、大写字母、数字、符号、汉字等文字中的 {wanted} 类",
            f"has {wanted} of: lower case, upper case, digits, signs, other scripts",
        )
    if len(login) >= _SHORTEST_LOGIN and login.lower() in password.lower():
        yield Reason("不含登录名", "does not contain the login")
    found = [word for word in _context_words(login, policy, about) if word in password.lower()]
    if found:
        yield Reason(f"不含“{found[0]}”这样的词", f'does not contain a word like "{found[0]}"')
    if is_common(password, login):
        yield Reason("不能是常见或容易猜到的", "is not a common one or easily guessed")


def _context_words(login: str, policy: AccountPolicy, about: Collection[str]) -> list[str]:
    """What a guesser who knows the place and the person tries first, this year and its neighbours among it."""
    year = utc_now().year
    given = (*CONTEXT_WORDS, *policy.forbidden_words, *map(str, (year - 1, year, year + 1)), *about)
    words = dict.fromkeys(word for each in given for word in _PART.findall(each.lower()))
    return [word for word in words if word != login.lower()]


def first_password_until(policy: AccountPolicy, now: datetime) -> datetime | None:
    """Until when a password somebody else chose is good; None: until it is changed."""
    return now + timedelta(days=policy.first_password_days) if policy.first_password_days else None


def least_length(policy: AccountPolicy, roles: Collection[str]) -> int:
    """Administrators and auditors need a longer one."""
    if ADMINISTRATORS & {*roles}:
        return max(policy.password_least_length, policy.administrator_password_least_length)
    return policy.password_least_length


def _classes(password: str) -> int:
    return len({_class_of(character) for character in password})


def _class_of(character: str) -> str:
    if character.isascii() and character.isalpha():
        return "lower" if character.islower() else "upper"
    if character.isdigit():
        return "digit"
    return "other script" if character.isalpha() else "sign"


def is_common(password: str, login: str = "") -> bool:
    """On the lists of common passwords, made of one or two words from them, or soon guessed."""
    cut = password[:_ESTIMATED]
    written = {cut, cut.lower().translate(_UNSHIFTED)}
    if cut.isascii() and any(_is_two_common_words(each.lower()) for each in written):
        return True
    known = [login] if login else []
    return any(zxcvbn(each, user_inputs=known)["score"] < _LEAST_SCORE for each in written if each)


def _is_two_common_words(text: str) -> bool:
    words = _WORD.findall(text)
    return 0 < len(words) <= 2 and all(word in _common_words() for word in words)


@cache
def _common_words() -> frozenset[str]:
    return frozenset(FREQUENCY_LISTS["passwords"])


def new_password(
    policy: AccountPolicy, roles: Collection[str] = (), login: str = "", about: Collection[str] = ()
) -> str:
    """A random password that fits the policy, without characters that look alike."""
    length = max(_NEW_LENGTH, least_length(policy, roles))
    pools = _POOLS[: max(4, policy.password_least_classes)]
    while True:
        letters = [secrets.choice(pool) for pool in pools]
        letters += [secrets.choice("".join(pools[:3])) for _ in range(length - len(letters))]
        secrets.SystemRandom().shuffle(letters)
        made = "".join(letters)
        if not any(_reasons(made, login, policy, roles, about)):
            return made
