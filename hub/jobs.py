"""Work for later: a submission is received and its job queued in one transaction; one job a submission, never a row.

The queue only says what to look at. What is right is decided by the submission's state, so a job may run twice,
late, or not at all (the sweep finds it) without effect on the result.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from procrastinate import JobContext, RetryStrategy, SyncPsycopgConnector
from procrastinate.manager import JobManager
from sqlalchemy import Connection, update

from hub import following
from hub.accepting import Accepted as Accepted
from hub.accepting import accept as accept
from hub.accepting import enqueue as enqueue
from hub.casework import balance, reminders, rounds
from hub.casework.challenge_settling import settle_by_itself
from hub.casework.notice_sending import send_waiting
from hub.database import Database, driver, run_sql, utc_now
from hub.exchange import effect, person_submission, pipeline, receive, retention
from hub.exchange.dispute_submission import lift_settled
from hub.faults import point
from hub.keyring import Keyring
from hub.operations import audit_anchors
from hub.operations.failed_jobs import drop_old_failures
from hub.operations.job_errors import JobFailed, place_of, telling_no_values
from hub.oversight.quality_keeping import keep_quality_figures
from hub.people import comparison, profiles
from hub.people.pairs import find_pairs
from hub.registry.permissions import SYSTEM_ACTOR, Right
from hub.registry.rights import declares
from hub.settings import Settings
from hub.sharing.freshness import watch_freshness
from hub.sharing.keeping import keep_sharing
from hub.tables import submission
from hub.workers import queue as queue
from hub.workers import retry_stalled_jobs
from hub.workers import run_now as run_now
from hub.workers import wait_until_final as wait_until_final
from hub.workers import work as work
from hub.workers import worker_is_alive as worker_is_alive
from mappings.catalogue import Catalogue

MOST_ATTEMPTS = 5
_KEPT_HOURS = 72
_SAMPLES_KEPT = timedelta(days=7)

log = logging.getLogger("hub.jobs")
_on_the_callers_connection = JobManager(SyncPsycopgConnector())


def enqueue_decision(connection: Connection, decision_id: UUID) -> None:
    """Queue a decision about persons in this transaction; they are carried out one after the other."""
    raw = driver(connection)
    job = carry_out_decision.configure(lock="persons").job
    raw.execute("SET LOCAL search_path = jobs")
    _on_the_callers_connection.defer_job(job.evolve(task_kwargs={"decision_id": str(decision_id)}), connection=raw)
    raw.execute("SET LOCAL search_path TO DEFAULT")


def sweep(database: Database, older_than_seconds: float = 30.0) -> int:
    """Queue again every submission and decision that waits without a job (a lost queue, a restored backup); how many."""
    with database.begin() as connection:
        waiting = run_sql(connection, _WAITING, seconds=older_than_seconds)
        for submission_id, organisation, record_type in waiting:
            enqueue(connection, UUID(str(submission_id)), str(organisation), str(record_type))
        undecided = run_sql(connection, _UNDECIDED, seconds=older_than_seconds)
        for (decision_id,) in undecided:
            enqueue_decision(connection, UUID(str(decision_id)))
    return len(waiting) + len(undecided)


_WAITING = """
SELECT s.submission_id, s.organisation, s.record_type
  FROM {d}.submission s
 WHERE s.state IN ('received', 'checked')
   AND s.received_at < now() - make_interval(secs => :seconds)
   AND NOT EXISTS (SELECT 1 FROM jobs.procrastinate_jobs j
                    WHERE j.status IN ('todo', 'doing') AND j.task_name = 'run_submission'
                      AND j.args ->> 'submission_id' = s.submission_id::text)
 ORDER BY s.received_at
"""


_UNDECIDED = """
SELECT p.decision_id FROM {d}.person_decision p
 WHERE p.state = 'asked' AND p.decided_at < now() - make_interval(secs => :seconds)
   AND NOT EXISTS (SELECT 1 FROM jobs.procrastinate_jobs j
                    WHERE j.status IN ('todo', 'doing') AND j.task_name = 'carry_out_decision'
                      AND j.args ->> 'decision_id' = p.decision_id::text)
 ORDER BY p.decided_at
