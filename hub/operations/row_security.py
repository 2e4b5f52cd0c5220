"""The second wall: which rows the serving roles may touch, as PostgreSQL policies over what a transaction says of itself.

A transaction sets ``hub.*`` (``hub.registry.scope.reach_of``); one that sets nothing sees nothing. The owner and the
worker are let through by a policy each, because the tables bind their owner too (FORCE). Staging tables have no
policies, COPY would be refused: only the worker may touch them. Fields cannot be cut by policies: clinical ones lie
sealed in side tables that the serving role may not read; only ``hub_care`` may, inside an opened care slice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec
from sqlalchemy import Connection

from hub.database import district_of, run_sql
from hub.registry.scope import is_care_only, types_by_area
from mappings.catalogue import Catalogue, RecordType

SERVING = "hub_app, hub_care"
_OF_SUBSCRIPTIONS = (
    "subscription_version", "delivery", "subscription_event", "slice_export", "certificate", "copy_check",
)  # fmt: skip


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """One policy of one table."""

    table: str
    verb: str  # SELECT INSERT UPDATE ALL
    roles: str
    rows: str  # the condition

    @property
    def name(self) -> str:
        content = "\n".join((self.table, self.verb, self.roles, self.rows))
        return f"hub_{self.verb.lower()}_{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    def statement(self) -> str:
        using = "" if self.verb == "INSERT" else f" USING ({self.rows})"
        check = "" if self.verb == "SELECT" else f" WITH CHECK ({self.rows})"
        return f"CREATE POLICY {self.name} ON {{d}}.{self.table} FOR {self.verb} TO {self.roles}{using}{check}"


def enforce(connection: Connection, catalogue: Catalogue) -> None:
    """Bring every policy to what it should be; tables that are right already are not locked."""
    wanted = list(policies(catalogue))
    for table in dict.fromkeys(policy.table for policy in wanted):
        _switch_on(connection, table)
        _replace(connection, table, [policy for policy in wanted if policy.table == table])


def guarded_tables(catalogue: Catalogue) -> list[str]:
    """Every table that row security covers."""
    return list(dict.fromkeys(policy.table for policy in policies(catalogue)))


def policies(catalogue: Catalogue) -> Iterator[Policy]:
    """All of them: for the serving roles by table, and one for the owner and the worker on each."""
    served = [*_ledger(), *_kept_figures(catalogue), *_registry(), *_sharing(), *_people(), *_waiting(), *_rounds()]
    served += [*_log(catalogue), *_records(catalogue)]
    for table in dict.fromkeys(policy.table for policy in served):
        yield Policy(table=table, verb="ALL", roles="CURRENT_USER, hub_worker", rows="true")
    yield from served


# ---- what a transaction says of itself; a sub-select is evaluated once a query, not once a row ----


def _said(name: str) -> str:
    return f"(SELECT current_setting('hub.{name}', true))"


_ORGANISATION = "(SELECT nullif(current_setting('hub.organisation', true), ''))"
_OWN = "organisation = (SELECT nullif(current_setting('hub.organisation', true), ''))"  # '' is nobody's
_LEDGER = "(SELECT current_setting('hub.ledger', true) = ANY (ARRAY['all', 'counts']))"
_ALL_VALUES = "(SELECT current_setting('hub.ledger', true) = 'all')"
_REGISTRY = "(SELECT current_setting('hub.registry', true) = 'on')"
_CARE = "(SELECT current_setting('hub.care', true) = 'on')"
_EVERYWHERE = "(SELECT current_setting('hub.areas', true) = '*')"
_AREAS = (
    "(SELECT CASE WHEN current_setting('hub.areas', true) LIKE '{%' THEN current_setting('hub.areas', true)::integer[]"
    " ELSE '{}'::integer[] END)"
)
_BY_AREA = "(SELECT current_setting('hub.types', true) = '*')"
_TYPES = "(SELECT coalesce(string_to_array(current_setting('hub.types', true), ','), '{}'))"
_PERSONS = (
    "(SELECT coalesce(string_to_array(nullif(current_setting('hub.persons', true), ''), ',')::uuid[], '{}'::uuid[]))"
)
_ONE_SUBMISSION = "(SELECT nullif(current_setting('hub.submission', true), '')::uuid)"


def _ledger() -> Iterator[Policy]:
    yield Policy(table="submission", verb="SELECT", roles=SERVING, rows=f"{_OWN} OR {_LEDGER}")
    yield Policy(table="submission", verb="INSERT", roles=SERVING, rows=_OWN)
    yield Policy(table="submission", verb="UPDATE", roles=SERVING, rows=_OWN)
    sent = f"s.submission_id = row_error.submission_id AND (s.{_OWN} OR {_ALL_VALUES})"
    seen = f"EXISTS (SELECT 1 FROM {{d}}.submission s WHERE {sent})"
    yield Policy(table="row_error", verb="SELECT", roles=SERVING, rows=seen)
    told = f"s.submission_id = effect_sample.submission_id AND (s.{_OWN} OR {_ALL_VALUES})"
    shown = f"EXISTS (SELECT 1 FROM {{d}}.submission s WHERE {told})"
    yield Policy(table="effect_sample", verb="SELECT", roles=SERVING, rows=shown)
    yield Policy(table="idempotency_key", verb="ALL", roles=SERVING, rows=_OWN)
    yield Policy(table="header_choice", verb="ALL", roles=SERVING, rows=_OWN)
    yield Policy(table="sftp_event", verb="SELECT", roles=SERVING, rows=f"{_OWN} OR {_LEDGER}")
    yield Policy(table="sftp_event", verb="INSERT", roles=SERVING, rows=f"{_OWN} OR organisation = ''")


def _kept_figures(catalogue: Catalogue) -> Iterator[Policy]:
    """Counts of one's own; for who oversees of everybody, but not of what is clinical by existing."""
    closed = ", ".join(f"'{code}'" for code, one in catalogue.record_types.items() if is_care_only(one))
    shown = f"{_LEDGER} AND record_type <> ALL (ARRAY[{closed}]::text[])"
    yield Policy(table="quality_figure", verb="SELECT", roles=SERVING, rows=f"{_OWN} OR {shown}")


