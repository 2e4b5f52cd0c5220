"""Who is asking (Actor), what they may do (Right), what they may see (Scope). Deny by default."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Right(StrEnum):
    """Every route, verb and job declares exactly one of these."""

    PUBLIC = "public"  # health, sign-in page, static files, OpenAPI
    SIGNED_IN = "signed-in"  # whoami, own session
    SUBMIT = "submit"  # send files and rows of one's own organisation
    READ_SUBMISSION = "read-submission"  # own submissions, receipts, row errors
    READ_ALL_SUBMISSIONS = "read-all-submissions"  # bureau: counts and states of all; values masked
    PULL_SLICE = "pull-slice"  # changes, snapshot, acks of one's own subscriptions
    READ_CHANGE_LIST = "read-change-list"  # town: its own area's changes
    READ_REGISTRY = "read-registry"  # record types, areas, organisations
    MANAGE_REGISTRY = "manage-registry"
    MANAGE_ACCOUNTS = "manage-accounts"
    READ_AUDIT = "read-audit"
    OPERATE = "operate"  # command line on the hub's own machine
    SYSTEM = "system"  # the hub itself: jobs


ROLES: dict[str, frozenset[Right]] = {
    "department_clerk": frozenset(
        {Right.SIGNED_IN, Right.SUBMIT, Right.READ_SUBMISSION, Right.READ_REGISTRY, Right.PULL_SLICE}
    ),
    "town_officer": frozenset(
        {
            Right.SIGNED_IN,
            Right.SUBMIT,
            Right.READ_SUBMISSION,
            Right.READ_REGISTRY,
            Right.READ_CHANGE_LIST,
            Right.PULL_SLICE,
        }
    ),
    "care_worker": frozenset(
        {Right.SIGNED_IN, Right.SUBMIT, Right.READ_SUBMISSION, Right.READ_REGISTRY, Right.PULL_SLICE}
    ),
    "bureau_operator": frozenset({Right.SIGNED_IN, Right.READ_ALL_SUBMISSIONS, Right.READ_REGISTRY}),
    "system_administrator": frozenset({Right.SIGNED_IN, Right.MANAGE_REGISTRY}),
    "security_administrator": frozenset({Right.SIGNED_IN, Right.MANAGE_ACCOUNTS}),
    "auditor": frozenset({Right.SIGNED_IN, Right.READ_AUDIT}),
    "integrator": frozenset(
        {Right.SIGNED_IN, Right.SUBMIT, Right.READ_SUBMISSION, Right.READ_REGISTRY, Right.PULL_SLICE}
    ),
}


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts: every function that writes takes one, and its audit line names it."""

    name: str  # login, key prefix, "command:<os user>", "job"
    organisation: str  # organisation code; "hub" for the hub itself
    kind: str  # organisation kind; "hub" for the hub itself
    door: str  # upload api command folder sftp job panel
    rights: frozenset[Right]
    area_id: int | None = None  # towns and villages: their own area
    account_id: str | None = None

    def may(self, right: Right) -> bool:
        return right in self.rights


SYSTEM_ACTOR = Actor(name="job", organisation="hub", kind="hub", door="job", rights=frozenset(Right))
