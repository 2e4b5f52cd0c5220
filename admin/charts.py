"""Charts as inline SVG, drawn on the server: bars, stacked bars, lines and heat matrices, each with its table of the same numbers.

Nothing is told by colour alone: every mark has its number beside it, parts have patterns, lines have dashes and marks of
their own. No style attributes (the content security policy), no script; black and white on paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import floor

import msgspec
from markupsafe import Markup

from admin.chart_marks import (
    BAR,
    BARE,
    DIM,
    FILLS,
    GRID,
    INK,
    LABEL,
    LEFT,
    RIGHT,
    ROW,
    TALL,
    WIDE,
    Value,
    Written,
    box_at,
    ceiling_of,
    cut_short,
    joined,
    legend_of,
    pattern_defs,
    row_label,
    side_scale,
    span_of,
    target_across,
    target_upright,
    text_at,
)

_DASHES = ("", "7 3", "2 3", "9 3 2 3", "1 4", "12 4")
_HEAT = ("#f4f7fb", "#d6e3f1", "#a9c6e3", "#3f6fa3", "#1c4e89")
_LIGHT_TEXT_FROM = 3


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What a chart is called and how it says things, translated. ``name`` is its id on the page."""

    name: str
    title: str
    description: str = ""
    table: str = "数据表"
    heads: str = ""  # over the first column of the table
    empty: str = "没有数据"
    none: str = "—"


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One row of numbers, as many as there are labels."""

    name: str
    values: Sequence[Value]


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A value to be reached, drawn as a line across the chart."""

    value: float
    name: str


def whole(value: float) -> str:
    """A count, as it is read."""
    return f"{value:,.0f}"


def percent(value: float) -> str:
    """A share of a hundred, one decimal rounded down: what is short of a target never looks as if it were not."""
    return f"{floor(round(value * 10, 6)) / 10:.1f}%"


def bars(
    words: Words,
    labels: Sequence[str],
    series: Series,
    *,
    top: float | None = None,
    target: Mark | None = None,
    write: Written = whole,
) -> Markup:
    """One bar a label, its number at its end; no bar and a dash where the number is not known."""
    if not labels:
        return _nothing(words)
    reach = top or ceiling_of([*series.values, target.value if target else None])
    scale = (WIDE - LABEL - 76) / reach
    drawn = [_bar_row(place, label, value, scale, write, words) for place, (label, value) in _rows(labels, series)]
    tall = ROW * len(labels) + (ROW if target else 4)
    if target:
        drawn.append(target_upright(LABEL + target.value * scale, tall - ROW, target.name))
    return _figure(words, WIDE, tall, joined(drawn), table(words, labels, [series], write))


def stacked(words: Words, labels: Sequence[str], parts: Sequence[Series], *, write: Written = whole) -> Markup:
    """One bar a label, made of parts with patterns of their own; numbers inside where there is room, the sum at the end."""
    if not labels or not parts:
        return _nothing(words)
    sums = [sum(value or 0 for value in column) for column in zip(*(part.values for part in parts), strict=True)]
    scale = (WIDE - LABEL - 76) / ceiling_of(sums)
    drawn = [pattern_defs(words.name, len(parts)), legend_of(words.name, [part.name for part in parts])]
    for place, label in enumerate(labels):
        at = ROW * (place + 1)
        drawn += [row_label(label, at), *_parts_of(words.name, parts, place, at, scale, write)]
        drawn.append(text_at(LABEL + sums[place] * scale + 6, at + 15, write(sums[place]), bold=True))
    return _figure(words, WIDE, ROW * (len(labels) + 1) + 4, joined(drawn), table(words, labels, parts, write))


def line(
    words: Words,
    labels: Sequence[str],
    several: Sequence[Series],
    *,
    top: float | None = None,
    target: Mark | None = None,
    write: Written = whole,
) -> Markup:
    """Lines over months, broken where a number is not known; each has its dash, its mark and its name at the end."""
    known = [value for one in several for value in one.values if value is not None]
    if not labels or not known:
        return _nothing(words)
    low, high = span_of([*known, *([target.value] if target else [])], top)
    step = (WIDE - LEFT - RIGHT) / max(len(labels) - 1, 1)

    def place(index: int, value: float) -> tuple[float, float]:
        return LEFT + step * index, TALL - (value - low) / (high - low) * (TALL - 20)

    drawn = [side_scale(low, high, write), *_months_under(labels, step)]
    if target:
        drawn.append(target_across(place(0, target.value)[1], target.name))
    drawn += [_one_line(index, one, place) for index, one in enumerate(several)]
    drawn += _names_at_ends(several, place)
    return _figure(words, WIDE, TALL + 28, joined(drawn), table(words, labels, several, write))


