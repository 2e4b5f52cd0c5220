"""Everything read from the mapping files, each with the document it came from, before the rules judge it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TypeVar

import msgspec

from mappings.catalogue import RecordType
from mappings.comparisons import ComparisonsSource
from mappings.data_catalogue_shapes import FirstEntry
from mappings.documents import Document
from mappings.due_shapes import DueRules
from mappings.expansion import expand
from mappings.round_shapes import RoundRules
from mappings.sources import (
    AttributesSource,
    BrakeSource,
    CodeSetSource,
    DroppedHeadersSource,
    MappingSource,
    MatchingSource,
    OrganisationsSource,
    QualitySource,
    RecordTypeSource,
    RowErrorSource,
)
from mappings.timeline_shapes import TimelineRules

Shape = TypeVar("Shape")
Read = list[tuple[Document, Shape]]


class Findings(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The files as read, and the few views of them that rules across files need."""

    record_types: Read[RecordTypeSource]
    code_sets: Read[CodeSetSource]
    mappings: Read[MappingSource]
    row_errors: Read[dict[str, RowErrorSource]]
    organisations: Read[OrganisationsSource]
    dropped: Read[DroppedHeadersSource]
    brakes: Read[BrakeSource]
    comparisons: Read[ComparisonsSource]
    qualities: Read[QualitySource]
    matching: Read[MatchingSource]
    attributes: Read[AttributesSource]
    timelines: Read[TimelineRules]
    rounds: Read[RoundRules]
    dues: Read[DueRules]
    entries: Read[dict[str, FirstEntry]]

    @cached_property
    def organisation_kinds(self) -> dict[str, str]:
        """The kind of each organisation, by its code alone."""
        return {one.code: one.kind for _, source in self.organisations for one in source.organisations}

    @cached_property
    def kinds(self) -> dict[str, str]:
        """The kind of each organisation that may be named; a kind is named by itself."""
        known = self.organisation_kinds
        return {**{kind: kind for kind in known.values()}, **known}

    @cached_property
    def known_code_sets(self) -> dict[str, CodeSetSource]:
        return {Path(document.file).stem: source for document, source in self.code_sets}

    @cached_property
    def dropped_headers(self) -> tuple[str, ...]:
        return tuple(header for _, source in self.dropped for header in source.headers)

    @cached_property
    def expanded(self) -> dict[str, RecordType]:
        return {s.code: expand(s, document.file, self.dropped_headers) for document, s in self.record_types}
