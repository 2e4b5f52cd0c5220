"""Charts say what their tables say: every number in is in the drawing and in the table, and nothing is told by colour alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from markupsafe import Markup

from admin.charts import Mark, Series, Words, bars, heat, heat_step, line, percent, progress_bar, stacked, table

WORDS = Words(name="one", title="各镇 <报送>", heads="镇街")
TOWNS = ("清溪街道", "白鹭镇", "一个名字长得写不下的镇人民政府街道办事处")
THREE: Sequence[float | None] = (12, None, 0)


def cells(drawn: Markup) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", drawn[drawn.index("<tbody>") :], re.S)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def drawing(drawn: Markup) -> str:
    return drawn[: drawn.index("</svg>")]


def texts(drawn: Markup) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)", drawing(drawn))


def lengths(drawn: Markup, fill: str) -> list[float]:
    return [float(wide) for wide in re.findall(rf'width="([\d.]+)" height="[\d.]+" fill="{fill}"', drawing(drawn))]


def one_of_each() -> dict[str, Markup]:
    series = [Series(name="已报", values=THREE), Series(name="逾期", values=(3, 4, None))]
    return {
        "bars": bars(WORDS, TOWNS, series[0]),
        "stacked": stacked(WORDS, TOWNS, series),
        "line": line(WORDS, TOWNS, series),
        "heat": heat(WORDS, ["已报", "逾期"], TOWNS, [one.values for one in series]),
    }


@pytest.mark.parametrize("kind", ["bars", "stacked", "line", "heat"])
def test_a_chart_is_an_image_with_a_name_and_needs_no_style(kind: str) -> None:
    drawn = one_of_each()[kind]
    assert 'role="img" aria-labelledby="one-title one-desc"' in drawn
    assert '<title id="one-title">各镇 &lt;报送&gt;</title>' in drawn and '<desc id="one-desc">' in drawn
    assert "style=" not in drawn and "<script" not in drawn and "<报送>" not in drawn


def test_the_numbers_in_are_the_numbers_in_the_table() -> None:
    drawn = one_of_each()
    assert cells(drawn["bars"]) == [[TOWNS[0], "12"], [TOWNS[1], "—"], [TOWNS[2], "0"]]
    assert cells(drawn["stacked"]) == cells(drawn["line"]) == [
        [TOWNS[0], "12", "3"], [TOWNS[1], "—", "4"], [TOWNS[2], "0", "—"]
    ]  # fmt: skip
    assert cells(drawn["heat"]) == [["已报", "12", "—", "0"], ["逾期", "3", "4", "—"]]


def test_every_number_is_written_beside_its_bar_and_what_is_not_known_has_a_dash() -> None:
    said = texts(one_of_each()["bars"])
    assert [one for one in said if one in ("12", "—", "0")] == ["12", "—", "0"]
    assert lengths(one_of_each()["bars"], "#1c4e89")[1:] == []  # no bar for nothing, none for what is not known


def test_bars_are_as_long_as_their_numbers_and_a_name_that_is_too_long_is_told_in_full() -> None:
    drawn = bars(WORDS, TOWNS, Series(name="已报", values=(10, 20, 40)))
    one, two, four = lengths(drawn, "#1c4e89")
    assert two == pytest.approx(2 * one, abs=0.2) and four == pytest.approx(4 * one, abs=0.2)
    assert f"<title>{TOWNS[2]}</title>" in drawn and TOWNS[2] not in texts(drawn)


def test_a_target_is_drawn_across_at_its_place() -> None:
    drawn = bars(
        WORDS, TOWNS, Series(name="率", values=(90, 95, 50)), top=100, target=Mark(value=50, name="目标"), write=percent
    )
    at = re.search(r'd="M([\d.]+) 0V', drawn)
    half = lengths(drawn, "#1c4e89")[2]
    assert at and float(at[1]) == pytest.approx(168 + half, abs=0.2)
    assert "50.0%" in texts(drawn) and "目标" in texts(drawn)


def test_a_line_breaks_where_nothing_is_known() -> None:
    values = (90.0, 91.0, None, 93.0)
    drawn = line(WORDS, ["1", "2", "3", "4"], [Series(name="率", values=values)], top=100)
    path = re.search(r'<path d="(M[^"]+)" fill="none"', drawn)
    assert path and path[1].count("M") == 2 and path[1].count("L") == 1
    assert drawing(drawn).count("translate(") == 4  # a mark for each of three values, and one beside the name


def test_lines_are_told_apart_by_dash_and_mark() -> None:
    several = [Series(name=str(at), values=(at, at + 1)) for at in range(4)]
    drawn = drawing(line(WORDS, ["1", "2"], several))
    assert len(set(re.findall(r"stroke-dasharray=\"([^\"]+)\"", drawn))) == 3
    assert len(set(re.findall(r'<path d="([^"]+)" transform', drawn))) == 4


def test_parts_are_told_apart_by_pattern() -> None:
    parts = [Series(name=str(at), values=(5,)) for at in range(5)]
    drawn = stacked(WORDS, ["镇"], parts)
    patterns = re.findall(r'<pattern id="(one-p\d)".*?<path d="([^"]*)"', drawn)
    assert len({figure for _, figure in patterns}) == len(patterns) == 5
    assert all(drawn.count(f"url(#{name})") == 2 for name, _ in patterns)  # in the bar and in the legend


def test_the_scale_says_where_it_begins() -> None:
    high = texts(line(WORDS, ["1", "2"], [Series(name="率", values=(96.0, 98.0))], top=100, write=percent))
    assert "100.0%" in high and "0.0%" not in high and min(one for one in high if "%" in one) != "0.0%"
    low = texts(line(WORDS, ["1", "2"], [Series(name="数", values=(3, 40))]))
    assert "0" in low and "40" in low


@pytest.mark.parametrize(
    "drawn",
    [
        bars(WORDS, [], Series(name="", values=())),
        stacked(WORDS, [], []),
        line(WORDS, ["1"], [Series(name="", values=(None,))]),
        heat(WORDS, ["镇"], ["月"], [[None]]),
    ],
)
def test_a_chart_of_nothing_says_so(drawn: Markup) -> None:
    assert "没有数据" in drawn and "<svg" not in drawn


@pytest.mark.parametrize("value", [0, 1, 7_654_321])
def test_one_value_makes_a_chart(value: int) -> None:
    one = Series(name="数", values=(value,))
    for drawn in (bars(WORDS, ["镇"], one), stacked(WORDS, ["镇"], [one]), line(WORDS, ["月"], [one])):
        assert cells(drawn) == [["镇" if "月" not in drawn else "月", f"{value:,}"]]
        assert "nan" not in drawn and "inf" not in drawn


def test_the_more_the_darker_and_the_text_stays_readable() -> None:
    assert [heat_step(value, 100) for value in (None, 0, 1, 30, 60, 100)] == [0, 0, 1, 2, 3, 4]
    drawn = heat(WORDS, ["镇"], ["低", "高"], [[1, 100]])
    for fill, ink in zip(
        re.findall(r'<rect [^>]*fill="(#\w{6})" stroke', drawn),
        re.findall(r'fill="(#\w{6})" text-anchor="middle">\d', drawn),
        strict=True,
    ):
        assert contrast(fill, ink) >= 4.5


def contrast(first: str, second: str) -> float:
    """As WCAG reckons it."""
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("done", "total", "share"), [(0, 0, "0.0"), (1, 3, "33.3"), (3, 3, "100.0"), (9, 3, "100.0")])
def test_a_progress_bar_is_as_long_as_what_is_done(done: int, total: int, share: str) -> None:
    drawn = progress_bar(done, total, "光明社区")
    assert f'<rect width="{share}"' in drawn and f"<title>光明社区 {done} / {total}</title>" in drawn


def test_a_share_just_short_of_its_target_is_not_rounded_up_to_it() -> None:
    assert percent(94.99) == "94.9%" and percent(95) == "95.0%" and percent(28 / 29 * 100) == "96.5%"


def test_a_table_says_what_stands_in_its_columns() -> None:
    said = table(WORDS, ["一月"], [Series(name="率", values=(99.0,))], percent)
    assert '<th scope="col">镇街</th><th scope="col" class="n">率</th>' in said and "99.0%" in said
