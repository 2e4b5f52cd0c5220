"""Pieces of a chart as SVG: text, boxes, patterns, scales. Presentation attributes alone, never a style."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import floor, log10

from markupsafe import Markup

Value = float | int | None  # None: not known, and not nought
Written = Callable[[float], str]
WIDE, LABEL, ROW, BAR = 720, 168, 26, 14
TALL, LEFT, RIGHT = 220, 52, 132  # of a line chart: its height, room for the scale and for the lines' names
INK, DIM, GRID = "#1f2a37", "#5a6675", "#d3dae3"
FILLS = ("#1c4e89", "#8a5300", "#e9eef5", "#b3261e", "#1b6b3a", "#5a6675")
BARE = Markup("")


def joined(pieces: Iterable[Markup]) -> Markup:
    return BARE.join(pieces)


def pattern_defs(name: str, many: int) -> Markup:
    """Plain, stripes, dots, crossed, upright: told apart in black and white."""
    figures = (
        "", "M-2 2L2 -2M0 8L8 0M6 10L10 6", "M4 4h.01", "M0 0L8 8M8 0L0 8", "M2 0V8M6 0V8", "M0 2H8M0 6H8",
    )  # fmt: skip
    made = (
        Markup(
            '<pattern id="{0}-p{1}" width="8" height="8" patternUnits="userSpaceOnUse"><rect width="8" height="8"'
            ' fill="{2}"/><path d="{3}" stroke="{4}" stroke-width="{5}" stroke-linecap="round"/></pattern>'
        ).format(name, at, FILLS[0] if at == 0 else "#fff", figures[at], FILLS[at] if at != 2 else INK, 3 if at == 2 else 2)
        for at in range(min(many, len(figures)))
    )  # fmt: skip
    return Markup("<defs>{}</defs>").format(joined(made))


def legend_of(name: str, parts: Sequence[str]) -> Markup:
    left, pieces = float(LABEL), []
    for index, part in enumerate(parts):
        pieces += [box_at(left, 4, 22, 12, f"url(#{name}-p{index})", INK), text_at(left + 28, 15, part)]
        left += 48 + width_of(part)
    return joined(pieces)


def row_label(label: str, at: float) -> Markup:
    short = cut_short(label, 12)
    return Markup('<text x="{}" y="{:.0f}" text-anchor="end">{}{}</text>').format(
        LABEL - 8, at + 16, short, Markup("<title>{}</title>").format(label) if short != label else ""
    )


def cut_short(said: str, most: int) -> str:
    """As much of it as ``most`` Chinese characters are wide."""
    if width_of(said) <= most * 12.5:
        return said
    fitting = (said[:end] for end in range(len(said), 0, -1))
    return next(short for short in fitting if width_of(short) <= (most - 1) * 12.5) + "…"


def width_of(said: str) -> float:
    """About how wide a text is at 12 px: a Chinese character is square."""
    return sum(12.5 if ord(one) > 0x2E80 else 7 for one in said)


def text_at(x: float, y: float, said: str, *, middle: bool = False, bold: bool = False, fill: str = INK) -> Markup:
    more = Markup(' text-anchor="middle"') if middle else BARE
    more += Markup(' font-weight="600"') if bold else BARE
    return Markup('<text x="{:.1f}" y="{:.1f}" fill="{}"{}>{}</text>').format(x, y, fill, more, said)


def box_at(x: float, y: float, wide: float, tall: float, fill: str, line_of: str = "") -> Markup:
    more = Markup(' stroke="{}"').format(line_of) if line_of else BARE
    return Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}" fill="{}"{}/>').format(
        x, y, wide, tall, fill, more
    )


def target_upright(x: float, tall: float, name: str) -> Markup:
    """A target across bars, with its name below."""
    drawn = Markup('<path d="M{0:.1f} 0V{1}" stroke="{2}" stroke-width="2" stroke-dasharray="5 3"/>').format(
        x, tall, INK
    )
    return drawn + text_at(x, tall + 15, name, middle=True)


def target_across(y: float, name: str) -> Markup:
    drawn = Markup('<path d="M{0} {1:.1f}H{2}" stroke="{3}" stroke-dasharray="5 3"/>').format(
        LEFT, y, WIDE - RIGHT, INK
    )
    return drawn + text_at(LEFT + 4, y - 4, name, fill=DIM)


def span_of(known: Sequence[float], top: float | None) -> tuple[float, float]:
    """From nought, unless everything lies far above it: then from a round number below, written on the scale."""
    high = top or ceiling_of(known)
    step = _round_step(high)
    low = floor(min(known) / step) * step if min(known) > 0.6 * high else 0.0
    return (low if low < high else 0.0), high


def ceiling_of(values: Iterable[Value]) -> float:
    """A round number that all of them lie below; 1 where there is nothing above nought."""
    most = max((value for value in values if value), default=0.0)
    if most <= 0:
        return 1.0
    step = _round_step(most)
    return step * -(-most // step)


def _round_step(most: float) -> float:
    rough = most / 4
    power = float(10 ** floor(log10(rough)))
    return next(power * each for each in (1, 2, 5, 10) if rough <= power * each)


def side_scale(low: float, high: float, write: Written) -> Markup:
    pieces = []
    for at in range(5):
        y, value = TALL - (TALL - 20) * at / 4, low + (high - low) * at / 4
        pieces.append(Markup('<path d="M{} {:.1f}H{}" stroke="{}"/>').format(LEFT, y, WIDE - RIGHT, GRID))
        pieces.append(
            Markup('<text x="{}" y="{:.1f}" text-anchor="end" fill="{}">{}</text>').format(
                LEFT - 6, y + 4, DIM, write(value)
            )
        )
    return joined(pieces)
