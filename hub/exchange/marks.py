"""The hub's own marks in a workbook: whose template it is, and which row of which submission a line was.

They are header cells of hidden columns, so that they live through any program that saves the sheet, CSV included:

    hub:template:<record type>:<version>:<organisation>:<YYYY-MM or ->     cells empty
    hub:row:<receipt number>                                              cells: the row's number in that submission
"""

from __future__ import annotations

import re
import unicodedata

import msgspec

RESULT_HEADER, REASON_HEADER = "校验结果", "错误原因"
HIDDEN_SHEET = "_hub"
_TEMPLATE = re.compile(r"^hub:template:([a-z0-9_]+):([0-9a-f]+):([a-z0-9_]+):(\d{4}-\d{2}|-)$")
_ROW = re.compile(r"^hub:row:([A-Za-z0-9-]+)$")


class TemplateMark(msgspec.Struct, frozen=True, kw_only=True):
    """What a template was made for."""

    record_type: str
    version: str  # of the catalogue, shortened: a digest's first digits
    organisation: str
    month: str | None  # YYYY-MM

    def __str__(self) -> str:
        return f"hub:template:{self.record_type}:{self.version}:{self.organisation}:{self.month or '-'}"


def row_mark(receipt_number: str) -> str:
    """The header of the column that numbers the rows of a returned workbook."""
    return f"hub:row:{receipt_number}"


def read_template_mark(header: str) -> TemplateMark | None:
    found = _TEMPLATE.match(_plain(header))
    if found is None:
        return None
    record_type, version, organisation, month = found.groups()
    return TemplateMark(
        record_type=record_type, version=version, organisation=organisation, month=None if month == "-" else month
    )


def read_row_mark(header: str) -> str | None:
    """The receipt number in a header, if it is such a mark."""
    found = _ROW.match(_plain(header))
    return found[1] if found else None


def is_mark(header: str) -> bool:
    """Whether a header is the hub's own and no column of the sender's."""
    return _plain(header) in (RESULT_HEADER, REASON_HEADER) or _plain(header).startswith("hub:")


def _plain(header: str) -> str:
    return unicodedata.normalize("NFKC", header).strip()
