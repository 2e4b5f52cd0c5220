"""One peer compares a roll with the register: run by a Python of its own that has it, prints what it found and how long.

Usage: python roll_peers.py PEER FOLDER; asked.json names the roll's CSV, the database and the query of the register.
The time is from opening the two inputs to having all three answers; what was imported before is not counted.
"""

import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import psycopg

Comparing = Callable[[], list[int]]


def main(peer: str, folder: Path) -> None:
    asked = json.loads((folder / "asked.json").read_text("utf-8"))
    asked["register_file"] = str(folder / f"register-{peer}.csv")
    compare = {"polars": with_polars, "datacompy": with_datacompy, "duckdb": with_duckdb, "sql": with_sql}[peer](asked)
    started = time.perf_counter()
    found = compare()
    print(json.dumps({"seconds": time.perf_counter() - started, "found": found}))


def register_out(asked: Any, stream: Any) -> None:
    out = f"COPY ({asked['query']}) TO STDOUT (FORMAT csv)".encode()
    with psycopg.connect(asked["url"]) as connection, connection.cursor().copy(out) as copy:
        for block in copy:
            stream.write(block)


def both_frames(asked: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    columns, headers = asked["columns"], asked["headers"]
    roll = pl.read_csv(asked["roll"], infer_schema=False).rename(dict(zip(headers, columns, strict=True)))
    body = io.BytesIO()
    register_out(asked, body)
    return roll, pl.read_csv(body.getvalue(), has_header=False, new_columns=columns, infer_schema=False)


def with_polars(asked: Any) -> Comparing:
    fields = [name for name in asked["columns"] if name != "id_no"]

    def compare() -> list[int]:
        roll, register = both_frames(asked)
        both = roll.join(register, on="id_no", how="inner", suffix="_register")
        differing = both.filter(
            pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_register")) for name in fields)
        )
        here, there = roll.join(register, on="id_no", how="anti"), register.join(roll, on="id_no", how="anti")
        return [here.height, there.height, differing.height]

    return compare


def with_datacompy(asked: Any) -> Comparing:
    import datacompy  # type: ignore[import-not-found]

    def compare() -> list[int]:
        roll, register = both_frames(asked)
        told = datacompy.PolarsCompare(roll, register, join_columns="id_no")
        return [told.df1_unq_rows.height, told.df2_unq_rows.height, told.all_mismatch().height]

    return compare


def with_duckdb(asked: Any) -> Comparing:
    import duckdb  # type: ignore[import-not-found]

    columns = asked["columns"]
    names = ", ".join(f"'{name}'" for name in columns)
    differs = " OR ".join(f"r.{name} IS DISTINCT FROM g.{name}" for name in columns if name != "id_no")

    def compare() -> list[int]:
        with Path(asked["register_file"]).open("wb") as stream:
            register_out(asked, stream)
        connection = duckdb.connect()
        for table, path, header in (("r", asked["roll"], "true"), ("g", asked["register_file"], "false")):
            read = f"read_csv('{path}', all_varchar = true, header = {header}, names = [{names}])"
            connection.execute(f"CREATE TABLE {table} AS SELECT * FROM {read}")
        kind = f"CASE WHEN g.id_no IS NULL THEN 1 WHEN r.id_no IS NULL THEN 2 WHEN {differs} THEN 3 ELSE 0 END"
        rows = connection.execute(
            f"SELECT {kind} AS kind, coalesce(r.id_no, g.id_no) FROM r FULL JOIN g USING (id_no) WHERE kind > 0"
        ).fetchall()
        return [sum(1 for kind, _ in rows if kind == wanted) for wanted in (1, 2, 3)]

    return compare


def with_sql(asked: Any) -> Comparing:
    columns = asked["columns"]
    differs = " OR ".join(f"r.{name} IS DISTINCT FROM g.{name}" for name in columns if name != "id_no")
    kind = f"CASE WHEN g.id_no IS NULL THEN 1 WHEN r.id_no IS NULL THEN 2 WHEN {differs} THEN 3 ELSE 0 END"

    def compare() -> list[int]:
        with psycopg.connect(asked["url"]) as connection, connection.cursor() as cursor:
            cursor.execute("SET work_mem = '256MB'")
            cursor.execute(f"CREATE TEMPORARY TABLE r ({', '.join(f'{name} text' for name in columns)})".encode())
            with (
                cursor.copy("COPY r FROM STDIN (FORMAT csv, HEADER)") as copy,
                Path(asked["roll"]).open("rb") as stream,
            ):
                while block := stream.read(1 << 20):
                    copy.write(block)
            cursor.execute("ANALYZE r")
            cursor.execute(
                f"SELECT * FROM (SELECT {kind} AS kind, coalesce(r.id_no, g.id_no) FROM r"
                f" FULL JOIN ({asked['query']}) g USING (id_no)) found WHERE kind > 0".encode()
            )
            rows = cursor.fetchall()
        return [sum(1 for kind, _ in rows if kind == wanted) for wanted in (1, 2, 3)]

    return compare


main(sys.argv[1], Path(sys.argv[2]))
