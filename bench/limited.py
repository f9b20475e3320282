"""The vector index in less memory than its data take: vector_bench in a memory cgroup, its vectors mapped from a file that does not fit.

Needs a memory cgroup (version 1 or 2) in which groups may be made, which takes root.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from curves import at_recall
from harness import BIN, OPTIONS, about_set, bench, build_targets, row, say, vector_set

TARGETS = (0.95, 0.99)
EFFORTS = "16,20,24,32,48,64,96,128"
LIMIT_S = 1200


def own_group() -> tuple[pathlib.Path, str]:
    """The folder of this process's memory cgroup, and the file in it that holds a limit."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, place = line.split(":", 2)
        if controllers == "memory":
            return pathlib.Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
        if number == "0" and pathlib.Path("/sys/fs/cgroup/cgroup.subtree_control").exists():
            return pathlib.Path("/sys/fs/cgroup") / place.lstrip("/"), "memory.max"
    raise SystemExit("limited: no memory cgroup here")


@contextmanager
def memory_limit(size: int | None) -> Iterator[Callable[[], None]]:
    """What a child calls before it becomes the program, to live in at most so many bytes, mapped files included."""
    if size is None:
        yield lambda: None
        return
    parent, file = own_group()
    group = parent / f"quarry-bench-{os.getpid()}"
    try:
        group.mkdir()
        (group / file).write_text(str(size))
    except OSError as failure:
        raise SystemExit(f"limited: no cgroup with a limit can be made ({failure}); it takes root") from failure
    try:
        yield lambda: (group / "cgroup.procs").write_text(str(os.getpid()))
    finally:
        group.rmdir()


def forget(file: pathlib.Path) -> None:
    """Out of the page cache: pages that are there belong to whoever read them first, outside the limit."""
    with open(file, "rb") as opened:
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(folder: pathlib.Path, limit: int | None) -> dict | None:
    """None: killed for want of memory."""
    files = {kind: folder / name for kind, name in (("base", "base.fvecs"), ("query", "query.fvecs"), ("truth", "truth.ivecs"))}
    for file in files.values():
        forget(file)
    with memory_limit(limit) as enter, tempfile.NamedTemporaryFile("r", suffix=".json") as out:
        command = [BIN / "vector_bench", *(part for kind, file in files.items() for part in (f"--{kind}", file)), "--efforts", EFFORTS, "--json", out.name]
        done = subprocess.run(command, preexec_fn=enter, capture_output=True, text=True, timeout=LIMIT_S)
        if done.returncode == -9:
            return None
        if done.returncode != 0:
            raise RuntimeError(f"vector_bench: {done.stderr.strip()}")
        return json.load(out)


@bench
def limited() -> list[dict]:
    """The vector index alone in half the memory of vectors and index together, and in half that of the vectors; one thread (--set)."""
    build_targets("vector_bench")
    folder = vector_set(OPTIONS.set or "minilm")
    say("without a limit")
    free = measure(folder, None)
    vectors, index = free["header"]["mapped_bytes"], free["header"]["anon_bytes"]
    about = about_set(folder)
    rows = []
    for what, limit in (("no limit", None), ("half of vectors and index", (vectors + index) // 2), ("half of the vectors", vectors // 2)):
        say(what)
        found = free if limit is None else measure(folder, limit)
        settings = {"set": folder.name, "rows": about["rows"], "dimension": about["dimension"], "limit_mb": limit and round(limit / 1e6, 1), "vectors_mb": round(vectors / 1e6, 1), "index_mb": round(index / 1e6, 1)}
        for target in TARGETS:
            unlimited, there = at_recall(free["points"], target), found and at_recall(found["points"], target)
            qps = there["qps"] if there else 0.0
            more = {key: round(there[key], 1) for key in ("p50_us", "p99_us")} if there else {"ended": "killed for want of memory"}
            rows.append(row("limited", f"recall {target:.2f}, {what}", qps, "queries/s", "no limit", qps / unlimited["qps"], **settings, **more))
    return rows
