"""Who did what to which: one line an act, in the act's own transaction; sealed in linked batches afterwards."""

from hub.audit.anchors import Anchored, read_anchors, sign_anchor
from hub.audit.exporting import Ends, Footer, Header, export, exported_range
from hub.audit.lines import Acting, AuditLine, AuditUnavailable, canonical, digest_of, mac_of, record
from hub.audit.seals import (
    FIRST_LINK,
    Anchor,
    Seal,
    content_of,
    head,
    last_sealed_at,
    lines_after,
    lines_sealed,
    link_of,
    seal,
)
from hub.audit.verifying import verify, verify_export, verify_since

__all__ = [
    "FIRST_LINK",
    "Acting",
    "Anchor",
    "Anchored",
    "AuditLine",
    "AuditUnavailable",
    "Ends",
    "Footer",
    "Header",
    "Seal",
    "canonical",
    "content_of",
    "digest_of",
    "export",
    "exported_range",
    "head",
    "last_sealed_at",
    "lines_after",
    "lines_sealed",
    "link_of",
    "mac_of",
    "read_anchors",
    "record",
    "seal",
    "sign_anchor",
    "verify",
    "verify_export",
    "verify_since",
]
