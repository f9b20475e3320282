"""The vector index alone beside vector libraries: build time, memory, and queries a second at a recall, in interleaved rounds.

Ours is the program vector_bench; each library runs in a process of its own (peers/child.py), one after another, never two at once. A
library that is not installed, or fails, is said so and left out. A row's ratio is ours over the row's; of seconds and bytes too.
"""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from curves import at_recall, medians, needed_efforts
from harness import BENCH_PYTHON, BIN, OPTIONS, ROOT, about_set, bench, build_targets, row, say, vector_set

sys.path.insert(0, str(ROOT / "bench/peers"))

TARGETS = (0.95, 0.99)
THREADS = (1, 2)
BUILD_THREADS = 2
OURS = "quarry"


class Peer:
    """A library in a child process; everything it measured, by (threads) in rounds."""

    def __init__(self, name: str, folder: pathlib.Path):
        self.name = name
        command = [str(BENCH_PYTHON), "-B", str(ROOT / "bench/peers/child.py"), name, str(folder), str(BUILD_THREADS)]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        self.header = self.read()
        self.recalls = needed_efforts(self.header["efforts"], self.recall, TARGETS)
        self.rounds: dict[int, list[list[dict]]] = {threads: [] for threads in THREADS}

    def read(self) -> dict:
        line = self.process.stdout.readline()
        if not line.startswith("{"):
            self.process.wait(timeout=60)
            self.errors.seek(0)
            said = (self.errors.read().strip().splitlines() or ["nothing"])[-1]
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {said}")
        return json.loads(line)

    def ask(self, effort: int, threads: int) -> dict:
        self.process.stdin.write(json.dumps({"effort": effort, "threads": threads}) + "\n")
        self.process.stdin.flush()
        return self.read()

    def recall(self, effort: int) -> float:
        return self.ask(effort, 0)["recall"]

    def measure(self, threads: int) -> None:
        self.rounds[threads].append([self.ask(effort, threads) | {"recall": recall} for effort, recall in self.recalls.items()])

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=60)


class Ours:
    """vector_bench, which builds anew each time it runs; the medians of its builds count."""

    name = OURS

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.headers: list[dict] = []
        self.rounds: dict[int, list[list[dict]]] = {threads: [] for threads in THREADS}

    @property
    def header(self) -> dict:
        return self.headers[0] | {"build_s": statistics.median(h["build_s"] for h in self.headers), "about": "graph over codes, re-scored from the mapped float32 vectors"}

    def measure(self, threads: int) -> None:
        with tempfile.NamedTemporaryFile("r", suffix=".json") as out:
            sets = [part for kind, file in (("base", "base.fvecs"), ("query", "query.fvecs"), ("truth", "truth.ivecs")) for part in (f"--{kind}", str(self.folder / file))]
            command = [str(BIN / "vector_bench"), *sets, "--metric", "cosine", "--threads", str(threads), "--build-threads", str(BUILD_THREADS), "--json", out.name]
            subprocess.run(command, check=True, capture_output=True)
            found = json.load(out)
        self.headers.append(found["header"])
        self.rounds[threads].append(found["points"])

    def end(self) -> None: ...


def contenders(folder: pathlib.Path) -> list[Ours | Peer]:
    from libraries import LIBRARIES

    everyone: list[Ours | Peer] = []
    wanted = OPTIONS.peers or [OURS, *LIBRARIES]
    if unknown := set(wanted) - {OURS, *LIBRARIES}:
        raise SystemExit(f"no contender {sorted(unknown)}; there are {', '.join([OURS, *LIBRARIES])}")
    if OURS in wanted:
        if has_vector_bench():
            everyone.append(Ours(folder))
        else:
            say("vector_bench is no target of this tree: the libraries alone are measured")
    for name in wanted:
        if name in LIBRARIES:
            say(f"building {name}")
            try:
                everyone.append(Peer(name, folder))
            except (RuntimeError, OSError) as failure:
                say(f"{name} is left out ({LIBRARIES[name][0]} is in tools/setup/requirements-bench.txt): {failure}")
    return everyone


def has_vector_bench() -> bool:
    known = subprocess.run(["ninja", "-C", str(BIN.parent), "-t", "query", "vector_bench"], capture_output=True).returncode == 0
    if known:
        build_targets("vector_bench")
    return known


def figures(one: Ours | Peer) -> dict[tuple[str, str], tuple[float, dict]]:
    """(metric, unit) -> (value, settings)."""
    header = one.header
    found: dict[tuple[str, str], tuple[float, dict]] = {
        (f"build, {BUILD_THREADS} threads", "s"): (header["build_s"], {"about": header["about"]}),
        ("anonymous memory that building added", "MB"): (header["anon_bytes"] / 1e6, {"mapped_mb": round(header.get("mapped_bytes", 0) / 1e6, 1)}),
    }
    for threads in THREADS:
        points = medians(one.rounds[threads])
        for target in TARGETS:
            there = at_recall(points, target)
            metric = f"recall {target:.2f}, {threads} thread{'s' * (threads > 1)}"
            if there is None:
                say(f"{one.name} does not reach {metric}: {max(p['recall'] for p in points):.4f} at most")
                continue
            more = {key: round(value, 1) for key, value in there.items() if key != "qps"}
            found[metric, "queries/s"] = there["qps"], more
    return found


@bench
def vectors() -> list[dict]:
    """The vector index alone beside hnswlib, faiss, usearch, ScaNN, VSAG and SVS on one set (--set, minilm if not given)."""
    folder = vector_set(OPTIONS.set or "minilm")
    everyone = contenders(folder)
    for number in range(OPTIONS.rounds):
        for threads in THREADS:
            for one in everyone:
                say(f"round {number + 1} of {OPTIONS.rounds}, {threads} threads: {one.name}")
                one.measure(threads)
    about = about_set(folder)
    found = {one.name: figures(one) for one in everyone}
    for one in everyone:
        one.end()
    rows = []
    for name, metrics in found.items():
        for (metric, unit), (value, settings) in metrics.items():
            ours = found.get(OURS, {}).get((metric, unit))
            rows.append(row("vectors", metric, value, unit, name, ours and ours[0] / value, set=folder.name, rows=about["rows"], dimension=about["dimension"], **settings))
    return sorted(rows, key=lambda r: r["metric"])