def heat(
    words: Words,
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Sequence[Sequence[Value]],
    *,
    write: Written = whole,
) -> Markup:
    """Rows against columns, the darker the more; every cell has its number in it, a dash where it is not known."""
    known = [value for row in cells for value in row if value is not None]
    if not rows or not columns or not known:
        return _nothing(words)
    wide = max(44.0, (WIDE - LABEL) / len(columns))
    drawn = [
        text_at(LABEL + wide * (index + 0.5), 16, cut_short(name, 8), middle=True) for index, name in enumerate(columns)
    ]
    for place, (name, row) in enumerate(zip(rows, cells, strict=True)):
        drawn.append(row_label(name, ROW * (place + 1)))
        drawn += [_cell(index, place, wide, value, max(known), words, write) for index, value in enumerate(row)]
    shown = [Series(name=name, values=[row[index] for row in cells]) for index, name in enumerate(columns)]
    across = LABEL + wide * len(columns)
    return _figure(words, across, ROW * (len(rows) + 1) + 2, joined(drawn), table(words, rows, shown, write))


def heat_step(value: Value, most: float) -> int:
    """How dark a cell is, 0 to 4; nought and what is not known are lightest."""
    if not value or most <= 0:
        return 0
    return min(len(_HEAT) - 1, 1 + floor(value / most * (len(_HEAT) - 1.001)))


def progress_bar(done: int, total: int, name: str, look: str = "progress-line") -> Markup:
    """How much of something is done, as a bar for a line of a table: the number is to stand beside it as text.

    Its size and colour are those of the class ``look`` in panel.css.
    """
    share = min(1.0, done / total) * 100 if total else 0.0
    return Markup(
        '<svg class="{}" role="img" viewBox="0 0 100 10" preserveAspectRatio="none"><title>{} {} / {}</title>'
        '<rect width="100" height="10" fill="currentColor" fill-opacity="0.2"/>'
        '<rect width="{:.1f}" height="10" fill="currentColor"/></svg>'
    ).format(look, name, whole(done), whole(total), share)


def table(words: Words, labels: Sequence[str], several: Sequence[Series], write: Written = whole) -> Markup:
    """The chart's numbers as a table, folded away below it."""
    heads = joined(Markup('<th scope="col" class="n">{}</th>').format(one.name) for one in several)
    lines = joined(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            label,
            joined(Markup('<td class="n">{}</td>').format(_said(one.values[at], words, write)) for one in several),
        )
        for at, label in enumerate(labels)
    )
    return Markup(
        '<details class="chart-table"><summary>{0}</summary><table class="dense"><caption class="sr">{1}</caption>'
        '<thead><tr><th scope="col">{2}</th>{3}</tr></thead><tbody>{4}</tbody></table></details>'
    ).format(words.table, words.title, words.heads or words.title, heads, lines)


# ---- one mark after another ----


def _figure(words: Words, wide: float, tall: float, drawn: Markup, its_table: Markup) -> Markup:
    return Markup(
        '<figure class="chart"><svg role="img" aria-labelledby="{0}-title {0}-desc" width="{1:.0f}" height="{2:.0f}"'
        ' viewBox="0 0 {1:.0f} {2:.0f}" font-size="12" fill="{3}"><title id="{0}-title">{4}</title>'
        '<desc id="{0}-desc">{5}</desc>{6}</svg>{7}</figure>'
    ).format(words.name, wide, tall, INK, words.title, words.description or words.title, drawn, its_table)


def _nothing(words: Words) -> Markup:
    return Markup('<p class="chart-empty dim">{}{}{}</p>').format(words.title, " · ", words.empty)


