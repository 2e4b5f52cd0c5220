"""Persons who may be there twice, and how well the hub recognises people, from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.commands.verbs import Home, Json, show, verb
from hub.registry.permissions import Right

matching = typer.Typer()
Find = Annotated[bool, typer.Option("--find", help="先全库查找一遍 / search the whole register first")]
People = Annotated[int, typer.Option("--people", min=100, max=100_000, help="生成多少人 / how many people")]
Seed = Annotated[int, typer.Option("--seed", help="随机种子 / seed of the generator")]


@verb(matching, Right.OPERATE, "pairs")
def pairs(search: Find = False, as_json: Json = False, home: Home = None) -> None:
    """疑似同一人的待判断人员对，不含姓名和号码。 Pairs that may be one person, by id; --find searches first."""
    import msgspec

    from hub.commands.opening import opened, operator
    from hub.people.pair_list import list_pairs
    from hub.people.pairs import find_pairs

    with opened(home) as hub:
        if search:
            with hub.database.begin() as connection:
                find_pairs(connection, hub.catalogue)
        with hub.database.begin() as connection:
            found = list_pairs(connection, operator("hub"), hub.catalogue, limit=1000)
    if as_json:
        show(msgspec.to_builtins(found))
        return
    for one in found:
        reasons = "；".join(f"{each.feature}{each.level}" for each in one.reasons[:4])
        print(f"{one.score:5.1f}  {one.first}  {one.second}  {one.organisation or '区局'}  {reasons}")


@verb(matching, Right.OPERATE, "match-quality")
def match_quality(people: People = 2000, seed: Seed = 1, as_json: Json = False) -> None:
    """在生成的虚构区县上测量识别的准确率和召回率。 Precision and recall on a generated district, in a database of its own."""
    import tempfile

    from hub.demo.matching_quality import measure_apart
    from mappings.catalogue import load_catalogue

    catalogue = load_catalogue()
    with tempfile.TemporaryDirectory() as folder:
        quality = measure_apart(Path(folder), catalogue, seed, people)
    figures = quality.figures() | {"inactive": quality.inactive(catalogue)}
    if as_json:
        show(figures)
        return
    for name, value in figures.items():
        print(f"{name:16} {value:.5f}" if isinstance(value, float) else f"{name:16} {value}")
    for code in quality.inactive(catalogue):
        print(f"警告：规则 {code} 从未起作用。 Warning: rule {code} never found anybody.")
