"""Other programs' readers of one collection's Delta table: each gives the live rows as {document_id: value}."""

from __future__ import annotations

import functools
import json
import pathlib
import subprocess
import sys
from typing import Callable

import duckdb
import duckdb_extension_delta
import polars
from deltalake import DeltaTable, QueryBuilder

Rows = dict[str, object]
Reader = Callable[[str, int, str], Rows]


def table_folder(data: pathlib.Path, collection: str) -> str:
    """The collection's folder under a server's data folder."""
    [folder] = (data / "objects").glob(f"*/*/{collection}/_delta_log")
    return str(folder.parent)


def newest_version(table: str) -> int:
    return max(int(entry.stem) for entry in pathlib.Path(table, "_delta_log").glob("*.json") if entry.stem.isdigit())


def duckdb_connection() -> duckdb.DuckDBPyConnection:
    """With the extension out of its wheel: nothing is fetched."""
    [extension] = (pathlib.Path(duckdb_extension_delta.__file__).parent / "extensions").glob("*/delta.duckdb_extension")
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    connection.execute(f"LOAD '{extension}'")
    return connection


def saw_half_a_listing(error: Exception) -> bool:
    """Listing a folder while commits arrive may show a later one and not an earlier one: the reader's look at the log, not the log, has a gap."""
    return "found gap" in str(error)


def whole(read: Reader) -> Reader:
    """Looks again where a reader saw half a listing; a gap that is there fails after all."""

    @functools.wraps(read)
    def again(table: str, version: int, column: str) -> Rows:
        for _ in range(50):
            try:
                return read(table, version, column)
            except Exception as error:  # noqa: BLE001 -- each reader has its own
                if not saw_half_a_listing(error):
                    raise
        return read(table, version, column)

    return again


@whole
def read_duckdb(table: str, version: int, column: str) -> Rows:
    rows = duckdb_connection().execute(f'SELECT document_id, "{column}" FROM delta_scan(?, version => ?)', [table, version]).fetchall()
    return unique(rows)


@whole
def read_polars(table: str, version: int, column: str) -> Rows:
    return unique(polars.scan_delta(table, version=version).select("document_id", column).collect().rows())


@whole
def read_deltalake(table: str, version: int, column: str) -> Rows:
    found = QueryBuilder().register("t", DeltaTable(table, version=version)).execute(f'SELECT document_id, "{column}" FROM t').read_all()
    return unique(list(zip(found["document_id"].to_pylist(), found[column].to_pylist())))


def unique(rows: list[tuple]) -> Rows:
    out = dict(rows)
    assert len(out) == len(rows), "a document_id is there twice"
    return out


READERS: dict[str, Reader] = {"duckdb": read_duckdb, "polars": read_polars, "deltalake": read_deltalake}


def operations(table: str) -> str:
    """The text of every log entry that is still there."""
    return "\n".join(entry.read_text() for entry in sorted(pathlib.Path(table, "_delta_log").glob("*.json")))


SPARK_JARS = pathlib.Path(__file__).resolve().parents[2] / ".deps" / "spark"  # put there by tools/setup/spark.sh


def read_spark(table: str, version: int, columns: list[str]) -> dict[str, list]:
    """Through PySpark and Delta's own library for it; in a process of its own, as the JVM stays."""
    script = """
import json, sys
from pyspark.sql import SparkSession
table, version, columns, jars = json.loads(sys.argv[1])
spark = (SparkSession.builder.master("local[1]").config("spark.jars", jars).config("spark.ui.enabled", "false")
         .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1").config("spark.driver.memory", "1g")
         .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
         .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog").getOrCreate())
rows = spark.read.format("delta").option("versionAsOf", version).load(table).select("document_id", *columns).collect()
print("ROWS " + json.dumps([[r[0], [r[i + 1] for i in range(len(columns))]] for r in rows]))
spark.stop()
"""
    argument = json.dumps([table, version, columns, ",".join(str(jar) for jar in sorted(SPARK_JARS.glob("*.jar")))])
    done = subprocess.run([sys.executable, "-c", script, argument], capture_output=True, text=True, timeout=600)
    [line] = [line for line in done.stdout.splitlines() if line.startswith("ROWS ")] or [None]
    assert line, done.stderr[:6000]
    found = json.loads(line[5:])
    assert len({key for key, _ in found}) == len(found), "a document_id is there twice"
    return dict(found)
