#!/usr/bin/env python3
"""LanceDB, which is a library, with a closed loop of threads around it: lance_load.py FOLDER; JSON lines in and out, see served.py."""

from __future__ import annotations

import json
import sys
import threading
import time

import lancedb
import numpy as np
import pyarrow as pa

K, REFINE = 10, 10


def load(database, wish: dict):
    base = np.load(wish["base"])
    filters = np.load(wish["filters"])
    columns = {"n": pa.array(np.arange(len(base))), "v": pa.FixedSizeListArray.from_arrays(pa.array(base.reshape(-1)), base.shape[1])}
    for field in filters.files:
        columns[field] = pa.array(np.where(filters[field], "in", "out"))
    table = database.create_table("items", pa.table(columns))
    table.create_index(metric="cosine", num_partitions=int(len(base) ** 0.5), num_sub_vectors=base.shape[1] // 4, vector_column_name="v")
    for field in filters.files:
        table.create_scalar_index(field, index_type="BITMAP")
    return table


def search(table, wish: dict) -> dict:
    queries = np.load(wish["queries"])
    ids: list[list[int] | None] = [None] * len(queries)
    took: list[float] = []
    errors: list[str] = []
    lock = threading.Lock()
    began = time.perf_counter()
    end, at = began + wish["seconds"], iter(range(1 << 62))

    def client() -> None:
        while time.perf_counter() < end:
            with lock:
                number = next(at) % len(queries)
            start = time.perf_counter()
            try:
                asked = table.search(queries[number], vector_column_name="v").distance_type("cosine").nprobes(wish["effort"]).refine_factor(REFINE)
                if wish["field"]:
                    asked = asked.where(f"{wish['field']} = 'in'", prefilter=True)
                found = asked.select(["n"]).limit(K).to_arrow()["n"].to_pylist()
            except Exception as failure:  # noqa: BLE001 -- counted, and the first one told
                errors.append(str(failure))
                continue
            took.append((time.perf_counter() - start) * 1e3)
            ids[number] = found

    threads = [threading.Thread(target=client) for _ in range(wish["clients"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    p50, p99 = np.percentile(took, [50, 99]) if took else (0, 0)
    report = {"requests": len(took), "seconds": seconds, "qps": len(took) / seconds, "p50_ms": p50, "p99_ms": p99, "max_ms": max(took, default=0),
              "errors": len(errors), "first_error": errors[0] if errors else ""}
    return {"report": report, "ids": ids}


def main() -> None:
    database = lancedb.connect(sys.argv[1])
    table = None
    print("{}", flush=True)
    for line in sys.stdin:
        wish = json.loads(line)
        if wish["do"] == "load":
            table = load(database, wish)
            print("{}", flush=True)
        else:
            print(json.dumps(search(table, wish)), flush=True)


if __name__ == "__main__":
    main()
