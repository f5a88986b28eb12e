"""PySpark on Quarry's file system, by the Hadoop client that it brings along.

Needs QUARRY_NAMENODE, HOST:PORT of the NameNode's RPC service, and QUARRY_TABLE, the folder of a Parquet table that Quarry wrote, with
QUARRY_TABLE_ANSWER, "count,sum of keys,sum of quantities" as Quarry's SQL gives them.
"""

import os
import unittest

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

SERVER = f"hdfs://{os.environ['QUARRY_NAMENODE']}"
BASE = f"{SERVER}/spark"
ROWS = 20_000


class Spark(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        builder = SparkSession.builder.master("local[2]").appName("interop")
        settings = {
            "spark.ui.enabled": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.shuffle.partitions": "2",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.warehouse.dir": f"{BASE}/warehouse",
        }
        for key, value in settings.items():
            builder = builder.config(key, value)
        cls.spark = builder.getOrCreate()
        cls.spark.sparkContext.setLogLevel("ERROR")
        cls.rows = cls.spark.range(ROWS).select(
            "id", (F.col("id") % 5).alias("k"), F.md5(F.col("id").cast("string")).alias("s"), (F.col("id") / 7).alias("f")
        )

    @classmethod
    def tearDownClass(cls):
        cls.spark.stop()

    def summary(self, frame):
        row = frame.agg(F.count("*"), F.sum("id"), F.sum(F.crc32(F.col("s"))), F.countDistinct("s")).first()
        return tuple(row)

    def names(self, folder):
        """The files of a folder, as Hadoop's client lists them."""
        path = self.spark._jvm.org.apache.hadoop.fs.Path(f"{BASE}/{folder}")
        fs = path.getFileSystem(self.spark._jsc.hadoopConfiguration())
        return sorted(status.getPath().getName() for status in fs.listStatus(path))

    def test_parquet_written_is_read(self):
        self.rows.repartition(3).write.parquet(f"{BASE}/written")
        self.assertEqual(self.summary(self.spark.read.parquet(f"{BASE}/written")), self.summary(self.rows))
        names = self.names("written")
        self.assertIn("_SUCCESS", names)
        self.assertEqual(sum(name.endswith(".parquet") for name in names), 3)
        self.assertNotIn("_temporary", names)

    def test_append_adds(self):
        self.rows.write.parquet(f"{BASE}/appended")
        self.rows.write.mode("append").parquet(f"{BASE}/appended")
        read = self.spark.read.parquet(f"{BASE}/appended")
        self.assertEqual(read.count(), 2 * ROWS)
        self.assertEqual(read.agg(F.sum("id")).first()[0], ROWS * (ROWS - 1))

    def test_partitions_become_folders_and_are_pruned(self):
        self.rows.write.partitionBy("k").parquet(f"{BASE}/partitioned")
        self.assertEqual([name for name in self.names("partitioned") if name != "_SUCCESS"], [f"k={k}" for k in range(5)])
        read = self.spark.read.parquet(f"{BASE}/partitioned")
        self.assertEqual(self.summary(read), self.summary(self.rows))
        self.assertEqual(read.where("k = 3").count(), ROWS // 5)
        self.assertEqual(len(read.where("k = 3").inputFiles()) > 0, True)

    def test_overwrite_replaces_all_or_one_partition(self):
        self.rows.write.parquet(f"{BASE}/overwritten")
        with self.assertRaises(Exception):
            self.rows.write.mode("error").parquet(f"{BASE}/overwritten")
        self.rows.where("id < 10").write.mode("overwrite").parquet(f"{BASE}/overwritten")
        self.assertEqual(self.spark.read.parquet(f"{BASE}/overwritten").count(), 10)
        target = f"{BASE}/dynamic"
        self.rows.write.partitionBy("k").parquet(target)
        few = self.rows.where("k = 2 AND id < 100")
        few.write.mode("overwrite").option("partitionOverwriteMode", "dynamic").partitionBy("k").parquet(target)
        read = self.spark.read.parquet(target)
        self.assertEqual(read.where("k = 2").count(), 20)
        self.assertEqual(read.count(), ROWS - ROWS // 5 + 20)

    def test_text_and_json(self):
        self.rows.select("s").write.text(f"{BASE}/text")
        self.assertEqual(self.spark.read.text(f"{BASE}/text").distinct().count(), ROWS)
        self.rows.write.json(f"{BASE}/json")
        self.assertEqual(self.spark.read.json(f"{BASE}/json").agg(F.sum("id")).first()[0], ROWS * (ROWS - 1) // 2)

    def test_a_table_that_quarry_wrote(self):
        table = self.spark.read.parquet(f"{SERVER}{os.environ['QUARRY_TABLE']}")
        row = table.agg(F.count("*"), F.sum("l_orderkey"), F.sum("l_quantity")).first()
        count, keys, quantity = os.environ["QUARRY_TABLE_ANSWER"].split(",")
        self.assertEqual((row[0], row[1]), (int(count), int(keys)))
        self.assertAlmostEqual(float(row[2]), float(quantity), places=2)


if __name__ == "__main__":
    unittest.main()
