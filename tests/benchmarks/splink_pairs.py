"""Splink 5 links the two tables of a folder: run by a Python of its own that has splink, prints pairs and seconds.

Usage: python splink_pairs.py FOLDER; register.csv and asked.csv in, [[asked, register], ...] and seconds out as JSON.
"""

import json
import sys
import time
from pathlib import Path

import duckdb
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

BLOCKS = json.loads((Path(sys.argv[1]) / "blocks.json").read_text())


def main(folder: Path) -> None:
    connection = duckdb.connect()
    started = time.perf_counter()
    api = DuckDBAPI(connection)
    tables = [_table(connection, api, folder, name) for name in ("asked", "register")]
    linker = Linker(tables, _settings())
    linker.training.estimate_probability_two_random_records_match([block_on("birth_date", "name_key")], recall=0.8)
    linker.training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("birth_date"))
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("name_key"))
    found = linker.inference.predict(threshold_match_probability=0.5).as_record_list()
    pairs = [[one["unique_id_l"], one["unique_id_r"]] for one in found]
    print(json.dumps({"seconds": time.perf_counter() - started, "pairs": pairs}))


def _table(connection, api, folder: Path, name: str):  # type: ignore[no-untyped-def]
    path = folder / f"{name}.csv"
    connection.execute(f"CREATE TABLE {name} AS SELECT * FROM read_csv('{path}', all_varchar = true)").fetchall()
    return api.register(name, dataset_display_name=name)


def _settings() -> SettingsCreator:
    return SettingsCreator(
        link_type="link_only",
        blocking_rules_to_generate_predictions=[block_on(*keys) for keys in BLOCKS],
        comparisons=[
            cl.JaroWinklerAtThresholds("name", [0.9, 0.7]),
            cl.DamerauLevenshteinAtThresholds("birth_date", [1, 2]),
            cl.DamerauLevenshteinAtThresholds("id_no", [1, 2]),
            cl.ExactMatch("sex"),
            cl.ExactMatch("household_no"),
            cl.ExactMatch("home_area"),
            cl.ExactMatch("phone"),
        ],
    )


main(Path(sys.argv[1]))
