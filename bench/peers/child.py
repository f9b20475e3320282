#!/usr/bin/env python3
"""One library in a process of its own: child.py LIBRARY SET_FOLDER BUILD_THREADS.

Builds, prints one JSON line about that, then answers each JSON line of standard input, {"effort": int, "threads": int}, with
{"recall", "qps", "p50_us", "p99_us", "cpu_us", "batched"}; of "threads": 0 with the recall alone. QPS is the better of single calls in a
loop, a thread each, and of batched calls; the percentiles are of the single calls. The memory is what building added.
"""

from __future__ import annotations

import ctypes
import importlib
import itertools
import json
import pathlib
import sys
import threading
import time
from typing import Callable

import numpy as np
from libraries import K, LIBRARIES, Library

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "data"))

from vecs import read_vecs, unit  # noqa: E402

LEAST_S = 0.7  # each loop goes on for at least that long
SWITCH_S = 0.0005  # between Python threads: the default of 5 ms would show as the 99th percentile


def anonymous_bytes() -> int:
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    text = pathlib.Path("/proc/self/smaps_rollup").read_text()
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Anonymous:"))


def recall(found: list[np.ndarray], truth: np.ndarray) -> float:
    return float(np.mean([len(set(map(int, f[:K])) & set(t[:K].tolist())) / K for f, t in zip(found, truth)]))


def single_calls(library: Library, queries: np.ndarray, threads: int) -> list[float]:
    """Every latency in seconds."""
    took: list[list[float]] = [[] for _ in range(threads)]
    end = time.perf_counter() + LEAST_S

    def loop(mine: list[float], at: int) -> None:
        while True:
            began = time.perf_counter()
            library.one(queries[at % len(queries)])
            now = time.perf_counter()
            mine.append(now - began)
            at += threads
            if now >= end:
                return

    workers = [threading.Thread(target=loop, args=(took[t], t)) for t in range(1, threads)]
    for worker in workers:
        worker.start()
    loop(took[0], 0)
    for worker in workers:
        worker.join()
    return list(itertools.chain(*took))


def batched_calls(library: Library, queries: np.ndarray) -> int:
    """How many queries were answered."""
    done, end = 0, time.perf_counter() + LEAST_S
    while library.many is not None and time.perf_counter() < end:
        library.many(queries)
        done += len(queries)
    return done


def rate(work: Callable[[], int]) -> dict:
    cpu, began = time.process_time(), time.perf_counter()
    done = work()
    return {"qps": done / (time.perf_counter() - began), "cpu_us": (time.process_time() - cpu) / max(done, 1) * 1e6}


def measure(library: Library, queries: np.ndarray, threads: int) -> dict:
    took: list[float] = []
    library.set_threads(1)
    single = rate(lambda: took.extend(single_calls(library, queries, threads)) or len(took))
    library.set_threads(threads)
    batched = rate(lambda: batched_calls(library, queries))
    p50, p99 = np.percentile(took, [50, 99]) * 1e6
    better = batched if batched["qps"] > single["qps"] else single
    return {**better, "p50_us": p50, "p99_us": p99, "batched": better is batched}


def answer(library: Library, queries: np.ndarray, truth: np.ndarray, effort: int, threads: int) -> dict:
    library.set_effort(effort)
    if threads == 0:
        library.set_threads(1)
        return {"effort": effort, "recall": recall([library.one(query) for query in queries], truth)}
    return {"effort": effort, **measure(library, queries, threads)}


def load(folder: pathlib.Path, name: str) -> np.ndarray:
    return np.ascontiguousarray(unit(np.asarray(read_vecs(folder / name))), np.float32)


def main() -> None:
    name, folder, threads = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    sys.setswitchinterval(SWITCH_S)
    importlib.import_module(LIBRARIES[name][1])
    library = LIBRARIES[name][2]()
    queries, truth = load(folder, "query.fvecs"), np.asarray(read_vecs(folder / "truth.ivecs", "<i4"))
    before = anonymous_bytes()
    base = load(folder, "base.fvecs")
    rows, dimension = base.shape
    began = time.perf_counter()
    library.build(base, threads)
    seconds = time.perf_counter() - began
    del base
    print(json.dumps({"build_s": seconds, "anon_bytes": anonymous_bytes() - before, "rows": rows, "dimension": dimension, "about": library.about,
                      "efforts": library.efforts}), flush=True)
    for line in sys.stdin:
        wish = json.loads(line)
        print(json.dumps(answer(library, queries, truth, wish["effort"], wish["threads"])), flush=True)


if __name__ == "__main__":
    main()
