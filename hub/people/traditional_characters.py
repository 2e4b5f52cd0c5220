"""Traditional characters and the simplified ones they are searched for as, one under the other, as OpenCC pairs them.

Those whose simplified form is in GB/T 2312; where one character has two simplified forms, the usual one.
"""

from __future__ import annotations

from importlib.resources import files

from hub.errors import HubError


class CharactersMissing(HubError):
    """繁简对照表缺失，请重新安装。 The table of traditional characters is missing: install the hub again."""

    status, problem = 500, "characters-missing"


def _read_pairs() -> list[tuple[str, str]]:
    """Lines of OpenCC's table: the traditional character, a tab, its simplified forms with the usual one first."""
    table = files("opencc") / "dictionary" / "TSCharacters.txt"
    pairs = [line.split() for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
    found = [
        (one, forms[0]) for one, *forms in pairs if forms and _is_usual(forms[0]) and len(one) == 1 and one <= "\uffff"
    ]
    if not found:
        raise CharactersMissing
    return [(one, form) for one, form in found if one != form]


def _is_usual(form: str) -> bool:
    try:
        return len(form) == 1 and len(form.encode("gb2312")) == 2
    except UnicodeEncodeError:
        return False


_PAIRS = _read_pairs()
TRADITIONAL = "".join(one for one, _ in _PAIRS)
SIMPLIFIED = "".join(form for _, form in _PAIRS)
