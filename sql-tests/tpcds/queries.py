"""Writes the 99 queries of TPC-DS, with the TPC's default parameters, out of DuckDB's extension as q01.sql to q99.sql.

    pip install duckdb==1.5.5 duckdb-extension-tpcds==1.5.5
    python tpcds/queries.py DIRECTORY
"""

import pathlib
import sys

import duckdb
import duckdb_extension_tpcds


def main(directory: pathlib.Path) -> None:
    package = pathlib.Path(duckdb_extension_tpcds.__file__).parent
    extension = next(package.rglob("tpcds.duckdb_extension"))
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute(f"LOAD '{extension}'")
    queries = connection.execute("SELECT query_nr, query FROM tpcds_queries()").fetchall()
    assert len(queries) == 99, f"expected 99 queries, found {len(queries)}"
    directory.mkdir(parents=True, exist_ok=True)
    for number, text in queries:
        (directory / f"q{number:02}.sql").write_text(text)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
