"""Every sentence the pages can show, found in templates and code, so that a test can see none is untranslated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from babel.messages.extract import extract_from_dir

_HERE = Path(__file__).parent
_METHODS = [("templates/**.html", "jinja2"), ("**.py", "python")]
_KEYWORDS = {"_": None, "N_": None, "gettext": None}


def sentences_in_source() -> Iterator[tuple[str, int, str]]:
    """File, line and Chinese sentence."""
    found = extract_from_dir(
        _HERE, _METHODS, keywords=_KEYWORDS, options_map={"templates/**.html": {"trimmed": "true"}}
    )
    for file, line, message, _, _ in found:
        if isinstance(message, str):
            yield file, line, message
