"""How an area's code and name may be written: short codes, former names in brackets, long and short village names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_FORMER = re.compile(r"^(?P<now>[^()]+)\((?:原|曾用名|旧称)[::]?(?P<former>[^()]+)\)$")
_BODIES = re.compile(r"(?:村民|居民)?委员会$|委会$")


def code_forms(code: str, kind: str) -> Iterator[str]:
    """Twelve digits; a town also by its first nine, a district by its first six (GB/T 2260 and its extension)."""
    yield code
    if kind == "town":
        yield code[:9]
    if kind == "district":
        yield code[:6]


def name_forms(name: str) -> Iterator[str]:
    """The name as written, without its former name in brackets, the former name alone, each long and short."""
    written = "".join(unicodedata.normalize("NFKC", name).split())
    yield name
    for each in _with_and_without_former(written):
        yield each
        yield from _short(each)


def _with_and_without_former(written: str) -> Iterator[str]:
    yield written
    found = _FORMER.match(written)
    if found:
        yield found["now"]
        yield found["former"]


def _short(name: str) -> Iterator[str]:
    """东风村村民委员会, 东风村民委员会, 东风村委会 -> 东风村; 和平社区居民委员会, 和平社区居委会 -> 和平社区."""
    body = _BODIES.search(name)
    if body is None:
        return
    stem = name[: body.start()]
    if body.group() == "委会":
        stem = stem.removesuffix("居") if stem.endswith("社区居") else stem
    elif body.group() == "村民委员会" and not stem.endswith("村"):
        stem += "村"
    if len(stem) > 1:
        yield stem
