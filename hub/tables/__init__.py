"""What is kept: the fixed tables, one file a subject.

Record tables are built from mappings/record_types by hub.operations.record_tables.
"""

from hub.tables.access import (
    access_request,
    access_token,
    account,
    api_key,
    audit,
    audit_archive,
    audit_seal,
    sign_in_address,
    web_session,
)
from hub.tables.base import metadata
from hub.tables.channels import channel_item, channel_state, sftp_event
from hub.tables.feed import change_log, delivery, difference, feed_batch, feed_head, subscription, subscription_version
from hub.tables.people import (
    comparison_item,
    erased_version,
    erasure,
    feed_reader,
    held_candidate,
    held_row,
    person,
    person_decision,
    person_identifier,
    person_pair,
    person_profile,
    person_search,
    verification,
)
from hub.tables.registry import area, area_version, organisation
from hub.tables.submissions import (
    effect_sample,
    header_choice,
    idempotency_key,
    operation,
    row_error,
    submission,
)

__all__ = [
    "access_request",
    "access_token",
    "account",
    "api_key",
    "area",
    "area_version",
    "audit",
    "audit_archive",
    "audit_seal",
    "change_log",
    "channel_item",
    "channel_state",
    "comparison_item",
    "delivery",
    "difference",
    "effect_sample",
    "erased_version",
    "erasure",
    "feed_batch",
    "feed_head",
    "feed_reader",
    "header_choice",
    "held_candidate",
    "held_row",
    "idempotency_key",
    "metadata",
    "operation",
    "organisation",
    "person",
    "person_decision",
    "person_identifier",
    "person_pair",
    "person_profile",
    "person_search",
    "row_error",
    "sftp_event",
    "sign_in_address",
    "submission",
    "subscription",
    "subscription_version",
    "verification",
    "web_session",
]
