"""ADBC's Flight SQL driver (Go, through Python) on Quarry: what a data frame library or a BI connector does.

Needs QUARRY_FLIGHT_SQL (HOST:PORT), with TPC-H loaded as schema `tpch` at the scale QUARRY_TPCH_SCALE, and QUARRY_TPCH_QUERIES, the
folder of the 22 queries, and QUARRY_WORKERS, the workers' addresses. DuckDB, a third engine, answers them over the same rows.
"""

import datetime
import decimal
import math
import os
import pathlib
import re
import threading
import time
import unittest

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import duckdb
import pandas as pd
import pyarrow as pa

TABLES = ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"]
SCALE = float(os.environ["QUARRY_TPCH_SCALE"])
QUERIES = sorted(pathlib.Path(os.environ["QUARRY_TPCH_QUERIES"]).glob("q*.sql"))
WORKERS = os.environ["QUARRY_WORKERS"].split(",")
# Queries whose rows come in no order of their own.
UNORDERED = {6, 14, 17, 19}


def connect():
    return flight_sql.connect(f"grpc://{os.environ['QUARRY_FLIGHT_SQL']}", autocommit=True)


def as_rows(table):
    """Rows with every number as a float: engines differ in the type of an average, not in its value."""

    def plain(value):
        return float(value) if isinstance(value, (int, float, decimal.Decimal)) else value

    return [tuple(plain(value) for value in row) for row in zip(*(column.to_pylist() for column in table.columns))]


def sort_key(row):
    return tuple((value is None, round(value, 2) if isinstance(value, float) else value) for value in row)


def close(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-6, abs_tol=0.01)
    return a == b


