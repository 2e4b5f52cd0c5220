"""What the district exchanges, as data: record types, code sets, departments' columns, row errors.

Everything here is read once at start from the TOML files beside this module and is immutable afterwards.
A broken file stops the start with file, line and key (``CatalogueError``).
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import msgspec

from mappings.comparisons import Comparison
from mappings.data_catalogue_shapes import FirstEntry
from mappings.due_shapes import DueRules
from mappings.round_shapes import RoundRules
from mappings.timeline_shapes import TimelineRules

Sensitivity = Literal["public", "internal", "personal", "sensitive", "clinical"]
FieldType = Literal[
    "text", "name", "id_no", "code", "date", "datetime", "month", "integer", "decimal", "boolean",
    "area", "division", "phone", "certificate", "uscc",
]  # fmt: skip
Level = Literal["error", "hold", "warning", "note"]
Release = Literal["", "as_it_is", "empty", "with_person", "never"]

# The parts of a PersonRef, in order. A role has a subset; a column is prefix + part.
PERSON_PARTS = (
    "name", "id_type", "id_no", "sex", "birth_date", "ethnicity",
    "hukou_div", "hukou_addr", "live_div", "live_addr", "phone",
)  # fmt: skip


class CatalogueError(Exception):
    """映射文件有误。 A mapping file is broken."""

    def __init__(self, file: str, line: int, key: str, reason: str) -> None:
        self.file, self.line, self.key, self.reason = file, line, key, reason
        super().__init__(f"{file}:{line}: {key}: {reason}")


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a record type; ``name`` is also its column in the record table and its key in the API."""

    name: str
    title: str
    type: FieldType
    sensitivity: Sensitivity
    title_en: str = ""
    code_set: str = ""  # name of a file in codes/, for type = "code"
    required: bool = False  # empty -> error E_REQUIRED
    role: str = ""  # set when the field is a part of a person: the role's name
    part: str = ""  # and which part (one of PERSON_PARTS)

    @property
    def clinical(self) -> bool:
        return self.sensitivity == "clinical"


class Identifier(msgspec.Struct, frozen=True, kw_only=True):
    """How a role's person is recognised: the value of ``field`` among identifiers of ``kind``."""

    kind: str  # "id_no" | "birth_cert" | ...
    field: str


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """One person a record speaks of. Columns: ``<role>_ref`` (person), ``<role>_area`` (own area)."""

    role: str
    title: str
    prefix: str  # "" for the main role `person`, else "mother_" ...
    required: bool
    identifiers: tuple[Identifier, ...]  # tried in this order; the first match wins, the others are added to the person
    area_fields: tuple[str, ...] = ()  # by precedence (live before hukou); the first not empty gives <role>_area
    sets_home: bool = False  # a record of this type says where this person now lives (by event date)


class RecordType(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One kind of record: its fields, its people, its key."""

    code: str
    title: str
    title_en: str
    natural_key: tuple[str, ...]  # field names; a field that is a role's id_no stands for that person
    event_date: str  # the field (date/datetime/month) that says when it happened; "" if none
    sources: tuple[str, ...]  # organisation codes or kinds ("town", "care") that may send it
    people: tuple[Role, ...]
    fields: tuple[Field, ...]  # expanded: person parts first, in role order, then the type's own
    enabled: bool = True
    restricted: bool = False  # the type itself is clinical: its records stay among organisations of kind care
    sharing: Literal["unconditional", "conditional", "none"] = "conditional"
    all_or_nothing: bool = False
    no_id_allowed: bool = False  # newborn and death types: a person may have no identity number yet
    date_precision: Literal["day", "month"] = "day"
    dropped_headers: tuple[str, ...] = ()  # columns dropped at the door, and said so on the receipt (own + common)
    key_missing: str = ""  # row error where a part of the key is empty; "": the usual one
    corrects_identity: bool = False  # identity_correction: new_id becomes an identifier of the person
    file: str = ""

    @cached_property
    def by_name(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}

    @cached_property
    def plain_fields(self) -> tuple[Field, ...]:
        """Fields kept as typed columns."""
        return tuple(field for field in self.fields if not field.clinical)

    @cached_property
    def clinical_fields(self) -> tuple[Field, ...]:
        """Fields kept only in the sealed side table."""
        return tuple(field for field in self.fields if field.clinical)


class Code(msgspec.Struct, frozen=True, kw_only=True):
    value: str
    title: str
    title_en: str = ""
    aliases: tuple[str, ...] = ()


class CodeSet(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    title: str
    source: str  # the standard, e.g. "GB/T 2261.1-2003"
    codes: tuple[Code, ...]


class ColumnRule(msgspec.Struct, frozen=True, kw_only=True):
    """One column as a department writes it: header, synonyms, which field it fills."""

    field: str
    header: str
    synonyms: tuple[str, ...] = ()
    group: str = ""  # upper row of a two-row header: 男方 / 母亲 ...


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """One department's (or the towns') columns for one record type."""

    organisation: str  # organisation code, or kind "town" for all towns
    record_type: str
    title: str  # title row as the department writes it, {unit} and {month} filled in
    columns: tuple[ColumnRule, ...]
    template: Literal["words", "codes"] = "words"
    ignored: tuple[str, ...] = ()  # headers known and not taken (序号, 备注 ...)
    constants: dict[str, str] = msgspec.field(default_factory=dict)  # field -> fixed value
    encoding: str = "utf-8"  # what the demo writes
    format: str = "csv"
    due_after: int | None = None  # days this department is given after the month's end; None: as due.toml says
    file: str = ""


class RowErrorKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of row error: what is wrong, how to fix it; zh first, en too."""

    code: str
    level: Level
    title: str
    title_en: str
    message: str  # may use {value} {field} {expected} ...
    message_en: str
    fix: str
    fix_en: str
    release: Release = ""  # of a held row: whether a person may let it pass without a correction


