"""Family service requests the towns reported lately, counted by the unit they are for. No request is read, only counted."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from hub.database import district_of, run_sql
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.scope import counting

_LOOKED_BACK = timedelta(days=31)
_TYPE = "service_request"


def find_reported_needs(connection: Connection, now: datetime) -> list[tuple[str, UUID, int]]:
    """Unit ("" where none of that name takes part), submission, how many requests that nobody has ended."""
    if not _is_kept_here(connection):
        return []
    with counting(connection, SYSTEM_ACTOR, [_TYPE]):
        rows = run_sql(connection, _COUNTED, earliest=now - _LOOKED_BACK, district=district_of(connection))
    return [(str(unit), UUID(str(submission)), int(str(items))) for unit, submission, items in rows]


def _is_kept_here(connection: Connection) -> bool:
    """A district may have switched the record type off."""
    table = f"{district_of(connection)}.rec_{_TYPE}"
    return run_sql(connection, "SELECT to_regclass(:name) IS NOT NULL", name=table)[0][0] is True


_COUNTED = """
SELECT coalesce(o.code, ''), s.submission_id, count(*)
  FROM {d}.submission s
  JOIN {d}.rec_service_request v ON v.submission_id = s.submission_id
  LEFT JOIN LATERAL (SELECT code FROM shared.organisation o
                      WHERE o.enabled AND '"' || o.district || '"' = :district AND o.kind <> 'town'
                        AND v.to_org IN (o.code, o.name, o.name_en) AND v.to_org <> ''
                      ORDER BY o.code LIMIT 1) o ON true
 WHERE s.record_type = 'service_request' AND s.kind <> 'backfill' AND s.received_at > :earliest
   AND NOT v.voided AND coalesce(v.status, '1') IN ('1', '2')
 GROUP BY 1, 2
"""