def _registry() -> Iterator[Policy]:
    """Subscriptions and what was delivered: whose it is writes; who provides and who oversees may look."""
    yield Policy(table="subscription", verb="ALL", roles=SERVING, rows=f"{_OWN} OR {_REGISTRY}")
    concerned = f"{_ORGANISATION} = ANY (providers) OR {_ALL_VALUES}"
    yield Policy(table="subscription", verb="SELECT", roles=SERVING, rows=concerned)
    for table in _OF_SUBSCRIPTIONS:
        its = f"EXISTS (SELECT 1 FROM {{d}}.subscription s WHERE s.subscription_id = {table}.subscription_id"
        yield Policy(table=table, verb="SELECT", roles=SERVING, rows=f"{its})")
        for verb in ("INSERT", "UPDATE"):
            yield Policy(table=table, verb=verb, roles=SERVING, rows=f"{its} AND (s.{_OWN} OR {_REGISTRY}))")


def _sharing() -> Iterator[Policy]:
    """Requests: who asks, who is asked, the bureau. The data catalogue is everybody's to read."""
    concerned = f"{_OWN} OR {_ORGANISATION} = ANY (providers) OR {_ALL_VALUES}"
    yield Policy(table="licence_request", verb="ALL", roles=SERVING, rows=concerned)
    asked = "EXISTS (SELECT 1 FROM {d}.licence_request r WHERE r.request_id = licence_answer.request_id)"
    yield Policy(table="licence_answer", verb="ALL", roles=SERVING, rows=asked)
    yield Policy(table="freshness_alarm", verb="SELECT", roles=SERVING, rows=f"{_OWN} OR {_LEDGER}")
    yield Policy(table="saved_view", verb="ALL", roles=SERVING, rows=_OWN)


