"""Reads names of people as GB 18030-2022 and the household registers write them; never rewrites a character.

Middle dots become U+00B7; padding between Han characters goes, spaces in foreign names stay; the nineteen
characters that GB 18030-2022 moved out of the private area are moved. What cannot be encoded is kept and flagged.
"""

from __future__ import annotations

import polars as pl

from mappings.fields.mojibake import SUSPECTS
from mappings.fields.reading import DATE, NO_TEXT, NONE_WORDS, NOTHING, Cells, Reading, first_of, read_odd
from mappings.fields.text import one_line

LONGEST = 100

# GB 18030-2022 against the 2000 mapping of Python's codec: private area -> Unicode.
MOVED = dict(
    zip(
        "\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796"
        "\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864\ue7c7",
        "\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18\ufe19"
        "\u9fb4\u9fb5\u9fb6\u9fb7\u9fb8\u9fb9\u9fba\u9fbb\u1e3f",
        strict=True,
    )
)
DOTS = "\u2022\u30fb\uff65\u2027\u22c5\u2219\u2e31\uff0e\u00b7"
_PADDED = r"^[\p{Han}\s\p{Zs}]+$"
PLACEHOLDER = (
    r"^(?:(?:尚|暂)?(?:未取名|未命名|未起名|未定|待定)|待取名|无名氏?|新生儿|婴儿|男婴|女婴|弃婴|无|暂无|不详|未知)$"
    r"|^\p{Han}{1,3}某{0,2}之[子女婴]$|^\p{Han}某{1,2}$|^\p{Han}{2,3}[长次三四]?[子女]?婴$|^[XxＸｘ*＊]+$"
)
UNENCODABLE = r"[\p{Co}\ufffd?？□■〓]|[(（][^)）]*[上下左右加旁头底][^)）]*[)）]"
_PLAIN = rf"^[\p{{Han}}--[{SUSPECTS}某未无待空之婴弃同暂尚新不]]{{2,5}}$"


def read_name(cells: Cells, *, newborn: bool = False, optional: bool = False) -> Reading:
    """``newborn``: a placeholder (未取名, 张某之子) stands for no name yet; elsewhere it refuses the row.

    ``optional``: 无 and 不详 say that there is nobody to name.
    """
    clean = cells.text.str.contains(_PLAIN)
    return read_odd(cells, cells.text, clean, lambda odd: _steps(odd, newborn, optional))


def canonical_name(text: pl.Expr) -> pl.Expr:
    name = one_line(text.str.replace_many(MOVED)).str.replace_all(rf"\s*[{DOTS}]\s*", "·")
    name = name.str.replace_all(r"(\p{Han})\s*\.\s*(\p{Han})", "$1·$2").str.replace_all(
        r"(\p{Han})\.(\p{Han})", "$1·$2"
    )
    padding_gone = name.str.replace_all(r"[\s\p{Zs}]", "")
    return pl.when(name.str.contains(_PADDED)).then(padding_gone).otherwise(name)


def _steps(odd: pl.DataFrame, newborn: bool, optional: bool) -> pl.DataFrame:
    read = odd.with_columns(name=canonical_name(pl.col("text")))
    name = pl.col("name")
    empty = name.str.contains(NOTHING) | (name == "") | (name.str.contains(NONE_WORDS) & optional)
    turned, long = pl.col("kind") == DATE, name.str.len_chars() > LONGEST
    placeholder = name.str.contains(PLACEHOLDER)
    kept = ~(empty | turned | long | placeholder)
    code = first_of(
        (
            (empty, None),
            (turned, "E_TEXT_TURNED_DATE"),
            (long, "E_TEXT_TOO_LONG"),
            (placeholder, None if newborn else "E_NAME_PLACEHOLDER"),
            (name.str.contains(UNENCODABLE), "W_NAME_UNENCODABLE"),
        )
    )
    limit = pl.when(long).then(pl.lit(str(LONGEST)))
    return read.select(
        "row", pl.when(kept).then(name).otherwise(NO_TEXT).alias("value"), code.alias("code"), limit.alias("detail")
    )
