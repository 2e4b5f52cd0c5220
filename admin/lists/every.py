"""Every list of the panel, by its code."""

from __future__ import annotations

from admin.lists.access import ACCESS_REQUESTS, ACCOUNTS, AUDIT, KEYS
from admin.lists.balance_people import BALANCE_PEOPLE
from admin.lists.challenges import CHALLENGES
from admin.lists.comparisons import COMPARISONS
from admin.lists.declared import ListPage
from admin.lists.held import HELD
from admin.lists.jobs import JOBS
from admin.lists.notices import NOTICES
from admin.lists.pairs import PAIRS
from admin.lists.registry import AREA_PERIODS, AREAS, MAPPING_COLUMNS, MAPPINGS, ORGANISATIONS
from admin.lists.sharing import CERTIFICATES, CORRECTIONS, DATA_CATALOGUE, LICENCES, SUBSCRIPTIONS
from admin.lists.submissions import SUBMISSIONS

_ALL = (
    SUBMISSIONS, HELD, COMPARISONS, CHALLENGES, PAIRS, LICENCES, SUBSCRIPTIONS, CERTIFICATES, CORRECTIONS,
    DATA_CATALOGUE, NOTICES, ACCOUNTS, KEYS, ACCESS_REQUESTS, AUDIT, BALANCE_PEOPLE,
    ORGANISATIONS, AREAS, AREA_PERIODS, MAPPINGS, MAPPING_COLUMNS, JOBS,
)  # fmt: skip
EVERY: dict[str, ListPage] = {one.code: one for one in _ALL}