def _people() -> Iterator[Policy]:
    """Who lives in one's own area, and the persons that were opened; a number that was named finds its owner."""
    at_home = (
        f"{_BY_AREA} AND EXISTS (SELECT 1 FROM {{d}}.area_place p WHERE p.area_id = person.home_area"
        f" AND ARRAY[p.leaf_id, p.town_id] && {_AREAS}) OR person_id = ANY ({_PERSONS}::uuid[])"
    )
    yield Policy(table="person", verb="SELECT", roles=SERVING, rows=at_home)
    for table in ("person_identifier", "person_profile"):
        theirs = f"EXISTS (SELECT 1 FROM {{d}}.person p WHERE p.person_id = {table}.person_id)"
        named = f"value = {_said('identifier')} OR " if table == "person_identifier" else ""
        yield Policy(table=table, verb="SELECT", roles=SERVING, rows=named + theirs)
    yield Policy(table="person_decision", verb="ALL", roles=SERVING, rows=f"{_OWN} OR {_ALL_VALUES}")
    yield Policy(table="person_pair", verb="ALL", roles=SERVING, rows=f"{_OWN} OR {_ALL_VALUES}")
    yield Policy(table="person_search", verb="ALL", roles=SERVING, rows=f"{_OWN} OR {_ALL_VALUES}")
    yield Policy(table="verification", verb="ALL", roles=SERVING, rows=f"{_OWN} OR {_ALL_VALUES}")


def _waiting() -> Iterator[Policy]:
    """What waits for a person: rows of one's own submissions, items given to one's own unit."""
    yield Policy(table="held_row", verb="ALL", roles=SERVING, rows=f"{_OWN} OR {_ALL_VALUES}")
    row = "h.submission_id = held_candidate.submission_id AND h.row_no = held_candidate.row_no"
    seen = f"EXISTS (SELECT 1 FROM {{d}}.held_row h WHERE {row})"
    yield Policy(table="held_candidate", verb="SELECT", roles=SERVING, rows=seen)
    yield Policy(table="comparison_item", verb="ALL", roles=SERVING, rows=f"{_OWN} OR {_ALL_VALUES}")


def _rounds() -> Iterator[Policy]:
    """What a town is asked, of its own area; challenges of both sides; who makes a figure, where they live."""
    asked = f"{_BY_AREA} AND ARRAY[village, town] && {_AREAS} OR {_LEDGER}"
    yield Policy(table="round_item", verb="SELECT", roles=SERVING, rows=asked)
    told = "EXISTS (SELECT 1 FROM {d}.round_item i WHERE i.item_id = round_change.item_id)"
    yield Policy(table="round_change", verb="SELECT", roles=SERVING, rows=told)
    sides = f"raised_by = {_ORGANISATION} OR against = {_ORGANISATION} OR {_ALL_VALUES}"
    yield Policy(table="challenge", verb="ALL", roles=SERVING, rows=sides)
    for table in ("roll_check", "roll_item"):
        yield Policy(table=table, verb="ALL", roles=SERVING, rows=_OWN)
    places = "p.area_id IN (balance_movement.from_area, balance_movement.to_area)"
    there = f"EXISTS (SELECT 1 FROM {{d}}.area_place p WHERE {places} AND ARRAY[p.leaf_id, p.town_id] && {_AREAS})"
    yield Policy(
        table="balance_movement", verb="SELECT", roles=SERVING, rows=f"{_BY_AREA} AND {there} OR {_ALL_VALUES}"
    )
    living = f"p.area_id = resident_stock.area AND ARRAY[p.leaf_id, p.town_id] && {_AREAS}"
    lives = f"{_BY_AREA} AND EXISTS (SELECT 1 FROM {{d}}.area_place p WHERE {living})"
    yield Policy(table="resident_stock", verb="SELECT", roles=SERVING, rows=lives)
    yield Policy(table="notice", verb="SELECT", roles=SERVING, rows=f"{_OWN} OR {_LEDGER}")
    yield Policy(table="notice", verb="UPDATE", roles=SERVING, rows=f"{_OWN} OR {_ALL_VALUES}")
    yield Policy(table="contact", verb="ALL", roles=SERVING, rows=f"{_OWN} OR {_ALL_VALUES}")
    sent = "EXISTS (SELECT 1 FROM {d}.notice n WHERE n.notice_id = notice_sending.notice_id)"
    yield Policy(table="notice_sending", verb="ALL", roles=SERVING, rows=sent)


