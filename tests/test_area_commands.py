"""Areas from the command line: imported once, recoded without effect on records, merged with every record re-routed."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import select

from hub.database import Database, run_sql
from hub.exchange.changelog import number_changes, verify_feed
from hub.exchange.pipeline import apply_staged
from hub.registry.areas import load_area_index
from hub.tables import submission
from mappings.catalogue import Catalogue
from tests.staged import stage
from tests.test_commands import environment, hub

__all__ = ["environment"]

LIST = """code,name,kind,parent_code
999001000000,云岭区,district,
999001100000,白鹭镇,town,999001000000
999001101000,石桥镇,town,999001000000
999001100200,松坪村,village,999001100000
999001101200,河湾村,village,999001101000
"""


def test_a_merged_town_takes_its_records_along(
    environment: dict[str, str], database: Database, catalogue: Catalogue, tmp_path: Path
) -> None:
    file = tmp_path / "areas.csv"
    file.write_text(LIST, "utf-8")
    first = hub(environment, "area", "import", str(file), "--on", "2025-01-01", "--json")
    again = hub(environment, "area", "import", str(file), "--on", "2025-01-01", "--json")
    assert json.loads(first.stdout)["added"] == 5 and json.loads(again.stdout)["added"] == 0
    with database.begin() as connection:
        index = load_area_index(connection)
        village, kept, absorbed = (index.codes[code] for code in ("999001101200", "999001100000", "999001101000"))
        row = {"id_no": "999001199001010010", "name": "李伟", "person_area": village}
        submission_id = stage(connection, catalogue.record_types["resident_roll"], [row])
        apply_staged(connection, submission_id, "999001101", catalogue.record_types["resident_roll"], catalogue)
        number_changes(connection, submission_id)
    done = hub(environment, "area", "merge", "999001101000", "--into", "999001100000", "--on", "2026-01-01")
    assert done.returncode == 0, done.stderr
    with database.begin() as connection:
        areas, version = run_sql(connection, "SELECT areas, version FROM {d}.rec_resident_roll")[0]
        log = run_sql(connection, "SELECT op, areas_before, areas_after FROM {d}.change_log ORDER BY seq")
        receipt = connection.execute(
            select(submission.c.kind, submission.c.state).where(submission.c.receipt_number == done.stdout.strip())
        ).one()
        assert verify_feed(connection, catalogue) == []
    assert (areas, version) == (sorted([kept, village]), 2)
    assert log[-1] == ("reroute", sorted([absorbed, village]), sorted([kept, village]))
    assert tuple(receipt) == ("system", "merged")


def test_a_recoded_area_keeps_its_records_as_they_are(
    environment: dict[str, str], database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "areas.csv"
    file.write_text(LIST, "utf-8")
    hub(environment, "area", "import", str(file), "--on", "2025-01-01")
    done = hub(
        environment,
        "area",
        "recode",
        "999001101200",
        "--code",
        "999001101299",
        "--name",
        "新河湾村",
        "--on",
        "2026-01-01",
    )
    assert done.returncode == 0, done.stderr
    with database.begin() as connection:
        index = load_area_index(connection)
    assert index.codes["999001101200"] == index.codes["999001101299"]


def test_an_unknown_code_is_said_to_be_unknown(environment: dict[str, str], database: Database) -> None:
    done = hub(environment, "area", "merge", "999001999000", "--into", "999001100000", "--on", "2026-01-01")
    assert done.returncode == 2 and "999001999000" in done.stderr
