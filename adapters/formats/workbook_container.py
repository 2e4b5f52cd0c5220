"""The container of a workbook, zip or OLE, is inspected part by part; only then may the parser see it."""

import posixpath
import re
import struct
from typing import BinaryIO
from xml.etree import ElementTree

import msgspec
import olefile

from adapters.formats import xlsb_scan
from adapters.formats.biff_scan import is_encrypted as is_encrypted_stream
from adapters.formats.biff_scan import scan_book
from adapters.formats.ods_scan import scan_tables
from adapters.formats.sheet_scan import SheetScan, refuse_doctype, scan_shared_strings, scan_sheet
from adapters.formats.unreadable import Limits, UnreadableFile, unreadable
from adapters.formats.zip_preflight import SafeZip

_WORKBOOK, _RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
_BINARY_WORKBOOK, _BINARY_RELATIONS = "xl/workbook.bin", "xl/_rels/workbook.bin.rels"
_CONTENT, _MANIFEST = "content.xml", "META-INF/manifest.xml"
_RELATION_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRICT_RELATION_ID = "{http://purl.oclc.org/ooxml/officeDocument/relationships}id"
_DATE_1904 = re.compile(rb"""<(?:\w+:)?workbookPr\b[^>]*\bdate1904\s*=\s*["'](?:1|true)""")
_BOOK_STREAMS = ("Workbook", "Book")


class Container(msgspec.Struct):
    """What the inspection found: the format, and a scan of every sheet by its name."""

    format: str
    epoch_1904: bool = False
    blank_strings: bool = False
    scans: dict[str, SheetScan] = msgspec.field(default_factory=dict)


def inspect_zip(file: BinaryIO, limits: Limits) -> Container:
    parts = SafeZip(file, limits)
    if _WORKBOOK in parts.entries:
        return _inspect_xlsx(parts, limits)
    if _BINARY_WORKBOOK in parts.entries:
        return _inspect_xlsb(parts, limits)
    if _CONTENT in parts.entries:
        return _inspect_ods(parts, limits)
    raise UnreadableFile("F_FORMAT_UNKNOWN", found="zip")


def inspect_ole(file: BinaryIO, limits: Limits) -> Container:
    streams = ole_streams(file)
    if "_VBA_PROJECT_CUR" in streams:
        raise UnreadableFile("F_MACRO", reason="macro", entry="_VBA_PROJECT_CUR")
    content = _book_stream(file, streams)
    if content is None:
        raise UnreadableFile("F_FORMAT_UNKNOWN", found="ole")
    scan = scan_book(content, limits)
    return Container(format="xls", epoch_1904=scan.epoch_1904, blank_strings=scan.blank_strings, scans=scan.sheets)


def is_encrypted(file: BinaryIO) -> bool:
    """An .xlsx with a password is wrapped as OLE; an .xls says it in its own stream."""
    streams = ole_streams(file)
    if "EncryptedPackage" in streams:
        return True
    content = _book_stream(file, streams)
    return content is not None and is_encrypted_stream(content)


def ole_streams(file: BinaryIO) -> set[str]:
    """The first part of the path of everything in the container."""
    file.seek(0)
    try:
        with olefile.OleFileIO(file) as container:
            return {path[0] for path in container.listdir(streams=True, storages=True)}
    except (OSError, ValueError, IndexError, struct.error):
        raise UnreadableFile("F_TRUNCATED") from None


def _book_stream(file: BinaryIO, streams: set[str]) -> bytes | None:
    name = next((name for name in _BOOK_STREAMS if name in streams), None)
    if name is None:
        return None
    file.seek(0)
    try:
        with olefile.OleFileIO(file) as container:
            content: bytes = container.openstream(name).read()
            return content
    except (OSError, ValueError, IndexError, struct.error):
        raise UnreadableFile("F_TRUNCATED") from None


def _inspect_xlsx(parts: SafeZip, limits: Limits) -> Container:
    workbook = _read_xml(parts, _WORKBOOK)
    sheets = _sheet_names(workbook, _read_xml(parts, _RELATIONS))
    found = Container(format="xlsx", epoch_1904=_DATE_1904.search(workbook) is not None)
    for name in parts.names():
        if name in sheets:
            found.scans[sheets[name]] = scan_sheet(parts.inflate(name), sheets[name], limits)
        elif name.lower().endswith("sharedstrings.xml"):
            size = parts.entries[name].file_size
            found.blank_strings |= scan_shared_strings(parts.inflate(name), size, name)
        elif name not in (_WORKBOOK, _RELATIONS):
            _count(parts, name)
    return found


def _inspect_xlsb(parts: SafeZip, limits: Limits) -> Container:
    relations = {item.get("Id"): item.get("Target", "") for item in _elements(_read_xml(parts, _BINARY_RELATIONS))}
    names, epoch_1904 = xlsb_scan.sheets_of(parts.read(_BINARY_WORKBOOK))
    sheets = {_part_name(relations[relation]): name for relation, name in names.items() if relations.get(relation)}
    found = Container(format="xlsb", epoch_1904=epoch_1904, blank_strings=True)
    for name in parts.names():
        if name in sheets:
            found.scans[sheets[name]] = xlsb_scan.scan_sheet(parts.inflate(name), sheets[name], limits)
        elif name not in (_BINARY_WORKBOOK, _BINARY_RELATIONS):
            _count(parts, name)
    return found


def _inspect_ods(parts: SafeZip, limits: Limits) -> Container:
    if _MANIFEST in parts.entries and b"encryption-data" in _read_xml(parts, _MANIFEST):
        raise UnreadableFile("F_PASSWORD")
    for name in parts.names():
        if name not in (_CONTENT, _MANIFEST):
            _count(parts, name)
    scans, blank_strings = scan_tables(parts.inflate(_CONTENT), limits)
    return Container(format="ods", blank_strings=blank_strings, scans=scans)


def _read_xml(parts: SafeZip, name: str) -> bytes:
    if name not in parts.entries:
        raise unreadable("damaged_workbook", entry=name)
    content = parts.read(name)
    refuse_doctype(content, name)
    return content


def _count(parts: SafeZip, name: str) -> None:
    """Inflate for the count alone; a part that is XML must declare nothing."""
    xml, rest = name.lower().endswith((".xml", ".rels")), b""
    for chunk in parts.inflate(name):
        if xml:
            refuse_doctype(rest + chunk, name)
            rest = chunk[-16:]


def _sheet_names(workbook: bytes, relations: bytes) -> dict[str, str]:
    """Part name -> sheet name."""
    targets = {item.get("Id"): item.get("Target", "") for item in _elements(relations)}
    sheets = [item for item in _elements(workbook) if item.tag.endswith("}sheet")]
    names = {}
    for sheet in sheets:
        target = targets.get(sheet.get(_RELATION_ID) or sheet.get(_STRICT_RELATION_ID))
        if target:
            names[_part_name(target)] = sheet.get("name", "")
    return names


def _elements(content: bytes) -> list[ElementTree.Element]:
    try:
        return list(ElementTree.fromstring(content).iter())  # noqa: S314 - any declaration was refused before
    except ElementTree.ParseError:
        raise unreadable("damaged_workbook", entry=_WORKBOOK) from None


def _part_name(target: str) -> str:
    return target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join("xl", target))
