"""What several subscriptions of one organisation amount to: a list that no single one may be, put together from two."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, select

from hub.errors import NotAllowed
from hub.registry import slice_definition
from hub.registry.slice_definition import SliceDefinition
from hub.tables import subscription, subscription_version


def refuse_hunting_together(
    connection: Connection, organisation: str, definition: SliceDefinition, code: str = ""
) -> None:
    """Judge the definition beside everything the organisation subscribes to and has not ended; NotAllowed names what.

    ``code``: the subscription the definition is for, whose own earlier version does not count. The transaction sees
    the organisation's subscriptions (its own, or the registry's).
    """
    beside = other_slices(connection, organisation, code)
    slice_definition.refuse_hunting(definition)
    try:
        slice_definition.refuse_hunting(definition, *beside.values())
    except NotAllowed as refused:
        named = "、".join(sorted(beside))
        raise NotAllowed(
            f"{refused.detail} 与本单位已有订阅（{named}）合并后可得出这样的名单：请去掉相应条件，或先终止有关订阅。"
            " Held against the subscriptions you have, it would give such a list: drop the condition, or end the other.",
            **refused.facts,
            subscriptions=sorted(beside),
        ) from None


def other_slices(connection: Connection, organisation: str, code: str = "") -> dict[str, SliceDefinition]:
    """What an organisation subscribes to and has not ended, by code, without the one of this code."""
    newest = (subscription.c.subscription_id == subscription_version.c.subscription_id) & (
        subscription.c.version == subscription_version.c.version
    )
    query = (
        select(subscription.c.code, subscription_version.c.definition)
        .select_from(subscription.join(subscription_version, newest))
        .where(subscription.c.organisation == organisation)
        .where(subscription.c.state != "ended", subscription.c.code != code)
    )
    return {name: msgspec.convert(found, SliceDefinition) for name, found in connection.execute(query)}
