"""Keeps what was made of a catalogue's part or of the areas, as long as it is asked of that very thing; never a cell.

Single rows come often, and the tables to read them by cost more to make than the rows to read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar, TypeVarTuple

Things = TypeVarTuple("Things")
Made = TypeVar("Made")


class _Same:
    """Equal to what holds the very same things; holds them, so that nothing else comes to stand in their place."""

    __slots__ = ("things",)

    def __init__(self, things: Any) -> None:
        self.things = things

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and all(one is two for one, two in zip(self.things, other.things, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(map(id, self.things)))


def made_once(most: int) -> Callable[[Callable[[*Things], Made]], Callable[[*Things], Made]]:
    """Of things that never change, given by position; the ``most`` that were last asked for are kept."""

    def keeping(make: Callable[[*Things], Made]) -> Callable[[*Things], Made]:
        @lru_cache(maxsize=most)
        def kept(same: _Same) -> Made:
            return make(*same.things)

        @wraps(make)
        def asked(*things: *Things) -> Made:
            return kept(_Same(things))

        return asked

    return keeping
