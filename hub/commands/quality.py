"""The quality figures on the command line: a month, one organisation or all, and the rows behind a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hub.commands.verbs import Home, Json, show, verb
from hub.registry.permissions import Right

if TYPE_CHECKING:
    from hub.oversight.quality import Quality

quality = typer.Typer()
Month = Annotated[str, typer.Option("--month", help="月份 / month, YYYY-MM")]
Whose = Annotated[str, typer.Option("--organisation", help="单位代码，留空为全部 / organisation code; none: all")]


@verb(quality, Right.OPERATE, "quality")
def read(month: Month = "", organisation: Whose = "", as_json: Json = False, home: Home = None) -> None:
    """各单位数据质量：完整、逻辑、准确、及时。 How good each organisation's data is; this month unless said otherwise.

    hub quality --month 2026-11 --organisation public_security
    """
    import msgspec

    from hub.commands.opening import opened, operator
    from hub.exchange.pipeline import local_now
    from hub.oversight.quality import read_quality

    with opened(home) as hub, hub.database.begin() as connection:
        chosen = month or f"{local_now(hub.settings):%Y-%m}"
        asked = (operator("hub"), hub.catalogue, hub.settings.time_zone, chosen, organisation)
        lines = read_quality(connection, *asked)
    if as_json:
        show({"month": chosen, "lines": msgspec.to_builtins(lines)})
    elif not lines:
        print(f"{chosen} 没有已入库的报送。 Nothing was merged for this month.")
    else:
        _tell(lines)


def _tell(lines: list[Quality]) -> None:
    """One line each, columns apart by tabs, so that it can be pasted into a sheet."""
    from hub.exchange.small_cells import written_count
    from hub.oversight.quality import MEASURES, written

    print("\t".join(("organisation", "record_type", "received", *MEASURES)))
    for line in lines:
        received = written_count(1) if line.received is None else str(line.received)
        print(
            "\t".join(
                (line.organisation, line.record_type, received, *(written(line.figures.get(m)) for m in MEASURES))
            )
        )
