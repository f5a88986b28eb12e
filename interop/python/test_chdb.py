"""ClickHouse, in this process (chDB), on Quarry's file system through its libhdfs3: the table function hdfs().

Needs QUARRY_NAMENODE, HOST:PORT of the NameNode's RPC service.
"""

import os
import unittest

import chdb

BASE = f"hdfs://quarry@{os.environ['QUARRY_NAMENODE']}/chdb"
ROWS = 300_000


def ask(sql):
    return str(chdb.query(sql, "TabSeparated")).strip()


class ChDb(unittest.TestCase):
    def write(self, name, form, rows=ROWS, settings=""):
        ask(
            f"INSERT INTO FUNCTION hdfs('{BASE}/{name}', '{form}', 'n UInt64, k UInt8, s String') "
            f"{settings} SELECT number, number % 7, hex(sipHash64(number)) FROM numbers({rows})"
        )

    def check(self, name, form, rows=ROWS):
        found = ask(f"SELECT count(), sum(n), sum(k), sum(cityHash64(s)) FROM hdfs('{BASE}/{name}', '{form}', 'n UInt64, k UInt8, s String')")
        expected = ask(f"SELECT count(), sum(number), sum(number % 7), sum(cityHash64(hex(sipHash64(number)))) FROM numbers({rows})")
        self.assertEqual(found, expected)

    def test_parquet_is_written_and_read(self):
        self.write("a.parquet", "Parquet")
        self.check("a.parquet", "Parquet")

    def test_text_is_written_and_read(self):
        self.write("a.csv", "CSV")
        self.check("a.csv", "CSV")

    def test_a_compressed_file(self):
        self.write("a.tsv.gz", "TSV", rows=50_000)
        self.check("a.tsv.gz", "TSV", rows=50_000)

    def test_many_files_by_a_pattern(self):
        for i in range(5):
            self.write(f"many/part{i}.parquet", "Parquet", rows=1_000)
        self.assertEqual(ask(f"SELECT count(), uniqExact(_file) FROM hdfs('{BASE}/many/part*.parquet', 'Parquet', 'n UInt64')"), "5000\t5")
        self.assertEqual(ask(f"SELECT count() FROM hdfs('{BASE}/many/part{{1,3}}.parquet', 'Parquet', 'n UInt64')"), "2000")

    def test_the_schema_is_found(self):
        self.write("schema.parquet", "Parquet", rows=10)
        columns = ask(f"DESCRIBE TABLE hdfs('{BASE}/schema.parquet')").splitlines()
        self.assertEqual([column.split()[0] for column in columns], ["n", "k", "s"])

    def test_an_existing_file_is_refused_or_overwritten_as_told(self):
        self.write("twice.parquet", "Parquet", rows=10)
        with self.assertRaises(Exception):
            self.write("twice.parquet", "Parquet", rows=20)
        self.check("twice.parquet", "Parquet", rows=10)
        self.write("twice.parquet", "Parquet", rows=20, settings="SETTINGS hdfs_truncate_on_insert = 1")
        self.check("twice.parquet", "Parquet", rows=20)

    def test_a_missing_file_is_named(self):
        with self.assertRaises(Exception) as failure:
            ask(f"SELECT count() FROM hdfs('{BASE}/absent.parquet', 'Parquet', 'n UInt64')")
        self.assertIn("absent.parquet", str(failure.exception))

    def test_a_file_of_another_writer(self):
        """Of the test that starts this: numbers.csv with 0..99999."""
        self.assertEqual(ask(f"SELECT count(), sum(n) FROM hdfs('{BASE}/../given/numbers.csv', 'CSV', 'n UInt64')".replace("/chdb/..", "")), "100000\t4999950000")


if __name__ == "__main__":
    unittest.main()