"""


# ---- the jobs ----


@declares(Right.SYSTEM)
@queue.task(
    name="run_submission", pass_context=True, retry=RetryStrategy(max_attempts=MOST_ATTEMPTS, exponential_wait=2)
)
def run_submission(context: JobContext, submission_id: str) -> None:
    """Take one submission through the line."""
    database, settings = _tools(context)
    point("job.started")
    try:
        pipeline.run(database, settings, UUID(submission_id))
        following.follow(database, settings, _catalogue(), UUID(submission_id))
    except Exception as wrong:
        _note_failure(database, context, UUID(submission_id), wrong)
        raise JobFailed(wrong) from None
    point("job.done")


@declares(Right.SYSTEM)
@queue.task(
    name="carry_out_decision", pass_context=True, retry=RetryStrategy(max_attempts=MOST_ATTEMPTS, exponential_wait=2)
)
def carry_out_decision(context: JobContext, decision_id: str) -> None:
    """Merge, split or keep apart persons as was decided; what fails again and again is refused, not forgotten."""
    database, settings = _tools(context)
    try:
        with telling_no_values():
            person_submission.carry_out_decision(database, settings, _catalogue(), UUID(decision_id))
    except JobFailed as failed:
        if context.job.attempts >= MOST_ATTEMPTS:
            person_submission.refuse_decision(database, UUID(decision_id), f"多次未能执行 failed: {failed}")
        raise


@declares(Right.SYSTEM)
@queue.periodic(cron="* * * * *")
@queue.task(name="retry_stalled", pass_context=True, queueing_lock="retry_stalled")
async def retry_stalled(context: JobContext, timestamp: int) -> None:
    """Give the jobs of dead workers to a living one."""
    await retry_stalled_jobs(context.app)


@declares(Right.SYSTEM)
@queue.periodic(cron="* * * * *")
@queue.task(name="sweep_submissions", pass_context=True, queueing_lock="sweep_submissions")
def sweep_submissions(context: JobContext, timestamp: int) -> None:
    """Find submissions nobody is working on, and returned lists of which something was not sent on."""
    database, settings = _tools(context)
    sweep(database)
    following.follow_all(database, settings, _catalogue())


@declares(Right.SYSTEM)
@queue.periodic(cron="*/5 * * * *")
@queue.task(name="seal_audit", pass_context=True, queueing_lock="seal_audit")
def seal_audit(context: JobContext, timestamp: int) -> None:
    """Link the new audit lines to the sealed ones, and write the new head outside the database."""
    database, settings = _tools(context)
    audit_anchors.keep(database, settings, Keyring.load(settings.home), utc_now())


@declares(Right.SYSTEM)
@queue.periodic(cron="5 16 * * *")  # just after midnight in Shanghai
@queue.task(name="anchor_audit", pass_context=True, queueing_lock="anchor_audit")
def anchor_audit(context: JobContext, timestamp: int) -> None:
    """One anchor a day at least, whatever happened on it."""
    database, settings = _tools(context)
    audit_anchors.anchor(database, settings, Keyring.load(settings.home), SYSTEM_ACTOR, utc_now())


@declares(Right.SYSTEM)
@queue.periodic(cron="* * * * *")
@queue.task(name="derive_profiles", pass_context=True, queueing_lock="derive_profiles")
def derive_profiles(context: JobContext, timestamp: int) -> None:
    """What is known of people follows the change log."""
    with telling_no_values():
        while _derive_page(_tools(context)[0]):
            pass


@declares(Right.SYSTEM)
@queue.periodic(cron="*/5 * * * *")
@queue.task(name="keep_quality", pass_context=True, queueing_lock="keep_quality")
def keep_quality(context: JobContext, timestamp: int) -> None:
    """Quality figures of what was touched since are counted anew."""
    database, settings = _tools(context)
    with telling_no_values(), database.begin() as connection:
        keep_quality_figures(connection, _catalogue(), settings.time_zone)


@declares(Right.SYSTEM)
@queue.periodic(cron="20 * * * *")
@queue.task(name="keep_rounds", pass_context=True, queueing_lock="keep_rounds")
def keep_rounds(context: JobContext, timestamp: int) -> None:
    """Rounds open on their day; who has to be reminded is. Every hour, so that a hub that was off at midnight is not late."""
    database, settings = _tools(context)
    with telling_no_values():
        rounds.open_due_rounds(database, settings, _catalogue(), utc_now())
        rounds.close_due_rounds(database, settings, utc_now())
        with database.begin() as connection:
            reminders.make_due_notices(connection, settings, utc_now())


@declares(Right.SYSTEM)
@queue.periodic(cron="10 17 * * *")  # an hour after midnight in Shanghai
@queue.task(name="close_months", pass_context=True, queueing_lock="close_months")
def close_months(context: JobContext, timestamp: int) -> None:
    """Months whose day has come are drawn, and closed if nobody is unexplained."""
    database, settings = _tools(context)
    with telling_no_values():
        balance.close_due(database, settings, _catalogue(), utc_now())


@declares(Right.SYSTEM)
@queue.periodic(cron="* * * * *")
@queue.task(name="keep_challenges", pass_context=True, queueing_lock="keep_challenges")
def keep_challenges(context: JobContext, timestamp: int) -> None:
    """Challenges whose source has mended its record are over; marks follow the challenges."""
    database, settings = _tools(context)
    with telling_no_values():
        with database.begin() as connection:
            settle_by_itself(connection, SYSTEM_ACTOR, _catalogue(), utc_now())
        lift_settled(database, settings, _catalogue())


@declares(Right.SYSTEM)
@queue.periodic(cron="* * * * *")
@queue.task(name="send_notices", pass_context=True, queueing_lock="send_notices")
def send_notices(context: JobContext, timestamp: int) -> None:
    """Mail and short messages that wait go out."""
    database, settings = _tools(context)
    with telling_no_values():
        send_waiting(database, settings, SYSTEM_ACTOR)


@declares(Right.SYSTEM)
@queue.periodic(cron="25 * * * *")
@queue.task(name="keep_licences", pass_context=True, queueing_lock="keep_licences")
def keep_licences(context: JobContext, timestamp: int) -> None:
    """Requests, entries and deliveries whose days run out are told of; licences lapse; last month is certified."""
    database, settings = _tools(context)
    with telling_no_values():
        keep_sharing(database, settings, _catalogue(), utc_now())


@declares(Right.SYSTEM)
@queue.periodic(cron="*/5 * * * *")
@queue.task(name="watch_slices", pass_context=True, queueing_lock="watch_slices")
def watch_slices(context: JobContext, timestamp: int) -> None:
    """Slices that stand still, silent sources, failing channels and unacknowledged corrections raise their alarm."""
    database, settings = _tools(context)
    with telling_no_values(), database.begin() as connection:
        watch_freshness(connection, settings, _catalogue(), utc_now())


@declares(Right.SYSTEM)
@queue.periodic(cron="35 18 * * *")  # deep in the night in Shanghai
@queue.task(name="compare_sources", pass_context=True, queueing_lock="compare_sources")
def compare_sources(context: JobContext, timestamp: int) -> None:
    """What sources say of the same people is compared; who may be one person is looked for."""
    database, settings = _tools(context)
    with telling_no_values():
        comparison.run_comparisons(database, settings, _catalogue(), SYSTEM_ACTOR)
        with database.begin() as connection:
            find_pairs(connection, _catalogue())


@declares(Right.SYSTEM)
@queue.periodic(cron="50 18 * * *")
@queue.task(name="expire_files", pass_context=True, queueing_lock="expire_files")
def expire_files(context: JobContext, timestamp: int) -> None:
    """Files that were kept as long as they had to be go; their digests and receipts stay."""
    database, settings = _tools(context)
    retention.expire_raw_files(database, settings, utc_now())


@declares(Right.SYSTEM)
@queue.periodic(cron="17 * * * *")
@queue.task(name="tidy", pass_context=True, queueing_lock="tidy")
async def tidy(context: JobContext, timestamp: int) -> None:
    """Remove finished jobs, files no ledger row names, and the samples of previews nobody came back to."""
    database, settings = _tools(context)
    await context.app.job_manager.delete_old_jobs(nb_hours=_KEPT_HOURS)
    await asyncio.to_thread(drop_old_failures, settings, _KEPT_HOURS)
    await asyncio.to_thread(_remove_orphans, database, settings)
    await asyncio.to_thread(forget_old_previews, database)


# ---- beneath ----


def _catalogue() -> Catalogue:
    return pipeline.catalogue_in_force()


def _tools(context: JobContext) -> tuple[Database, Settings]:
    tools: dict[str, Any] = context.additional_context
    return tools["database"], tools["settings"]


def _note_failure(database: Database, context: JobContext, submission_id: UUID, wrong: Exception) -> None:
    """Log where it failed without the values; after the last attempt the submission waits for a person, not for us."""
    log.error("submission %s: %s at %s", submission_id, type(wrong).__name__, place_of(wrong))
    if context.job.attempts >= MOST_ATTEMPTS:
        with database.begin() as connection:
            mine = submission.c.submission_id == submission_id
            waiting = submission.c.state.in_(("received", "checked"))
            connection.execute(update(submission).where(mine, waiting).values(state="failed"))


def _derive_page(database: Database) -> int:
    """One page of the log, in a transaction of its own; how many changes it had."""
    with database.begin() as connection:
        return profiles.catch_up(connection, _catalogue())


def _remove_orphans(database: Database, settings: Settings) -> None:
    with database.begin() as connection:
        receive.remove_orphans(connection, settings)


def forget_old_previews(database: Database) -> int:
    """Remove the samples of previews a week old; how many."""
    with database.begin() as connection:
        return effect.drop_old_previews(connection, utc_now() - _SAMPLES_KEPT)
