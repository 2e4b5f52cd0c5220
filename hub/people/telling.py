"""An event in a sentence, in both languages: clauses whose fields the reader may not see, or that are empty, are left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from hub.registry.areas import AreaIndex
from hub.registry.masking import View, mask_field
from mappings.catalogue import Catalogue, Field, RecordType

_CLAUSE = re.compile(r"\[([^\[\]]*)\]")
_NAMED = re.compile(r"\{(\w+)\}")
_YES_NO = {True: ("是", "yes"), False: ("否", "no")}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """The same in Chinese and in English."""

    title: str
    title_en: str


class Teller(msgspec.Struct, frozen=True, kw_only=True):
    """Puts values into words as one view may read them."""

    catalogue: Catalogue
    areas: AreaIndex
    view: View

    def tell(self, says: str, says_en: str, record_type: RecordType, values: Mapping[str, Any]) -> Said:
        named = {*_NAMED.findall(says), *_NAMED.findall(says_en)} & values.keys()
        words = {name: self.words(record_type.by_name[name], values[name]) for name in named}
        chinese = {name: said.title for name, said in words.items()}
        english = {name: said.title_en for name, said in words.items()}
        return Said(title=_filled(says, chinese), title_en=_filled(says_en, english))

    def words(self, field: Field, value: object) -> Said:
        """A value in words: codes by their titles, areas by their names, everything masked for the view."""
        chinese, english = self._plain(field, value)
        return Said(title=mask_field(chinese, field, self.view), title_en=mask_field(english, field, self.view))

    def _plain(self, field: Field, value: object) -> tuple[str, str]:
        if value is None:
            return "", ""
        if isinstance(value, bool):
            return _YES_NO[value]
        if field.type == "code":
            return self._code(field.code_set, str(value))
        if field.type == "area":
            return self._area(str(value))
        written = str(value).replace("T", " ") if field.type == "datetime" else str(value)
        return written, written

    def _code(self, name: str, value: str) -> tuple[str, str]:
        known = self.catalogue.code_sets.get(name)
        for code in known.codes if known else ():
            if code.value == value:
                return code.title, code.title_en or code.title
        return value, value

    def _area(self, code: str) -> tuple[str, str]:
        area_id = self.areas.codes.get(code)
        name = self.areas.name_of.get(area_id, code) if area_id is not None else code
        return name, name


def _filled(sentence: str, words: Mapping[str, str]) -> str:
    def clause(found: re.Match[str]) -> str:
        named = _NAMED.findall(found[1])
        if not all(words.get(name) for name in named):
            return ""
        return _NAMED.sub(lambda name: words[name[1]], found[1])

    return _CLAUSE.sub(clause, sentence)
