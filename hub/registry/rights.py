"""An act declares the right it needs, and is refused to whoever has not got it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from hub.errors import NotAllowed
from hub.registry.permissions import Actor, Right

Act = TypeVar("Act", bound=Callable[..., Any])


def declares(right: Right) -> Callable[[Act], Act]:
    """Mark a command or a job with the one right it needs; routes say so in ``opt["right"]``."""

    def mark(act: Act) -> Act:
        act.right = right  # type: ignore[attr-defined]
        return act

    return mark


def declared_right(act: object) -> Right | None:
    """The right an act declares, looked for through its wrappers."""
    while act is not None:
        found = getattr(act, "right", None)
        if isinstance(found, Right):
            return found
        act = getattr(act, "__wrapped__", None)
    return None


def require(actor: Actor, *any_of: Right) -> None:
    """Refuse an actor who has none of these rights."""
    if not any(actor.may(right) for right in any_of):
        needed = " / ".join(any_of)
        raise NotAllowed(f"需要权限 {needed}，请联系安全管理员。 Needs the right {needed}.", right=needed)
