"""Who is asking (Actor), what they may do (Right), what they may see (Scope). Deny by default."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Right(StrEnum):
    """Every route, verb and job declares exactly one of these."""

    PUBLIC = "public"  # health, sign-in page, static files, OpenAPI
    SIGNED_IN = "signed-in"  # whoami, own session
    SUBMIT = "submit"  # send files and rows of one's own organisation
    CONFIRM_SUBMISSION = "confirm-submission"  # second person: let an unusual effect of one's own organisation happen
    READ_SUBMISSION = "read-submission"  # own submissions, receipts, row errors
    READ_ALL_SUBMISSIONS = "read-all-submissions"  # bureau: counts and states of all; values masked
    PULL_SLICE = "pull-slice"  # changes, snapshot, acks of one's own subscriptions
    READ_CHANGE_LIST = "read-change-list"  # town: its own area's changes
    READ_MEASURES = "read-measures"  # bureau leader: counts of the month, no submission, no person
    READ_PERSON = "read-person"  # one person's service record, as far as one may see its records, with a purpose
    JUDGE_PERSON = "judge-person"  # say which persons are one and which are not
    DECIDE_HELD = "decide-held"  # rows of one's own organisation that wait for a person
    WORK_COMPARISON = "work-comparison"  # items of the standing checks given to one's own unit
    READ_QUALITY = "read-quality"  # quality figures: of one's own organisation, the bureau of all
    VERIFY_PEOPLE = "verify-people"  # names and numbers in, match or not out, nothing else
    READ_ROUND = "read-round"  # how far the month's rounds are: a town its own, the bureau all, without persons
    MANAGE_ROUND = "manage-round"  # bureau: open and close rounds, let differences pass, remind
    WORK_CHALLENGE = "work-challenge"  # challenges of one's own unit: raised, answered, closed
    READ_SHARING = (
        "read-sharing"  # subscriptions, requests, backlog, certificates: as receiver or provider; the bureau all
    )
    KEEP_ENTRY = "keep-entry"  # data officer: the data catalogue's entries of one's own organisation
    ASK_SLICE = "ask-slice"  # ask for a slice for one's own organisation
    ANSWER_SLICE = "answer-slice"  # data officer of a provider: approve or refuse, preview first
    OVERSEE_SHARING = "oversee-sharing"  # bureau: review entries, consent to extensions, escalate, suspend, end
    READ_DISCLOSURES = "read-disclosures"  # who received a person's data: never the values
    READ_OWN_DOORS = "read-own-doors"  # keys and channels of one's own unit: names, dates and states, no secret
    READ_RUNNING = "read-running"  # jobs and channels of the hub: states and counts, no contents
    TRY_MAPPING = "try-mapping"  # check a file against a changed mapping: nothing is kept, no value is shown
    UNMASK = "unmask"  # one masked value of what one may see, with a reason
    READ_REGISTRY = "read-registry"  # record types, areas, organisations
    MANAGE_REGISTRY = "manage-registry"  # held by no role: a confirmed request carries it
    ASK_ACCESS = "ask-access"  # system administrator: ask for accounts and organisations
    ASK_OWN_ACCESS = "ask-own-access"  # data officer: ask for one's own organisation's accounts and keys
    MANAGE_ACCOUNTS = "manage-accounts"  # security administrator: roles, keys, sessions; confirms what was asked for
    READ_AUDIT = "read-audit"
    OPERATE = "operate"  # command line on the hub's own machine
    SYSTEM = "system"  # the hub itself: jobs


_STAFF = frozenset({Right.SIGNED_IN, Right.READ_REGISTRY})
_SENDERS = _STAFF | {Right.SUBMIT, Right.READ_SUBMISSION, Right.PULL_SLICE}
_DESK = {
    Right.UNMASK, Right.CONFIRM_SUBMISSION, Right.DECIDE_HELD, Right.READ_PERSON, Right.WORK_COMPARISON,
    Right.READ_QUALITY, Right.VERIFY_PEOPLE, Right.WORK_CHALLENGE, Right.READ_SHARING,
    Right.READ_OWN_DOORS,
}  # fmt: skip

ROLES: dict[str, frozenset[Right]] = {
    "department_clerk": _SENDERS | _DESK,
    "data_officer": _STAFF
    | {Right.READ_SUBMISSION, Right.ASK_OWN_ACCESS, Right.CONFIRM_SUBMISSION, Right.READ_QUALITY}
    | {Right.READ_SHARING, Right.KEEP_ENTRY, Right.ASK_SLICE, Right.ANSWER_SLICE, Right.READ_DISCLOSURES}
    | {Right.READ_OWN_DOORS},
    "town_officer": _SENDERS | _DESK | {Right.READ_CHANGE_LIST, Right.JUDGE_PERSON, Right.READ_ROUND, Right.ASK_SLICE},
    "care_worker": _SENDERS | _DESK,
    "bureau_operator": _STAFF
    | {Right.READ_ALL_SUBMISSIONS, Right.UNMASK, Right.READ_PERSON, Right.JUDGE_PERSON, Right.READ_QUALITY}
    | {Right.WORK_COMPARISON, Right.READ_ROUND, Right.MANAGE_ROUND, Right.WORK_CHALLENGE}
    | {Right.READ_SHARING, Right.OVERSEE_SHARING, Right.READ_DISCLOSURES, Right.READ_RUNNING, Right.TRY_MAPPING},
    "bureau_leader": frozenset({Right.SIGNED_IN, Right.READ_MEASURES, Right.READ_ROUND}),
    "system_administrator": _STAFF | {Right.ASK_ACCESS, Right.READ_RUNNING},
    "security_administrator": frozenset({Right.SIGNED_IN, Right.MANAGE_ACCOUNTS}),
    "auditor": frozenset({Right.SIGNED_IN, Right.READ_AUDIT, Right.READ_DISCLOSURES}),
    "integrator": _SENDERS | {Right.VERIFY_PEOPLE, Right.READ_SHARING},
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
    address: str = ""  # where the request came from; "" for the hub's own machine

    def may(self, right: Right) -> bool:
        return right in self.rights


SYSTEM_ACTOR = Actor(name="job", organisation="hub", kind="hub", door="job", rights=frozenset(Right))
