"""Reads every TOML file under mappings/ once and gives the catalogue, or says which key is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from mappings.brake_rules import brake_rules
from mappings.catalogue import Catalogue, CatalogueError, Code, CodeSet, ColumnRule, Mapping, RowErrorKind
from mappings.comparisons import ComparisonsSource
from mappings.data_catalogue_shapes import FirstEntry
from mappings.documents import Document, Problem, read_document
from mappings.due_shapes import DueRules
from mappings.expansion import expand
from mappings.findings import Findings
from mappings.matching_rules import matching_rules
from mappings.quality_rules import quality_rules
from mappings.round_shapes import RoundRules
from mappings.rules import problems_of
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

ROOT = Path(__file__).parent
Read = TypeVar("Read")


def load(root: Path = ROOT) -> Catalogue:
    """The catalogue; raises CatalogueError for the first problem found."""
    catalogue, problems = read_all(root)
    if catalogue is None or problems:
        raise problems[0].error()
    return catalogue


def read_all(root: Path = ROOT) -> tuple[Catalogue | None, list[Problem]]:
    """The catalogue and everything wrong with it; None when a file cannot be read at all."""
    findings, problems = read_findings(root)
    if problems:
        return None, problems
    problems = list(problems_of(findings))
    return (None, problems) if problems else (_catalogue(root, findings), [])


def read_findings(root: Path) -> tuple[Findings, list[Problem]]:
    problems: list[Problem] = []

    def read(paths: Iterable[Path], shape: Callable[[Document], Read]) -> list[tuple[Document, Read]]:
        return _each(root, sorted(paths), shape, problems)

    folders = [path for path in root.iterdir() if path.is_dir() and path.name not in ("record_types", "codes")]
    findings = Findings(
        record_types=read(root.glob("record_types/*.toml"), lambda document: document.shaped(RecordTypeSource)),
        code_sets=read(root.glob("codes/*.toml"), lambda document: document.shaped(CodeSetSource)),
        mappings=read(
            (path for folder in folders for path in folder.glob("*.toml")),
            lambda document: document.shaped(MappingSource),
        ),
        row_errors=read([root / "row_errors.toml"], _row_errors),
        organisations=read([root / "organisations.toml"], lambda document: document.shaped(OrganisationsSource)),
        dropped=read([root / "dropped_headers.toml"], lambda document: document.shaped(DroppedHeadersSource)),
        brakes=read([root / "brake.toml"], lambda document: document.shaped(BrakeSource)),
        comparisons=read([root / "comparisons.toml"], lambda document: document.shaped(ComparisonsSource)),
        qualities=read([root / "quality.toml"], lambda document: document.shaped(QualitySource)),
        matching=read([root / "matching.toml"], lambda document: document.shaped(MatchingSource)),
        attributes=read([root / "attributes.toml"], lambda document: document.shaped(AttributesSource)),
        timelines=read([root / "timeline.toml"], lambda document: document.shaped(TimelineRules)),
        rounds=read([root / "rounds.toml"], lambda document: document.shaped(RoundRules)),
        dues=read([root / "due.toml"], lambda document: document.shaped(DueRules)),
        entries=read([root / "data_catalogue.toml"], _first_entries),
    )
    return findings, problems


def _each(
    root: Path, paths: list[Path], shape: Callable[[Document], Read], problems: list[Problem]
) -> list[tuple[Document, Read]]:
    found: list[tuple[Document, Read]] = []
    for path in paths:
        try:
            document = read_document(root, path)
            found.append((document, shape(document)))
        except CatalogueError as refusal:
            problems.append(Problem(refusal.file, refusal.line, refusal.key, refusal.reason))
    return found


def _row_errors(document: Document) -> dict[str, RowErrorSource]:
    return {code: document.shaped(RowErrorSource, code) for code in document.values}


def _first_entries(document: Document) -> dict[str, FirstEntry]:
    return {code: document.shaped(FirstEntry, code) for code in document.values}


def _catalogue(root: Path, findings: Findings) -> Catalogue:
    dropped = findings.dropped_headers
    return Catalogue(
        record_types={
            source.code: expand(source, document.file, dropped) for document, source in findings.record_types
        },
        code_sets={_stem(document): _code_set(_stem(document), source) for document, source in findings.code_sets},
        mappings={
            (source.organisation, source.record_type): as_mapping(source, document.file)
            for document, source in findings.mappings
        },
        row_errors={
            code: RowErrorKind(code=code, **msgspec.structs.asdict(source))
            for _, kinds in findings.row_errors
            for code, source in kinds.items()
        },
        brake=brake_rules(findings.brakes[0][1]),
        comparisons={check.code: check for check in findings.comparisons[0][1].checks},
        quality=quality_rules(findings.qualities[0][1]),
        matching=matching_rules(findings.matching[0][1]),
        attributes={one.name: one for one in findings.attributes[0][1].attributes},
        timeline=findings.timelines[0][1],
        rounds=findings.rounds[0][1],
        due=findings.dues[0][1],
        entries=findings.entries[0][1],
        version=_digest(root),
    )


def _stem(document: Document) -> str:
    return Path(document.file).stem


def _code_set(name: str, source: CodeSetSource) -> CodeSet:
    codes = tuple(Code(**msgspec.structs.asdict(code)) for code in source.codes)
    return CodeSet(name=name, title=source.title, source=source.source, codes=codes)


def as_mapping(source: MappingSource, file: str) -> Mapping:
    """The mapping a file says, as the catalogue keeps it."""
    columns = tuple(ColumnRule(**msgspec.structs.asdict(column)) for column in source.columns)
    return Mapping(**{**msgspec.structs.asdict(source), "columns": columns, "file": file})


def _digest(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.toml")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
