"""DuckDB as a peer: reads statements as JSON lines, answers with times and numbers of rows."""

import json
import sys
import time

import duckdb

files, threads = sys.argv[1], int(sys.argv[2])
connection = duckdb.connect(config={"threads": threads})
for table in sys.argv[3:]:
    connection.execute(f"create view {table} as select * from read_parquet('{files}/{table}/*')")
print(json.dumps({"version": duckdb.__version__}), flush=True)
for line in sys.stdin:
    try:
        begin = time.perf_counter()
        rows = len(connection.execute(json.loads(line)["sql"]).fetchall())
        answer = {"ms": (time.perf_counter() - begin) * 1000, "rows": rows}
    except duckdb.Error as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
