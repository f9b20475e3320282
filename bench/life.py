"""A server over its life, alone: bursts of writes under search, restarts, churn of small writes, growth. --scale shrinks or stretches them."""

from __future__ import annotations

import json
import pathlib
import random
import signal
import stat
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from harness import BIN, OPTIONS, ROOT, anonymous_kib, bench, build_targets, row, say, scratch, vector_set

sys.path[:0] = [str(ROOT / "bench/peers"), str(ROOT / "bench/data")]

from served import BATCH, K, Quarry, create_namespace, make_retriever, upsert  # noqa: E402
from servers import recall  # noqa: E402
from truth import nearest  # noqa: E402
from vecs import read_vecs  # noqa: E402

WRITERS = 4
IDLE_S = 10.0
SETTLE_S = 600
TAIL_ROWS = 1_024  # a table leaves so many out of its graph until there are more
QUERIES = 200


class Subject:
    """A server with a namespace, its rows, and a search load."""

    def __init__(self, folder: pathlib.Path, base: np.ndarray, queries: np.ndarray, env: dict[str, str]):
        self.base, self.queries, self.rows = base, queries, 0
        self.quarry = Quarry(folder / "server")
        self.quarry.env = env
        self.quarry.start()
        create_namespace(self.quarry.ok, base.shape[1])
        self.quarry.retrievers = {None: make_retriever(self.quarry.ok, None)}

    def grow(self, rows: int) -> float:
        """Upserts the next rows, WRITERS requests at a time; seconds."""
        began = time.perf_counter()
        starts = range(self.rows, rows, BATCH)
        with ThreadPoolExecutor(WRITERS) as writers:
            list(writers.map(lambda first: upsert(self.quarry.ok, np.asarray(self.base[first : min(rows, first + BATCH)]), first), starts))
        self.rows = rows
        return time.perf_counter() - began

    def settle(self) -> float:
        """Seconds until the rows are in the graph."""
        began = time.perf_counter()
        while (behind := self.gauge("quarry_mvs_index_backlog_rows")) > TAIL_ROWS:
            if time.perf_counter() - began > SETTLE_S:
                raise RuntimeError(f"{behind} rows are not indexed after {SETTLE_S} s")
            time.sleep(0.2)
        return time.perf_counter() - began

    def gauge(self, name: str) -> int:
        metrics = self.quarry.pool.request("GET", f"http://127.0.0.1:{self.quarry.port}/metrics").data.decode()
        return int(next(line.split()[1] for line in metrics.splitlines() if line.startswith(name + " ")))

    def search(self, clients: int, seconds: float) -> tuple[dict, list[list[int] | None]]:
        report, found = self.quarry.measure(self.queries, 0, clients, seconds, None)
        if report["errors"]:
            raise RuntimeError(f"{report['errors']} searches failed: {report['first_error']}")
        return report, found

    @contextmanager
    def searching(self, clients: int) -> Iterator[list[dict]]:
        """Searches all the while; the report is in the list afterwards."""
        requests = self.quarry.folder / "requests.jsonl"  # as the last search left it
        headers = [part for header in self.quarry.headers for part in ("--header", header)]
        command = [str(BIN / "bench-load"), "--port", str(self.quarry.port), "--requests", str(requests), "--clients", str(clients), "--seconds", "3600", *headers]
        load = subprocess.Popen([*command, "--expect", self.quarry.expect, "--count", str(K)], stdout=subprocess.PIPE, text=True)
        report: list[dict] = []
        try:
            yield report
        finally:
            load.send_signal(signal.SIGTERM)
            report.append(json.loads(load.communicate(timeout=120)[0] or "{}"))

    def restart(self, kill: bool = False, known: int = 0) -> tuple[float, float]:
        """Seconds from the start of the process to its ready line, and to the first right answer: `known`, a row nobody has written over, is near itself."""
        self.quarry.server.kill() if kill else self.quarry.server.stop()
        began = time.perf_counter()
        self.quarry.start()
        ready = time.perf_counter() - began
        reply = self.quarry.ok("POST", *self.quarry.request(np.asarray(self.base[known]), 0, None))
        if known not in self.quarry.ids(reply):
            raise RuntimeError(f"after a restart row {known} is not among its own nearest: {self.quarry.ids(reply)}")
        return ready, time.perf_counter() - began

    def anonymous_mb(self) -> float:
        return anonymous_kib(self.quarry.root_pid) / 1024

    def files(self) -> tuple[int, float]:
        sizes = []
        for path in (self.quarry.folder / "data").rglob("*"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # gone since it was listed
            if stat.S_ISREG(status.st_mode):
                sizes.append(status.st_size)
        return len(sizes), sum(sizes) / 1e6


@contextmanager
def subject(**env: str) -> Iterator[Subject]:
    build_targets("bench-load", "quarry")
    folder = vector_set(OPTIONS.set or "gauss-1m")
    with scratch() as place:
        it = Subject(pathlib.Path(place), read_vecs(folder / "base.fvecs"), np.asarray(read_vecs(folder / "query.fvecs"))[:QUERIES], env)
        try:
            yield it
        finally:
            it.quarry.stop()


def scaled(size: int) -> int:
    return max(BATCH, int(size * OPTIONS.scale))


@bench
def burst() -> list[dict]:
    """100,000 vectors into 900,000 under search: the 99th percentile during it and in the ten seconds after, beside idle."""
    clients = 2
    with subject() as it:
        say(f"{it.grow(scaled(900_000)):.0f} s to load {it.rows} rows")
        idle = it.search(clients, IDLE_S)[0]
        with it.searching(clients) as during:
            seconds = it.grow(scaled(1_000_000))
        after = it.search(clients, IDLE_S)[0]
        settings = {"rows": it.rows, "dimension": it.base.shape[1]}
    if during[0].get("errors", 1):
        raise RuntimeError(f"searches failed during the burst: {during[0]}")
    rows = [row("burst", "p99 idle", idle["p99_ms"], "ms", clients=clients, qps=round(idle["qps"], 1), **settings)]
    for moment, report in (("during the burst", during[0]), ("in the 10 s after it", after)):
        rows.append(row("burst", f"p99 {moment}", report["p99_ms"], "ms", "idle", report["p99_ms"] / idle["p99_ms"], clients, qps=round(report["qps"], 1), max_ms=round(report["max_ms"], 1), **settings))
    vectors = scaled(1_000_000) - scaled(900_000)
    return [*rows, row("burst", "upserts under search", vectors / seconds, "vectors/s", clients=WRITERS, vectors=vectors, **settings)]


@bench
def restart() -> list[dict]:
    """A million vectors: from the start of the process to ready and to the first right answer, after a stop and after kill -9; page cache warm."""
    with subject() as it:
        it.grow(scaled(1_000_000))
        times = {kill: [it.restart(kill) for _ in range(3)] for kill in (False, True)}
        settings = {"rows": it.rows, "dimension": it.base.shape[1]}
    return [row("restart", f"start to {what}, after {'kill -9' if kill else 'a stop'}, median of 3", statistics.median(t[i] for t in found) * 1000, "ms", **settings)
            for kill, found in times.items() for i, what in enumerate(("ready", "first right answer"))]


class Churn:
    """Small writes at a steady rate: one document each, nine of ten over an id that exists."""

    IDS, BASE_ROWS = 5_000, 10_000

    def __init__(self, it: Subject, rate: float):
        self.it, self.period = it, 1 / rate
        self.took_ms: list[float] = []
        self.random = random.Random(1)

    def write(self, number: int) -> None:
        first = self.random.randrange(self.IDS) if number % 10 else self.BASE_ROWS + number
        began = time.perf_counter()
        upsert(self.it.quarry.ok, np.asarray(self.it.base[number % len(self.it.base)][None]), first)
        self.took_ms.append((time.perf_counter() - began) * 1e3)

    def run(self, seconds: float, sample_s: float) -> tuple[list[dict], float]:
        """What was seen at each sample, and the writes a second that were reached."""
        began, samples, stop = time.perf_counter(), [], threading.Event()

        def sampler() -> None:
            while not stop.wait(sample_s):
                files, megabytes = self.it.files()
                samples.append({"s": round(time.perf_counter() - began, 1), "files": files, "disk_mb": round(megabytes, 1), "anonymous_mb": round(self.it.anonymous_mb(), 1)})

        watching = threading.Thread(target=sampler)
        watching.start()
        try:
            with ThreadPoolExecutor(16) as writers:
                waiting = threading.BoundedSemaphore(16)
                for number in range(int(seconds / self.period)):
                    time.sleep(max(0.0, began + number * self.period - time.perf_counter()))  # paces an open load: not a wait for a state
                    waiting.acquire()
                    writers.submit(self.write, number).add_done_callback(lambda done: (waiting.release(), done.exception() and say(f"a write failed: {done.exception()}")))
        finally:
            stop.set()
            watching.join()
        return samples, len(self.took_ms) / (time.perf_counter() - began)


@bench
def churn() -> list[dict]:
    """An hour of ten single-document writes a second in a twentieth of the time, retention too: files, disk and memory as it goes, the time to open it."""
    rate, seconds = 200.0, 180 * OPTIONS.scale
    with subject(QUARRY_MVS_RETENTION_S=str(round(seconds / 6))) as it:
        it.grow(Churn.BASE_ROWS)
        files, megabytes = it.files()
        before = {"files": files, "disk_mb": round(megabytes, 1), "anonymous_mb": round(it.anonymous_mb(), 1)}
        writing = Churn(it, rate)
        samples, reached = writing.run(seconds, max(1.0, seconds / 18))
        ready, answered = it.restart(known=Churn.BASE_ROWS - 1)
        files = it.files()[0]
    took = np.percentile(writing.took_ms, [50, 99])
    settings = {"rows_before": Churn.BASE_ROWS, "seconds": round(seconds)}
    worst = {key: max(s[key] for s in samples) for key in ("files", "disk_mb", "anonymous_mb")}
    return [row("churn", "single-document writes", reached, "writes/s", f"asked for {rate:.0f}", reached / rate, 16, p50_ms=round(took[0], 1), p99_ms=round(took[1], 1), **settings),
            row("churn", "most files in the data folder", worst["files"], "files", "before", worst["files"] / before["files"], samples=[s["files"] for s in samples], after_restart=files, **settings),
            row("churn", "most disk", worst["disk_mb"], "MB", "before", worst["disk_mb"] / before["disk_mb"], samples=[s["disk_mb"] for s in samples], **settings),
            row("churn", "most anonymous memory", worst["anonymous_mb"], "MB", "before", worst["anonymous_mb"] / before["anonymous_mb"], samples=[s["anonymous_mb"] for s in samples], **settings),
            row("churn", "start to ready afterwards", ready * 1000, "ms", **settings),
            row("churn", "start to first right answer afterwards", answered * 1000, "ms", **settings)]


@bench
def growth() -> list[dict]:
    """From 10,000 to 1,000,000 rows in one collection: load, memory, searches a second, p99, recall, restart."""
    clients, rows = 8, []
    with subject() as it:
        for size in sorted({scaled(n) for n in (10_000, 31_000, 100_000, 316_000, 1_000_000)}):
            added = size - it.rows
            seconds = it.grow(size)
            behind = it.settle()
            report, found = it.search(clients, IDLE_S)
            reached = recall(found, nearest(it.base[:size], it.queries, K))
            memory, accounted = it.anonymous_mb(), it.gauge("quarry_mvs_memory_bytes") / 2**20
            ready, answered = it.restart()
            settings = {"rows": size, "dimension": it.base.shape[1]}
            say(f"{size} rows: {report['qps']:.0f} queries/s, recall {reached:.4f}")
            rows += [row("growth", "load", added / seconds, "vectors/s", clients=WRITERS, **settings),
                     row("growth", "from the last write to the last row in the graph", behind, "s", **settings),
                     row("growth", "anonymous memory", memory, "MB", "codes, graph, ids", memory / accounted, **settings),
                     row("growth", "vector search", report["qps"], "queries/s", clients=clients, p50_ms=round(report["p50_ms"], 2), recall=round(reached, 4), **settings),
                     row("growth", "vector search, p99", report["p99_ms"], "ms", clients=clients, **settings),
                     row("growth", "start to ready", ready * 1000, "ms", **settings),
                     row("growth", "start to first right answer", answered * 1000, "ms", **settings)]
    return rows
