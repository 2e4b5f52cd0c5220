"""How the TOML files are written: the shapes the loader reads before it expands them into the catalogue."""

from __future__ import annotations

from typing import Literal

import msgspec

from mappings.catalogue import (
    Attribute,
    AttributeSource,
    Code,
    ColumnRule,
    FieldType,
    Identifier,
    Level,
    Release,
    Sensitivity,
)


class FieldSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A field of the type's own."""

    name: str
    title: str
    type: FieldType
    sensitivity: Sensitivity
    title_en: str = ""
    code_set: str = ""
    required: bool = False


class IdentifierSource(Identifier, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a person is recognised."""


class PersonSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One person of a record, compact: ``parts`` become fields ``<prefix><part>``."""

    role: str
    title: str
    parts: tuple[str, ...]
    identifiers: tuple[IdentifierSource, ...]
    title_en: str = ""
    required: bool = False
    required_parts: tuple[str, ...] = ()
    area_parts: tuple[str, ...] = ()
    part_titles: dict[str, str] = msgspec.field(default_factory=dict)
    sets_home: bool = False
    minor: bool = False  # under 14: every part is sensitive


class RecordTypeSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of record_types/."""

    code: str
    title: str
    title_en: str
    natural_key: tuple[str, ...]
    sources: tuple[str, ...]
    event_date: str = ""
    people: tuple[PersonSource, ...] = ()
    fields: tuple[FieldSource, ...] = ()
    enabled: bool = True
    restricted: bool = False
    sharing: Literal["unconditional", "conditional", "none"] = "conditional"
    all_or_nothing: bool = False
    no_id_allowed: bool = False
    date_precision: Literal["day", "month"] = "day"
    dropped_headers: tuple[str, ...] = ()
    corrects_identity: bool = False
    key_missing: str = ""


class CodeSource(Code, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One value of a code set."""


class CodeSetSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of codes/; its name is the set's name."""

    title: str
    source: str
    codes: tuple[CodeSource, ...]


class ColumnSource(ColumnRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One column of a department's file."""


class MappingSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of a department's folder."""

    organisation: str
    record_type: str
    title: str
    columns: tuple[ColumnSource, ...]
    template: Literal["words", "codes"] = "words"
    ignored: tuple[str, ...] = ()
    constants: dict[str, str] = msgspec.field(default_factory=dict)
    encoding: str = "utf-8"
    format: Literal["csv", "xlsx"] = "csv"
    due_after: int | None = None


class RowErrorSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of row_errors.toml; the table's name is the code."""

    level: Level
    title: str
    title_en: str
    message: str
    message_en: str
    fix: str
    fix_en: str
    release: Release = ""


class OrganisationSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of organisations.toml: who may be named as a source or own a mapping."""

    code: str
    title: str
    kind: str


class OrganisationsSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """organisations.toml."""

    organisations: tuple[OrganisationSource, ...]


class BrakeUsualSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[usual] of brake.toml: every measure is said."""

    voids_at_least: int
    voids_share: float
    few_rows_share: float
    few_rows_usual: int
    period_rows: int
    period_share: float
    undo_at_least: int


class BrakeTypeSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line under [record_types] of brake.toml: only what is otherwise."""

    voids_at_least: int | None = None
    voids_share: float | None = None
    few_rows_share: float | None = None
    few_rows_usual: int | None = None
    period_rows: int | None = None
    period_share: float | None = None
    undo_at_least: int | None = None


class BrakeSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """brake.toml."""

    usual: BrakeUsualSource
    record_types: dict[str, BrakeTypeSource] = msgspec.field(default_factory=dict)


class TypeQualitySource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line under [record_types] of quality.toml."""

    items: tuple[str, ...]
    days: int | None = None


class TargetsSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[targets] of quality.toml: every measure has one."""

    completeness: float
    logic: float
    accuracy: float
    timeliness: float


class VerdictsSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[verdicts] of quality.toml."""

    confirmed: tuple[str, ...]
    contradicted: tuple[str, ...]


class QualitySource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """quality.toml."""

    logic: tuple[str, ...]
    targets: TargetsSource
    verdicts: VerdictsSource
    record_types: dict[str, TypeQualitySource]


class MatchingLevelSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: str
    weight: float
    title: str
    title_en: str


class MatchingFeatureSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: str
    title: str
    title_en: str
    levels: tuple[MatchingLevelSource, ...]


class MatchingBlockSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: str
    title: str
    title_en: str
    keys: tuple[str, ...]


class MatchingSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """matching.toml."""

    auto: float
    hold: float
    margin: float
    features: tuple[MatchingFeatureSource, ...]
    blocks: tuple[MatchingBlockSource, ...]


class DroppedHeadersSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """dropped_headers.toml: columns no record type takes."""

    headers: tuple[str, ...]


class AttributeSourceLine(AttributeSource, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of an attribute's sources."""


class AttributeTable(Attribute, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One [[attributes]] table of attributes.toml."""

    sources: tuple[AttributeSourceLine, ...]


class AttributesSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """attributes.toml."""

    attributes: tuple[AttributeTable, ...]