class BrakeRule(msgspec.Struct, frozen=True, kw_only=True):
    """From when an effect is unusual, so that a second person must let it happen (brake.toml says why)."""

    voids_at_least: int = 10
    voids_share: float = 0.1
    few_rows_share: float = 0.5
    few_rows_usual: int = 50
    period_rows: int = 20
    period_share: float = 0.8
    undo_at_least: int = 20


class BrakeRules(msgspec.Struct, frozen=True, kw_only=True):
    usual: BrakeRule = BrakeRule()
    by_type: dict[str, BrakeRule] = msgspec.field(default_factory=dict)

    def of(self, record_type: str) -> BrakeRule:
        return self.by_type.get(record_type, self.usual)


class AttributeSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where an attribute may come from: exactly one of ``field``, ``value`` and ``person`` says what."""

    record_type: str
    role: str = "person"  # whose attribute it is
    field: str = ""
    value: str = ""  # a code that holds because there is such a record
    person: str = ""  # another role: that person's id
    date: str = ""  # since when; else the record type's own event date
    only: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)  # coded field -> the codes that count
    unless: str = ""  # counts only while this field is empty
    organisation: str = ""  # code or kind of the sender, where it matters
    last_resort: bool = False  # heard only when nobody else says anything, and disagrees with nobody


AttributeType = Literal[FieldType, "person"]


class Attribute(msgspec.Struct, frozen=True, kw_only=True):
    """One thing known of a person, and whom the hub believes."""

    name: str
    title: str
    title_en: str
    type: AttributeType
    sensitivity: Sensitivity
    sources: tuple[AttributeSource, ...]  # in the order in which they are believed
    date: Literal["source", "latest", "first"] = "source"  # by source, then date; or by date, then source
    base_item: bool = False  # one of the 17 items of the base roll
    code_set: str = ""
    compared: bool = True  # False: sources may well say different things
    compare_first: int = 0  # values that begin with the same so many characters say the same; 0 = the whole value


class TypeQuality(msgspec.Struct, frozen=True, kw_only=True):
    """What the quality figures count of one record type."""

    items: tuple[str, ...] = ()  # fields every record ought to have filled; never clinical ones
    days: int | None = None  # allowed between the event and its recording; None: timeliness is not asked


class QualityRules(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as complete, consistent, right and in time (quality.toml says why)."""

    logic: tuple[str, ...] = ()  # row errors: cells that contradict one another
    targets: dict[str, float] = msgspec.field(default_factory=dict)  # completeness logic accuracy timeliness -> share
    confirmed: tuple[str, ...] = ()  # verdicts
    contradicted: tuple[str, ...] = ()
    by_type: dict[str, TypeQuality] = msgspec.field(default_factory=dict)

    def of(self, record_type: str) -> TypeQuality:
        return self.by_type.get(record_type, TypeQuality())

    def target(self, measure: str) -> float:
        """What a measure ought to reach; completed later, it is held to the same."""
        return self.targets["completeness" if measure == "completed" else measure]


class MatchingLevel(msgspec.Struct, frozen=True, kw_only=True):
    """How far two descriptions agree in one feature, and what that weighs (log2 odds)."""

    code: str
    weight: float
    title: str
    title_en: str


class MatchingFeature(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    title: str
    title_en: str
    levels: dict[str, MatchingLevel]


class MatchingBlock(msgspec.Struct, frozen=True, kw_only=True):
    """Who agrees in all of ``keys`` is compared."""

    code: str
    title: str
    title_en: str
    keys: tuple[str, ...]


class MatchingRules(msgspec.Struct, frozen=True, kw_only=True):
    """When two descriptions are taken for one person (matching.toml says why)."""

    auto: float = 0.0
    hold: float = 0.0
    margin: float = 0.0
    features: dict[str, MatchingFeature] = msgspec.field(default_factory=dict)
    blocks: tuple[MatchingBlock, ...] = ()


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    record_types: dict[str, RecordType]
    code_sets: dict[str, CodeSet]
    mappings: dict[tuple[str, str], Mapping]  # (organisation code or kind, record type)
    row_errors: dict[str, RowErrorKind]
    version: str  # digest of all files
    brake: BrakeRules = BrakeRules()
    comparisons: dict[str, Comparison] = msgspec.field(default_factory=dict)  # in the order they are written
    matching: MatchingRules = MatchingRules()
    quality: QualityRules = QualityRules()
    timeline: TimelineRules = TimelineRules()
    rounds: RoundRules = RoundRules()
    due: DueRules = DueRules()
    attributes: dict[str, Attribute] = msgspec.field(default_factory=dict)
    entries: dict[str, FirstEntry] = msgspec.field(default_factory=dict)  # record type -> its first entry

    def mapping_for(self, organisation: str, kind: str, record_type: str) -> Mapping | None:
        """The organisation's own mapping, else its kind's, else the first known one of the type."""
        own = self.mappings.get((organisation, record_type)) or self.mappings.get((kind, record_type))
        if own is not None:
            return own
        return next((m for (_, code), m in self.mappings.items() if code == record_type), None)


def load_catalogue() -> Catalogue:
    """Read every TOML file under mappings/; raise CatalogueError with file, line and key."""
    from mappings.loader import load  # the loader builds these shapes, so it cannot be imported above them

    return load()
