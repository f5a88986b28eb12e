# Apache Spark: its driver and executor in one JVM. After `serve.py`.
import pyspark
from pyspark.sql import SparkSession

HEAP = "8g"
# Of so little data a shuffle needs no 200 partitions, which is the default.
SHUFFLE_PARTITIONS = 2 * threads

builder = SparkSession.builder.master(f"local[{threads}]")
for key, value in {
    "spark.driver.memory": HEAP,
    "spark.sql.shuffle.partitions": SHUFFLE_PARTITIONS,
    "spark.ui.enabled": False,
    "spark.ui.showConsoleProgress": False,
    "spark.log.level": "ERROR",
}.items():
    builder = builder.config(key, value)
spark = builder.getOrCreate()
for table in tables:
    spark.read.parquet(f"{files}/{table}").createOrReplaceTempView(table)
java = spark.sparkContext._jvm.System.getProperty("java.version")
version = f"{pyspark.__version__}, local[{threads}], {SHUFFLE_PARTITIONS} shuffle partitions, heap {HEAP}, Java {java}"
serve(version, lambda sql: spark.sql(sql).collect())
