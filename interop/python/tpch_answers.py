"""What DuckDB, another engine, answers to the 22 queries of TPC-H over Quarry's tables: rows of text by query, as JSON.

Environment: QUARRY_FLIGHT_SQL, the coordinator's HOST:PORT with TPC-H as schema `tpch`, and QUARRY_TPCH_QUERIES, the folder of the queries
with the scale's fraction put in.
"""

import json
import os
import pathlib

import adbc_driver_flightsql.dbapi as flight_sql
import duckdb

TABLES = ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"]


def main():
    engine = duckdb.connect()
    with flight_sql.connect(f"grpc://{os.environ['QUARRY_FLIGHT_SQL']}", autocommit=True) as quarry, quarry.cursor() as cursor:
        for name in TABLES:
            cursor.execute(f"SELECT * FROM tpch.{name}")
            engine.register(name, cursor.fetch_arrow_table())
    answers = {}
    for path in sorted(pathlib.Path(os.environ["QUARRY_TPCH_QUERIES"]).glob("q*.sql")):
        rows = engine.sql(path.read_text()).fetchall()
        answers[path.stem] = [["" if value is None else str(value) for value in row] for row in rows]
    print(json.dumps(answers))


main()
