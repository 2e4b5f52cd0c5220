"""Counts of records that are clinical by existing, as whoever is outside care may read them: one count, never a small one.

A breakdown beside its sum, or a total beside its parts, would give a suppressed count away: neither is shown.
"""

from __future__ import annotations

from hub.registry.permissions import Actor
from hub.registry.scope import Scope, is_care_only
from mappings.catalogue import RecordType

SMALLEST_SHOWN = 5


def may_see_breakdown(actor: Actor, record_type: RecordType, sender: str) -> bool:
    """Whether states, parts and places of a submission's counts may be shown: to care, and to whoever sent it."""
    return not is_care_only(record_type) or Scope(actor=actor).may_see_clinical(sender)


def written_count(count: int) -> str:
    """The one count that is left, suppressed when it is small."""
    return f"<{SMALLEST_SHOWN}" if 0 < count < SMALLEST_SHOWN else f"{count:,}"
