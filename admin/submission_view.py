"""One submission as every page about it shows it: whose, what, how it stands, and what this account may do with it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request
from sqlalchemy import Connection, Row

from admin.desk_forms import detail_of
from admin.error_table import show_refusal
from admin.visits import Visit
from admin.words import COUNTS
from hub.errors import HubError, NotFound
from hub.exchange import listing, receipts
from hub.exchange.retention import is_expired
from hub.exchange.small_cells import may_see_breakdown
from hub.registry.organisations import find_organisation
from hub.registry.permissions import Actor, Right
from hub.sentences import sentence_of
from mappings.catalogue import Catalogue

Asking = Request[Actor, Visit, Any]
READERS = (Right.READ_SUBMISSION, Right.READ_ALL_SUBMISSIONS)
DECIDERS = (Right.CONFIRM_SUBMISSION, Right.SUBMIT)
_CHECKED = ("braked", "previewed", "merged", "refused")


class Powers(msgspec.Struct, frozen=True, kw_only=True):
    """What this account may do with a submission as it stands."""

    own: bool
    answers_columns: bool = False
    releases: bool = False
    refuses: bool = False
    undoes: bool = False
    unlocks: bool = False
    takes_workbook: bool = False


def powers_of(actor: Actor, row: Row[Any]) -> Powers:
    """Own organisation first; releasing is never for who sent it."""
    if actor.organisation != row.organisation:
        return Powers(own=False)
    sends, confirms, braked = actor.may(Right.SUBMIT), actor.may(Right.CONFIRM_SUBMISSION), row.state == "braked"
    refused_for = (row.refusal or {}).get("code")
    return Powers(
        own=True,
        answers_columns=sends and row.state == "asking",
        releases=confirms and braked and actor.name != row.actor,
        refuses=(confirms or sends) and row.state in ("braked", "asking"),
        undoes=sends
        and row.state == "merged"
        and row.kind in ("regular", "backfill", "release", "undo")
        and row.accepted > 0,
        unlocks=sends and row.state == "refused" and refused_for == "F_PASSWORD",
        takes_workbook=actor.may(Right.READ_SUBMISSION) and bool(row.stored_as) and row.state in _CHECKED,
    )


def is_closed(actor: Actor, catalogue: Catalogue, row: Row[Any]) -> bool:
    """Of a submission of records that are clinical by existing, others than care see no more than that it is there."""
    return not may_see_breakdown(actor, catalogue.record_types[row.record_type], row.organisation)


def read_submission(
    connection: Connection, catalogue: Catalogue, actor: Actor, submission_id: UUID, visit: Visit
) -> dict[str, Any]:
    """What every template about one submission needs; NotFound for another organisation's."""
    row = listing.find_submission(connection, actor, submission_id)
    return {
        "row": row,
        "final": receipts.is_final(row),
        "settled": receipts.is_settled(row),
        "powers": powers_of(actor, row),
        "sender": find_organisation(connection, row.organisation),
        "record_type": catalogue.record_types[row.record_type],
        "refusal": show_refusal(row.refusal, catalogue, visit.language) if row.refusal else None,
        "count_titles": COUNTS,
        "closed": is_closed(actor, catalogue, row),
        "expired": is_expired(row),
    }


def read_own(
    connection: Connection, catalogue: Catalogue, actor: Actor, submission_id: UUID, visit: Visit
) -> dict[str, Any]:
    """The same for pages that are for the sender alone: anybody else's is not there."""
    page = read_submission(connection, catalogue, actor, submission_id, visit)
    if not page["powers"].own:
        raise NotFound()
    return page


def told_of(error: HubError, visit: Visit) -> str:
    """An error in the page's language: its own detail where that is a sentence, else the kind's sentence and the detail."""
    if "。" in error.detail:
        return detail_of(error, visit)
    sentence = sentence_of(error, english=visit.language == "en")
    return f"{sentence} {error.detail}".strip()
