# Trino: a server of one node, below this process, asked over its HTTP protocol. After `serve.py`.
import collections
import ctypes
import http.client
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading

HEAP = "8g"
# A Hive table of Parquet files must be told its columns.
COLUMNS = {
    "nation": "n_nationkey bigint, n_name varchar, n_regionkey bigint, n_comment varchar",
    "region": "r_regionkey bigint, r_name varchar, r_comment varchar",
    "part": """p_partkey bigint, p_name varchar, p_mfgr varchar, p_brand varchar, p_type varchar, p_size integer, p_container varchar,
        p_retailprice decimal(15, 2), p_comment varchar""",
    "supplier": """s_suppkey bigint, s_name varchar, s_address varchar, s_nationkey bigint, s_phone varchar, s_acctbal decimal(15, 2),
        s_comment varchar""",
    "partsupp": "ps_partkey bigint, ps_suppkey bigint, ps_availqty integer, ps_supplycost decimal(15, 2), ps_comment varchar",
    "customer": """c_custkey bigint, c_name varchar, c_address varchar, c_nationkey bigint, c_phone varchar, c_acctbal decimal(15, 2),
        c_mktsegment varchar, c_comment varchar""",
    "orders": """o_orderkey bigint, o_custkey bigint, o_orderstatus varchar, o_totalprice decimal(15, 2), o_orderdate date,
        o_orderpriority varchar, o_clerk varchar, o_shippriority integer, o_comment varchar""",
    "lineitem": """l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber integer, l_quantity decimal(15, 2),
        l_extendedprice decimal(15, 2), l_discount decimal(15, 2), l_tax decimal(15, 2), l_returnflag varchar, l_linestatus varchar,
        l_shipdate date, l_commitdate date, l_receiptdate date, l_shipinstruct varchar, l_shipmode varchar, l_comment varchar""",
}
# One query at a time: most of the heap is for it, not the third that is the default.
CONFIG = """coordinator=true
node-scheduler.include-coordinator=true
http-server.http.port={port}
discovery.uri=http://127.0.0.1:{port}
query.max-memory-per-node=5GB
memory.heap-headroom-per-node=2GB
plugin.dir={home}/plugin
catalog.config-dir={home}/catalog
"""
# The catalogue is below the server's own folder, the data where it is: both by paths of this machine.
CATALOG = """connector.name=hive
hive.metastore=file
hive.metastore.catalog.dir=local://{home}/metastore
fs.native-local.enabled=true
local.location=/
"""
JVM = [
    f"-Xmx{HEAP}",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:ReservedCodeCacheSize=512M",
    f"-XX:ActiveProcessorCount={threads}",
    "-Djdk.attach.allowAttachSelf=true",
    "-Dfile.encoding=UTF-8",
    "--add-modules=jdk.incubator.vector",
    "--sun-misc-unsafe-memory-access=allow",
]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def start(server, home, port):
    """Starts the server of the folder `server`, with its files in `home`, and waits until it says that it is there."""
    for folder in ["plugin", "catalog", "metastore", "data"]:
        (home / folder).mkdir()
    # Each plug-in costs time and memory: only the one that reads Parquet files.
    (home / "plugin/hive").symlink_to(server / "plugin/hive")
    (home / "config.properties").write_text(CONFIG.format(port=port, home=home))
    (home / "catalog/hive.properties").write_text(CATALOG.format(home=home))
    java = pathlib.Path(os.environ["JAVA_HOME"], "bin/java") if "JAVA_HOME" in os.environ else "java"
    properties = {
        "node.environment": "benchmark",
        "node.data-dir": home / "data",
        "config": home / "config.properties",
    }
    command = [java, *JVM, *(f"-D{key}={value}" for key, value in properties.items())]
    command += ["-cp", f"{server}/lib/*", "io.trino.server.TrinoServer"]
    process = subprocess.Popen(
        command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=die_with_parent
    )
    log = collections.deque(maxlen=30)
    for line in process.stdout:
        log.append(line.decode(errors="replace"))
        if b"SERVER STARTED" in line:
            return process
    sys.exit("Trino ended before it was there:\n" + "".join(log))


class Session:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port)

    def call(self, method, path, body=None):
        headers = {"X-Trino-User": "benchmark", "X-Trino-Catalog": "hive", "X-Trino-Schema": "tpch"}
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"status {answer.status}: {text[:200]}")
        return json.loads(text)

    def fetch(self, sql):
        """All rows of a statement."""
        rows = []
        answer = self.call("POST", "/v1/statement", sql.encode())
        while True:
            if "error" in answer:
                raise RuntimeError(answer["error"]["message"])
            rows += answer.get("data", [])
            if "nextUri" not in answer:
                return rows
            answer = self.call("GET", re.sub("^http://[^/]*", "", answer["nextUri"]))

    def fetch_once_there(self, sql):
        """All rows of the first statement that reads: a server that says that it started may still not know its own node's catalogues."""
        end = time.monotonic() + 60
        while True:
            try:
                return self.fetch(sql)
            except RuntimeError as error:
                if "No nodes available" not in str(error) or time.monotonic() > end:
                    raise
                time.sleep(0.2)


with tempfile.TemporaryDirectory(prefix="quarry-bench-trino-") as home:
    server, home, port = pathlib.Path(os.environ["ENGINE_HOME"]).resolve(), pathlib.Path(home), free_port()
    process = start(server, home, port)
    # What it logs from now on is for nobody, but must not fill the pipe.
    threading.Thread(target=lambda: collections.deque(process.stdout, 0), daemon=True).start()
    session = Session(port)
    session.fetch("create schema hive.tpch")
    for table in tables:
        location = f"local://{pathlib.Path(files).resolve()}/{table}"
        session.fetch(f"create table {table} ({COLUMNS[table]}) with (external_location = '{location}', format = 'PARQUET')")
        # Its planner takes statistics from the catalogue, not from the files.
        session.fetch_once_there(f"analyze {table}")
    version = session.fetch("select node_version from system.runtime.nodes")[0][0]
    try:
        serve(f"{version}, one node, {threads} threads, heap {HEAP}, tables analysed", session.fetch)
    finally:
        process.kill()
        process.wait()
