"""The container of a workbook, zip or OLE, is inspected part by part; only then may the parser see it."""

import posixpath
import re
from typing import BinaryIO
from xml.etree import ElementTree

import msgspec

from adapters.formats.sheet_scan import SheetScan, refuse_doctype, scan_shared_strings, scan_sheet
from adapters.formats.unreadable import Limits, UnreadableFile, unreadable
from adapters.formats.zip_preflight import SafeZip

_WORKBOOK, _RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
_RELATION_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRICT_RELATION_ID = "{http://purl.oclc.org/ooxml/officeDocument/relationships}id"
_DATE_1904 = re.compile(rb"""<(?:\w+:)?workbookPr\b[^>]*\bdate1904\s*=\s*["'](?:1|true)""")
_OLE_STREAMS = {name: name.encode("utf-16-le") for name in ("EncryptedPackage", "_VBA_PROJECT_CUR", "Workbook", "Book")}


class Container(msgspec.Struct):
    """What the inspection found: the format, and for .xlsx a scan of every sheet by its name."""

    format: str
    epoch_1904: bool = False
    blank_strings: bool = False
    scans: dict[str, SheetScan] = msgspec.field(default_factory=dict)


def inspect_zip(file: BinaryIO, limits: Limits) -> Container:
    parts = SafeZip(file, limits)
    if _WORKBOOK in parts.entries:
        return _inspect_xlsx(parts, limits)
    if "xl/workbook.bin" in parts.entries or "content.xml" in parts.entries:
        for name in parts.names():
            _count(parts, name)
        return Container(format="xlsb" if "xl/workbook.bin" in parts.entries else "ods")
    raise UnreadableFile("F_FORMAT_UNKNOWN", found="zip")


def inspect_ole(file: BinaryIO) -> Container:
    content = file.read()
    found = {name for name, stream in _OLE_STREAMS.items() if stream in content}
    if "EncryptedPackage" in found:
        raise UnreadableFile("F_PASSWORD")
    if "_VBA_PROJECT_CUR" in found:
        raise UnreadableFile("F_MACRO", reason="macro", entry="_VBA_PROJECT_CUR")
    if not found & {"Workbook", "Book"}:
        raise UnreadableFile("F_FORMAT_UNKNOWN", found="ole")
    return Container(format="xls")


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
