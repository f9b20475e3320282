"""What every bench uses: the registry, rows of results, scratch folders, the sets of vectors, memory of a process."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from types import SimpleNamespace
from typing import Callable

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test"))

from support.server import BIN  # noqa: E402

CORES = len(os.sched_getaffinity(0))
DATA = ROOT / "build/bench"
BENCH_PYTHON = ROOT / ".deps/bench-venv/bin/python"
BENCHES: dict[str, Callable[[], list[dict]]] = {}
OPTIONS = SimpleNamespace(set=None, peers=None, rounds=3, scale=1.0)  # what the command line says


def bench(function: Callable[[], list[dict]]) -> Callable[[], list[dict]]:
    BENCHES[function.__name__] = function
    return function


def row(name: str, metric: str, value: float, unit: str, peer: str = "", ratio: float | None = None, clients: int = 1, **settings: object) -> dict:
    return {"bench": name, "metric": metric, "value": round(value, 3), "unit": unit, "peer": peer, "ratio": None if ratio is None else round(ratio, 3),
            "cores": CORES, "load": round(os.getloadavg()[1], 1), "clients": clients, "settings": settings}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def scratch() -> tempfile.TemporaryDirectory:
    DATA.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=DATA)


def anonymous_kib(pid: int) -> int:
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Anonymous:"))


def build_targets(*targets: str) -> None:
    subprocess.run(["ninja", "-C", str(BIN.parent), *targets], check=True, capture_output=True)


def vector_set(name: str) -> pathlib.Path:
    """The folder of a set of vectors, made first if it is absent (bench/data/make.py tells the sets)."""
    folder = DATA / name
    if not (folder / "set.json").exists():
        say(f"making the set {name} in {folder}")
        subprocess.run([BENCH_PYTHON, "-B", ROOT / "bench/data/make.py", name, DATA], check=True)
    return folder


def about_set(folder: pathlib.Path) -> dict:
    return json.loads((folder / "set.json").read_text())