class Adbc(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.connection = connect()

    @classmethod
    def tearDownClass(cls):
        cls.connection.close()

    def ask(self, sql, parameters=None):
        with self.connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetch_arrow_table()

    def one(self, sql, parameters=None):
        (row,) = self.ask(sql, parameters).to_pylist()
        (value,) = row.values()
        return value

    def run_script(self, *statements):
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.executescript(statement)

    def assert_same_rows(self, found, expected, ordered):
        if not ordered:
            found, expected = sorted(found, key=sort_key), sorted(expected, key=sort_key)
        self.assertEqual(len(found), len(expected))
        for a, b in zip(found, expected):
            self.assertTrue(len(a) == len(b) and all(map(close, a, b)), f"found {a}, expected {b}")

    # Queries

    def test_the_22_queries_give_the_rows_that_duckdb_gives(self):
        self.assertEqual(len(QUERIES), 22)
        peer = duckdb.connect()
        for name in TABLES:
            peer.register(name, self.ask(f"SELECT * FROM tpch.{name}"))
        with connect() as session:
            session.adbc_current_db_schema = "tpch"
            for path in QUERIES:
                sql = path.read_text().replace(":fraction", f"{0.0001 / SCALE:.10f}")
                with self.subTest(query=path.stem), session.cursor() as cursor:
                    cursor.execute(sql)
                    found = cursor.fetch_arrow_table()
                    expected = peer.sql(sql).to_arrow_table()
                    self.assertEqual([n.lower() for n in found.column_names], self.plain_names(expected, found))
                    # Ties may come in any order, so rows are compared as sets, and the first sort column in order.
                    self.assert_same_rows(as_rows(found), as_rows(expected), ordered=False)
                    if int(path.stem[1:]) not in UNORDERED and found.num_rows:
                        self.assert_same_order(sql, as_rows(found), as_rows(expected))

    @staticmethod
    def plain_names(expected, found):
        """DuckDB's names where the query gives one; engines name a bare expression as they like."""
        return [e.lower() if "(" not in e else f.lower() for e, f in zip(expected.column_names, found.column_names)]

    def assert_same_order(self, sql, found, expected):
        # Where all rows differ in the sort key both orders are the same row for row; ties only swap equal keys, which leaves each
        # single column sorted the same way if it leads. Comparing column by column as sequences finds which columns are in step.
        in_step = [all(map(close, a, b)) for a, b in zip(zip(*found), zip(*expected))]
        self.assertTrue(any(in_step), f"no column is in the order that ORDER BY asks for: {sql}")

    def test_row_counts_are_the_specifications(self):
        self.assertEqual(self.one("SELECT count(*) FROM tpch.nation"), 25)
        self.assertEqual(self.one("SELECT count(*) FROM tpch.orders"), round(1_500_000 * SCALE))
        # What dbgen makes at these scales.
        lineitem = {0.01: 60_175, 0.1: 600_572, 0.2: 1_199_969, 1: 6_001_215}[SCALE]
        self.assertEqual(self.one("SELECT count(*) FROM tpch.lineitem"), lineitem)

    def test_a_result_comes_as_a_stream_of_batches(self):
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT * FROM tpch.lineitem")
            rows = batches = 0
            for batch in cursor.fetch_record_batch():
                rows, batches = rows + batch.num_rows, batches + 1
        self.assertEqual(rows, self.one("SELECT count(*) FROM tpch.lineitem"))
        self.assertGreater(batches, 1)

    def test_a_result_left_half_read_does_no_harm(self):
        for _ in range(5):
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT * FROM tpch.lineitem")
                cursor.fetch_record_batch().read_next_batch()
        self.assertEqual(self.one("SELECT 1"), 1)

    def test_an_empty_result_keeps_its_schema(self):
        empty = self.ask("SELECT o_orderkey, o_comment FROM tpch.orders WHERE o_orderkey < 0")
        self.assertEqual((empty.num_rows, empty.column_names), (0, ["o_orderkey", "o_comment"]))
        self.assertEqual(empty.schema.field("o_orderkey").type, pa.int64())

    def test_types_survive_the_way(self):
        table = self.ask(
            """SELECT 1::TINYINT i8, 2::SMALLINT i16, 3::INT i32, 4::BIGINT i64, 5::BIGINT UNSIGNED u64, 1.5::REAL f32,
                      2.5::DOUBLE f64, true b, 'text' s, X'00ff' bin, 12.34::DECIMAL(10,2) d,
                      DATE '2024-02-29' day, TIME '12:34:56' tod, TIMESTAMP '2024-02-29 12:34:56.789' ts,
                      [1, 2, NULL] list, named_struct('a', 1, 'b', 'x') struct, NULL nothing"""
        )
        (row,) = table.to_pylist()
        self.assertEqual(
            [row[k] for k in ("i8", "i16", "i32", "i64", "u64", "f32", "f64", "b", "s", "bin")],
            [1, 2, 3, 4, 5, 1.5, 2.5, True, "text", b"\x00\xff"],
        )
        self.assertEqual(row["d"], decimal.Decimal("12.34"))
        self.assertEqual((row["day"], row["tod"]), (datetime.date(2024, 2, 29), datetime.time(12, 34, 56)))
        self.assertEqual(row["ts"].isoformat()[:23], "2024-02-29T12:34:56.789")
        self.assertEqual((row["list"], row["struct"], row["nothing"]), ([1, 2, None], {"a": 1, "b": "x"}, None))
        types = table.schema
        self.assertEqual(types.field("d").type, pa.decimal128(10, 2))
        self.assertEqual((types.field("s").type, types.field("bin").type), (pa.string(), pa.binary()))

    def test_many_connections_at_once(self):
        found = []

        def work():
            with connect() as connection, connection.cursor() as cursor:
                for _ in range(3):
                    cursor.execute("SELECT sum(l_quantity) FROM tpch.lineitem")
                    found.append(cursor.fetchone()[0])

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        self.assertEqual(len(found), 18)
        self.assertEqual(len(set(found)), 1)

    # Prepared statements

    def test_parameters(self):
        for sql in (
            "SELECT count(*) FROM tpch.orders WHERE o_orderkey < ? AND o_orderstatus = ?",
            "SELECT count(*) FROM tpch.orders WHERE o_orderkey < $1 AND o_orderstatus = $2",
        ):
            for key, status in [(1000, "F"), (5000, "O"), (-1, "F")]:
                literal = self.one(f"SELECT count(*) FROM tpch.orders WHERE o_orderkey < {key} AND o_orderstatus = '{status}'")
                self.assertEqual(self.one(sql, (key, status)), literal)
        self.assertEqual(self.one("SELECT count(*) FROM tpch.orders WHERE o_orderstatus = ?", (None,)), 0)

    def test_a_prepared_statement_runs_many_times(self):
        with self.connection.cursor() as cursor:
            for limit in (1, 7, 20, 7):
                cursor.execute("SELECT n_nationkey FROM tpch.nation WHERE n_nationkey < ? ORDER BY 1", (limit,))
                self.assertEqual([row[0] for row in cursor.fetchall()], list(range(limit)))

    def test_parameters_of_many_types(self):
        cases = [
            ("l_shipdate < ?", datetime.date(1993, 1, 1), "l_shipdate < DATE '1993-01-01'"),
            ("l_quantity > ?", decimal.Decimal("45.00"), "l_quantity > 45.00"),
            ("l_comment LIKE ?", "%fox%", "l_comment LIKE '%fox%'"),
            ("l_orderkey IN (?)", 1, "l_orderkey IN (1)"),
        ]
        for condition, parameter, literal in cases:
            with self.subTest(condition=condition):
                expected = self.one(f"SELECT count(*) FROM tpch.lineitem WHERE {literal}")
                self.assertEqual(self.one(f"SELECT count(*) FROM tpch.lineitem WHERE {condition}", (parameter,)), expected)

    def test_each_row_of_parameters_adds_its_rows(self):
        rows = pa.record_batch([pa.array([3, 1, 4, 2]), pa.array(["a", "b", "c", "d"])], names=["x", "y"])
        found = self.ask("SELECT CAST(? AS BIGINT) * 10 AS ten, CAST(? AS VARCHAR) AS word", rows)
        self.assertEqual(found.column("ten").to_pylist(), [30, 10, 40, 20])
        self.assertEqual(found.column("word").to_pylist(), ["a", "b", "c", "d"])

    def test_any_row_of_parameters_may_be_null(self):
        for values, expected in [([None, 3], [None, 30]), ([3, None], [30, None]), ([None, None], [None, None])]:
            rows = pa.record_batch([pa.array(values), pa.array(values, pa.int32())], names=["x", "y"])
            found = self.ask("SELECT CAST(? AS BIGINT) * 10 AS ten, coalesce(? * 10, -1) AS some", rows)
            self.assertEqual(found.column("ten").to_pylist(), expected)
            self.assertEqual(found.column("some").to_pylist(), [-1 if value is None else value for value in expected])

    def test_rows_with_nulls_are_inserted(self):
        self.run_script("DROP TABLE IF EXISTS with_nulls", "CREATE TABLE with_nulls (a BIGINT, b VARCHAR, c DOUBLE, d DATE)")
        day = datetime.date(2026, 11, 30)
        rows = [(None, None, None, None), (1, "x", 1.5, day), (2, None, None, None), (None, "y", 2.0, None)]
        with self.connection.cursor() as cursor:
            cursor.executemany("INSERT INTO with_nulls VALUES (?, ?, ?, ?)", rows)
            self.assertEqual(cursor.rowcount, len(rows))
            cursor.executemany("INSERT INTO with_nulls VALUES (?, ?, ?, ?)", [(None, None, None, None)])
        found = self.ask("SELECT * FROM with_nulls")
        self.assertEqual(sorted(zip(*found.to_pydict().values()), key=str), sorted([*rows, (None, None, None, None)], key=str))
        self.run_script("DROP TABLE with_nulls")

    def test_columns_of_a_result_may_share_a_name(self):
        found = self.ask("SELECT n_name, n_name, n_nationkey AS n_name FROM tpch.nation WHERE n_nationkey = 1")
        self.assertEqual(found.column_names, ["n_name", "n_name", "n_name"])
        self.assertEqual([column.to_pylist() for column in found.columns], [["ARGENTINA"], ["ARGENTINA"], [1]])

    def test_parameters_where_no_column_tells_their_type(self):
        for sql, parameters, expected in [
            ("SELECT count(*) FROM (SELECT * FROM tpch.nation LIMIT ?)", (7,), 7),
            ("SELECT substr('abcdef', ?, ?)", (2, 3), "bcd"),
            ("SELECT CASE WHEN ? > 1 THEN ? ELSE 'small' END", (2, "big"), "big"),
            ("SELECT ?", ("text",), "text"),
            ("SELECT ?", (5,), 5),
        ]:
            with self.subTest(sql=sql):
                self.assertEqual(self.one(sql, parameters), expected)

    def test_preparing_tells_the_schema_and_runs_nothing(self):
        with self.connection.cursor() as cursor:
            schema = cursor.adbc_execute_schema("SELECT n_name, n_nationkey FROM tpch.nation")
            self.assertEqual(schema.names, ["n_name", "n_nationkey"])
            parameters = cursor.adbc_prepare("SELECT n_name FROM tpch.nation WHERE n_nationkey = ?")
            self.assertEqual(len(parameters), 1)
            self.assertTrue(pa.types.is_integer(parameters.field(0).type), parameters)
            cursor.adbc_prepare("CREATE SCHEMA never_made")
        self.assertNotIn("never_made", self.schemas())

    # Metadata

    def schemas(self):
        found = self.connection.adbc_get_objects(depth="db_schemas").read_all().to_pylist()
        return {schema["db_schema_name"] for catalog in found for schema in catalog["catalog_db_schemas"]}

    def test_get_objects(self):
        self.assertIn("tpch", self.schemas())
        found = self.connection.adbc_get_objects(depth="all", db_schema_filter="tpch").read_all().to_pylist()
        tables = {
            table["table_name"]: table
            for catalog in found
            for schema in catalog["catalog_db_schemas"]
            for table in schema["db_schema_tables"]
        }
        self.assertEqual(sorted(tables), TABLES)
        columns = [column["column_name"] for column in tables["nation"]["table_columns"]]
        self.assertEqual(columns, ["n_nationkey", "n_name", "n_regionkey", "n_comment"])
        self.assertEqual(len(tables["lineitem"]["table_columns"]), 16)
        some = self.connection.adbc_get_objects(depth="tables", db_schema_filter="tpch", table_name_filter="part%")
        names = [t["table_name"] for c in some.read_all().to_pylist() for s in c["catalog_db_schemas"] for t in s["db_schema_tables"]]
        self.assertEqual(sorted(names), ["part", "partsupp"])

    def test_get_table_schema(self):
        schema = self.connection.adbc_get_table_schema("lineitem", db_schema_filter="tpch")
        self.assertEqual(len(schema), 16)
        self.assertEqual(schema.field("l_orderkey").type, pa.int64())
        self.assertTrue(pa.types.is_decimal(schema.field("l_extendedprice").type))
        self.assertEqual(schema.names, self.ask("SELECT * FROM tpch.lineitem LIMIT 0").column_names)

    def test_table_types_and_info(self):
        self.assertIn("TABLE", self.connection.adbc_get_table_types())
        info = self.connection.adbc_get_info()
        self.assertEqual(info["vendor_name"], "Quarry")
        self.assertTrue(info["vendor_version"])

    def test_current_schema(self):
        with connect() as connection, connection.cursor() as cursor:
            self.assertIsInstance(connection.adbc_current_catalog, str)
            connection.adbc_current_db_schema = "tpch"
            self.assertEqual(connection.adbc_current_db_schema, "tpch")
            cursor.execute("SELECT count(*) FROM region")
            self.assertEqual(cursor.fetchone(), (5,))

    # Statements without rows

    def test_ddl_runs_without_fetching(self):
        with self.connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA adbc_ddl")
        self.assertIn("adbc_ddl", self.schemas())
        with self.connection.cursor() as cursor:
            # Once: the second must find the schema of the first.
            with self.assertRaises(adbc_driver_manager.Error) as failure:
                cursor.execute("CREATE SCHEMA adbc_ddl")
        self.assertEqual(failure.exception.status_code, adbc_driver_manager.AdbcStatusCode.ALREADY_EXISTS)
        ran = "SELECT count(*) FROM system.queries WHERE sql = 'CREATE SCHEMA adbc_ddl'"
        self.assertEqual(self.one(ran), 2)
        self.run_script("CREATE VIEW adbc_ddl.big AS SELECT * FROM tpch.orders WHERE o_totalprice > 300000")
        expected = self.one("SELECT count(*) FROM tpch.orders WHERE o_totalprice > 300000")
        self.assertGreater(expected, 0)
        self.assertEqual(self.one("SELECT count(*) FROM adbc_ddl.big"), expected)
        with self.assertRaises(adbc_driver_manager.Error):
            self.run_script("CREATE VIEW adbc_ddl.big AS SELECT 1")
        self.run_script("DROP VIEW adbc_ddl.big", "DROP SCHEMA adbc_ddl")
        self.assertNotIn("adbc_ddl", self.schemas())

    # Errors and cancelling

    def assert_fails(self, sql, *words):
        with self.assertRaises(adbc_driver_manager.Error) as failure:
            self.ask(sql)
        for word in words:
            self.assertIn(word, str(failure.exception))
        return failure.exception

    def test_a_data_frame_becomes_a_table(self):
        with connect() as connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS ingested")
            frame = pd.DataFrame({"id": range(5000), "name": [f"n{i % 7}" for i in range(5000)], "x": [i / 4 for i in range(5000)]})
            rows = pa.Table.from_pandas(frame, preserve_index=False)
            self.assertEqual(cursor.adbc_ingest("ingested", rows, mode="create"), 5000)
            self.assertEqual(cursor.adbc_ingest("ingested", rows, mode="append"), 5000)
            cursor.execute("SELECT count(*), count(DISTINCT id), sum(x), max(name) FROM ingested")
            self.assertEqual(cursor.fetchone(), (10000, 5000, 2 * sum(range(5000)) / 4, "n6"))
            self.assertEqual(cursor.adbc_ingest("ingested", rows.slice(0, 10), mode="replace"), 10)
            cursor.execute("SELECT count(*) FROM ingested")
            self.assertEqual(cursor.fetchone(), (10,))
            with self.assertRaises(adbc_driver_manager.ProgrammingError):
                cursor.adbc_ingest("ingested", rows, mode="create")
            cursor.execute("DROP TABLE ingested")

    def test_executemany_inserts_every_row(self):
        with connect() as connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS many")
            cursor.execute("CREATE TABLE many (id BIGINT, name VARCHAR)")
            cursor.executemany("INSERT INTO many VALUES (?, ?)", [(i, f"name {i}") for i in range(50)] + [(50, None)])
            cursor.execute("SELECT count(*), sum(id), count(name) FROM many")
            self.assertEqual(cursor.fetchone(), (51, sum(range(51)), 50))
            cursor.execute("DROP TABLE many")

    def test_errors_say_what_and_where(self):
        self.assert_fails("SELECT * FROM tpch.no_such_table", "no_such_table")
        self.assert_fails("SELECT no_such_column FROM tpch.nation", "no_such_column")
        self.assert_fails("SELECT count(* FROM tpch.nation", "FROM", "Line: 1")
        self.assert_fails("SELECT n_name,\n  no_such_column FROM tpch.nation", "Line: 2, Column: 3")
        self.assert_fails("SELEC 1", "SELEC")
        self.assert_fails("SELECT no_such_function(1)", "no_such_function")
        self.assert_fails("SELECT 'abc'::INT", "abc")
        self.assert_fails("SELECT n_nationkey / (n_nationkey - n_nationkey) FROM tpch.nation", "ivide by zero")
        self.assert_fails("")
        self.assertEqual(self.one("SELECT 1"), 1)

    def test_errors_carry_their_kind(self):
        missing = self.assert_fails("SELECT * FROM tpch.no_such_table")
        self.assertEqual(missing.status_code, adbc_driver_manager.AdbcStatusCode.NOT_FOUND)
        wrong = self.assert_fails("SELEC 1")
        self.assertEqual(wrong.status_code, adbc_driver_manager.AdbcStatusCode.INVALID_ARGUMENT)

    def test_cancel_ends_a_long_query_soon(self):
        endless = "SELECT sum(a.l_quantity * b.l_quantity * c.l_quantity) FROM tpch.lineitem a, tpch.lineitem b, tpch.lineitem c"
        with self.connection.cursor() as cursor:
            threading.Timer(1.0, cursor.adbc_cancel).start()
            started = time.monotonic()
            with self.assertRaises(adbc_driver_manager.Error):
                cursor.execute(endless)
                cursor.fetch_arrow_table()
            self.assertLess(time.monotonic() - started, 20)
        started = time.monotonic()
        self.assertEqual(self.one("SELECT count(*) FROM tpch.region"), 5)
        self.assertLess(time.monotonic() - started, 20)

    # Explaining

    def test_explain_analyze_shows_scans_on_every_worker_and_what_was_local(self):
        sql = QUERIES[0].read_text()
        with connect() as session, session.cursor() as cursor:
            session.adbc_current_db_schema = "tpch"
            cursor.execute("EXPLAIN ANALYZE " + sql)
            text = "\n".join(str(value) for row in cursor.fetchall() for value in row)
        self.assertIn("lineitem", text)
        for worker in WORKERS:
            self.assertIn(worker, text)
        local_share = re.search(r"total: .*local share ([0-9.]+) %", text)
        self.assertGreaterEqual(float(local_share[1]), 95, text)


if __name__ == "__main__":
    unittest.main()
