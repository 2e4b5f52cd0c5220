"""What a submission would do: counts, samples old and new, why it waits; a second person lets it happen or sends it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy import Connection

from admin.desk_forms import FORM, Form
from admin.effect_table import show_brake, show_samples
from admin.pages import go, show
from admin.submission_view import DECIDERS, READERS, Asking, read_submission, told_of
from admin.words import EFFECTS
from hub import audit
from hub.database import Database
from hub.decisions import effect as deciding
from hub.errors import BadRequest, Conflict, HubError, NotAllowed
from hub.exchange.effect import read_samples
from hub.registry.areas import load_area_index
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue


class EffectController(Controller):
    """/submissions/{id}/effect, /release and /withdraw."""

    path = "/submissions/{submission_id:uuid}"

    @get("/effect", opt={"right": READERS}, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        submission_id: FromPath[UUID],
    ) -> Response[Any]:
        return _show(request, database, catalogue, submission_id)

    @post("/release", opt={"right": Right.CONFIRM_SUBMISSION}, dependencies=FORM, status_code=200, sync_to_thread=True)
    def release(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: Form,
        submission_id: FromPath[UUID],
    ) -> Response[Any]:
        def decide() -> object:
            return deciding.release(database, settings, request.user, submission_id)

        return _decided(request, database, catalogue, submission_id, decide)

    @post("/withdraw", opt={"right": DECIDERS}, dependencies=FORM, status_code=200, sync_to_thread=True)
    def withdraw(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: Form,
        submission_id: FromPath[UUID],
    ) -> Response[Any]:
        def decide() -> object:
            return deciding.refuse(database, settings, request.user, submission_id, form.get("reason", ""))

        return _decided(request, database, catalogue, submission_id, decide, form.get("reason", ""))


def _decided(
    request: Asking,
    database: Database,
    catalogue: Catalogue,
    submission_id: UUID,
    decide: Callable[[], object],
    reason: str = "",
) -> Response[Any]:
    """The act and on to the submission; or its page again, saying why not."""
    _find(request, database, catalogue, submission_id)
    try:
        decide()
    except (BadRequest, Conflict, NotAllowed) as refused:
        return _show(request, database, catalogue, submission_id, refused, reason)
    return go(request, f"/submissions/{submission_id}")


def _find(request: Asking, database: Database, catalogue: Catalogue, submission_id: UUID) -> None:
    """Another organisation's submission is not there, whatever is asked of it."""
    with database.begin(reach_of(request.user)) as connection:
        read_submission(connection, catalogue, request.user, submission_id, request.auth)


def _show(
    request: Asking,
    database: Database,
    catalogue: Catalogue,
    submission_id: UUID,
    error: HubError | None = None,
    reason: str = "",
) -> Response[Any]:
    with database.begin(reach_of(request.user)) as connection:
        page = read_submission(connection, catalogue, request.user, submission_id, request.auth)
        outcomes = [] if page["closed"] else _samples(connection, request, catalogue, page)
    return show(
        request,
        "effect.html",
        status=error.status if error else 200,
        outcomes=outcomes,
        effects=EFFECTS,
        brake=[] if page["closed"] else show_brake(page["row"].waiting, catalogue, request.auth.language),
        error=told_of(error, request.auth) if error else "",
        reason=reason[:500],
        **page,
    )


def _samples(connection: Connection, request: Asking, catalogue: Catalogue, page: dict[str, Any]) -> list[Any]:
    """The samples, masked for who looks; that they were read is noted."""
    row, actor = page["row"], request.user
    found = read_samples(connection, row.submission_id)
    numbers = [one["row_no"] for samples in found.values() for one in samples]
    if numbers:
        right = Right.READ_SUBMISSION if actor.may(Right.READ_SUBMISSION) else Right.READ_ALL_SUBMISSIONS
        audit.record(
            connection, actor, right, f"submission/{row.submission_id}",
            what="effect", rows=len(numbers), digest=audit.digest_of(numbers),
        )  # fmt: skip
    own, areas = page["powers"].own, load_area_index(connection)
    return show_samples(found, catalogue, page["record_type"], areas, request.auth.language, own=own)
