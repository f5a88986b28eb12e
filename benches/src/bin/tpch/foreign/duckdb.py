# DuckDB within this process. After `serve.py`.
import duckdb

connection = duckdb.connect(config={"threads": threads})
connection.execute("set enable_progress_bar = false")
for table in tables:
    connection.execute(f"create view {table} as select * from read_parquet('{files}/{table}/*')")
serve(duckdb.__version__, lambda sql: connection.execute(sql).fetchall())