def _rows(labels: Sequence[str], series: Series) -> Iterator[tuple[int, tuple[str, Value]]]:
    return enumerate(zip(labels, series.values, strict=True))


def _said(value: Value, words: Words, write: Written) -> str:
    return words.none if value is None else write(value)


def _bar_row(place: int, label: str, value: Value, scale: float, write: Written, words: Words) -> Markup:
    at, reach = ROW * place, (value or 0) * scale
    bar = box_at(LABEL, at + 5, reach, BAR, FILLS[0]) if value else BARE
    return row_label(label, at) + bar + text_at(LABEL + reach + 6, at + 16, _said(value, words, write), bold=True)


def _parts_of(
    name: str, parts: Sequence[Series], place: int, at: int, scale: float, write: Written
) -> Iterator[Markup]:
    """A part's number is written in it on a plate, where it has room: patterns are hard to read on."""
    left = float(LABEL)
    for index, part in enumerate(parts):
        value = part.values[place] or 0
        wide = value * scale
        if value:
            yield box_at(left, at + 3, wide, BAR + 4, f"url(#{name}-p{index})", INK)
        said = write(value)
        if value and wide > 8 * len(said) + 10:
            plate = 7.2 * len(said) + 4
            yield box_at(left + (wide - plate) / 2, at + 4.5, plate, BAR + 1, "#fff")
            yield text_at(left + wide / 2, at + 16, said, middle=True)
        left += wide


def _cell(index: int, place: int, wide: float, value: Value, most: float, words: Words, write: Written) -> Markup:
    step, x, y = heat_step(value, most), LABEL + wide * index, ROW * (place + 1)
    ink = "#ffffff" if step >= _LIGHT_TEXT_FROM else INK
    said = text_at(x + wide / 2, y + 17, _said(value, words, write), middle=True, fill=ink)
    return box_at(x + 1, y + 1, wide - 2, ROW - 2, _HEAT[step], GRID) + said


def _months_under(labels: Sequence[str], step: float) -> Iterator[Markup]:
    for index, label in enumerate(labels):
        yield text_at(LEFT + step * index, TALL + 18, label, middle=True, fill=DIM)


Place = Callable[[int, float], tuple[float, float]]


def _one_line(index: int, series: Series, place: Place) -> Markup:
    path, broken, marks = "", True, []
    for at, value in enumerate(series.values):
        if value is None:
            broken = True
            continue
        x, y = place(at, value)
        path, broken = f"{path}{'M' if broken else 'L'}{x:.1f} {y:.1f}", False
        marks.append(_sign(index, x, y))
    ink = _ink_of(index)
    drawn = Markup('<path d="{}" fill="none" stroke="{}" stroke-width="2"{}/>').format(
        path, ink, Markup(' stroke-dasharray="{}"').format(_DASHES[index % 6]) if index % 6 else ""
    )
    return drawn + joined(marks)


def _sign(index: int, x: float, y: float) -> Markup:
    """Round, square, triangle, diamond, cross: a line is known by it without its colour."""
    shapes = (
        "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0",
        "M-4 -4H4V4H-4Z",
        "M0 -5L5 4H-5Z",
        "M0 -5L5 0L0 5L-5 0Z",
        "M-4 -4L4 4M4 -4L-4 4",
    )
    return Markup('<path d="{}" transform="translate({:.1f} {:.1f})" fill="{}" stroke="{}" stroke-width="2"/>').format(
        shapes[index % 5], x, y, "#fff" if index else _ink_of(0), _ink_of(index)
    )


def _ink_of(index: int) -> str:
    return (FILLS[0], FILLS[1], FILLS[3], FILLS[4], FILLS[5])[index % 5]


def _names_at_ends(several: Sequence[Series], place: Place) -> Iterator[Markup]:
    """Each line's name at its end, pushed down where two would lie on one another."""
    ends = []
    for index, one in enumerate(several):
        known = [(at, value) for at, value in enumerate(one.values) if value is not None]
        if known:
            ends.append((place(*known[-1])[1], index, one.name))
    last = -20.0
    for wanted, index, name in sorted(ends):
        last = max(wanted, last + 16)
        yield _sign(index, WIDE - RIGHT + 14, last) + text_at(WIDE - RIGHT + 24, last + 4, cut_short(name, 8))