def _log(catalogue: Catalogue) -> Iterator[Policy]:
    open_types = ", ".join(f"'{code}'" for code in types_by_area(catalogue))
    kind = f"({_BY_AREA} AND record_type = ANY (ARRAY[{open_types}]) OR record_type = ANY ({_TYPES}::text[]))"
    place = f"({_EVERYWHERE} OR areas_before && {_AREAS} OR areas_after && {_AREAS})"
    yield Policy(table="change_log", verb="SELECT", roles=SERVING, rows=f"{kind} AND {place}")
    there = f"({_EVERYWHERE} OR areas && {_AREAS})"
    yield Policy(table="erased_version", verb="SELECT", roles=SERVING, rows=f"{kind} AND {there}")


def _records(catalogue: Catalogue) -> Iterator[Policy]:
    by_area = types_by_area(catalogue)
    for record_type in catalogue.record_types.values():
        if record_type.enabled:
            rows = _record_rows(record_type, open_to_towns=record_type.code in by_area)
            for table in (f"rec_{record_type.code}", f"rec_{record_type.code}_history"):
                yield Policy(table=table, verb="SELECT", roles=SERVING, rows=rows)


def _record_rows(record_type: RecordType, *, open_to_towns: bool) -> str:
    """One's own; those of the opened slice or of one's own area; of the one submission, or of the persons, looked into.

    Records that are clinical by existing: one's own, and those of a slice of an organisation of kind care. Nothing else.
    """
    named, place = f"'{record_type.code}' = ANY ({_TYPES}::text[])", f"({_EVERYWHERE} OR areas && {_AREAS})"
    own = f"source = {_said('organisation')}"
    if is_care_only(record_type):
        return f"{own} OR {_CARE} AND {named} AND {place}"
    kind = f"({_BY_AREA} OR {named})" if open_to_towns else named
    opened = "".join(f" OR {role.role}_ref = ANY ({_PERSONS}::uuid[])" for role in record_type.people)
    return f"{own} OR {kind} AND {place} OR submission_id = {_ONE_SUBMISSION}{opened}"


# ---- applying them ----


def _switch_on(connection: Connection, table: str) -> None:
    state = run_sql(
        connection,
        "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = to_regclass(:name)",
        name=_qualified(connection, table),
    )
    if not state[0][0]:
        run_sql(connection, f"ALTER TABLE {{d}}.{table} ENABLE ROW LEVEL SECURITY")
        run_sql(connection, f"ALTER TABLE {{d}}.{table} FORCE ROW LEVEL SECURITY")


def _replace(connection: Connection, table: str, wanted: list[Policy]) -> None:
    found = run_sql(
        connection,
        "SELECT polname FROM pg_policy WHERE polrelid = to_regclass(:name)",
        name=_qualified(connection, table),
    )
    known, names = {str(name) for (name,) in found}, {policy.name for policy in wanted}
    for policy in wanted:
        if policy.name not in known:
            run_sql(connection, policy.statement())
    for stale in sorted(known - names):
        run_sql(connection, f"DROP POLICY {stale} ON {{d}}.{table}")


def _qualified(connection: Connection, table: str) -> str:

    return f"{district_of(connection)}.{table}"
