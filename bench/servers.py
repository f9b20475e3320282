"""Quarry beside search servers: the same rows, one load generator, closed loop, interleaved rounds; plain and filtered search.

A server's effort is the least that reaches a recall of TARGET. A peer that is not installed, or fails, is said so and left out. A row's
ratio is ours over the row's; of milliseconds, seconds and bytes too.
"""

from __future__ import annotations

import statistics
import sys
import time
from contextlib import ExitStack, contextmanager
from collections.abc import Iterator

import numpy as np

from harness import DATA, OPTIONS, ROOT, about_set, bench, build_targets, row, say, scratch, vector_set

sys.path[:0] = [str(ROOT / "bench/peers"), str(ROOT / "bench/data")]

from served import FILTERS, K, SERVED, Served, is_in  # noqa: E402
from truth import nearest  # noqa: E402
from vecs import read_vecs  # noqa: E402

TARGET = 0.95
CLIENTS = (1, 8, 32)
PROBE_S, ROUND_S = 2.0, 4.0
OURS = "quarry"


def recall(found: list[list[int] | None], truth: np.ndarray) -> float:
    """Over the queries that were answered, though with nothing; one with fewer than K true neighbours counts by those."""
    shares = []
    for ids, nearest_rows in zip(found, truth):
        true = {row for row in nearest_rows[:K].tolist() if row >= 0}
        if ids is not None and true:
            shares.append(len(true.intersection(ids)) / len(true))
    return statistics.fmean(shares) if shares else 0.0


def reach_target(peer: Served, queries: np.ndarray, truth: np.ndarray, field: str | None) -> tuple[int, float]:
    """The least effort whose recall is TARGET or more, else the greatest; and its recall."""
    for effort in peer.efforts:
        report, found = peer.measure(queries, effort, 4, PROBE_S, field)
        if report["errors"]:
            raise RuntimeError(f"{peer.name}: {report['errors']} errors, the first: {report['first_error']}")
        reached = recall(found, truth)
        if reached >= TARGET:
            break
    return effort, reached


def reachable(peers: list[Served], queries: np.ndarray, truth: np.ndarray, field: str | None) -> dict[str, tuple[int, float]]:
    """Of each server that answers."""
    efforts = {}
    for peer in peers:
        try:
            efforts[peer.name] = reach_target(peer, queries, truth, field)
        except (RuntimeError, OSError) as failure:
            say(f"{peer.name} is left out of this: {failure}")
    return efforts


@contextmanager
def started(base: np.ndarray) -> Iterator[tuple[list[Served], dict[str, float]]]:
    """The servers with the rows in them, and the seconds that loading took each."""
    build_targets("bench-load", "bench-pg-load", "quarry")
    wanted = OPTIONS.peers or list(SERVED)
    if unknown := set(wanted) - set(SERVED):
        raise SystemExit(f"no server {sorted(unknown)}; there are {', '.join(SERVED)}")
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        peers, seconds = [], {}
        for name in wanted:
            peer = SERVED[name](DATA / folder / name)
            say(f"loading {name}")
            try:
                peer.start()
                stack.callback(peer.stop)
                began = time.perf_counter()
                peer.load(base)
            except (RuntimeError, OSError) as failure:
                say(f"{name} is left out: {failure}")
                continue
            seconds[name] = time.perf_counter() - began
            peers.append(peer)
        yield peers, seconds


def compare(name: str, found: dict[tuple[str, str, str, int], tuple[float, dict]], **settings: object) -> list[dict]:
    """Rows of (peer, metric, unit, clients) -> (value, more settings), each with ours over it."""
    rows = []
    for (peer, metric, unit, clients), (value, more) in found.items():
        ours = found.get((OURS, metric, unit, clients))
        rows.append(row(name, metric, value, unit, peer, ours and value and ours[0] / value, clients, **settings, **more))
    return sorted(rows, key=lambda r: (r["metric"], r["clients"]))


def in_rounds(peers: list[Served], queries: np.ndarray, efforts: dict[str, tuple[int, float]], field: str | None, clients: tuple[int, ...]) -> dict:
    reports: dict[tuple[str, int], list[dict]] = {}
    for number in range(OPTIONS.rounds):
        for many in clients:
            for peer in (p for p in peers if p.name in efforts):
                say(f"round {number + 1} of {OPTIONS.rounds}, {many} clients: {peer.name}")
                reports.setdefault((peer.name, many), []).append(peer.measure(queries, efforts[peer.name][0], many, ROUND_S, field)[0])
    return reports


def as_rows(reports: dict, efforts: dict[str, tuple[int, float]], metric: str) -> dict[tuple[str, str, str, int], tuple[float, dict]]:
    found = {}
    for (name, many), rounds in reports.items():
        middle = {key: statistics.median(r[key] for r in rounds) for key in ("qps", "p50_ms", "p99_ms")}
        effort, reached = efforts[name]
        more = {"p50_ms": round(middle["p50_ms"], 2), "p99_ms": round(middle["p99_ms"], 2), "recall": round(reached, 4), "effort": effort, "errors": sum(r["errors"] for r in rounds)}
        found[name, metric, "queries/s", many] = middle["qps"], more
    return found


@bench
def servers() -> list[dict]:
    """Vector search over the wire beside Weaviate, Chroma, pgvector and LanceDB (--set, --peers): 1, 8 and 32 clients at recall 0.95."""
    folder = vector_set(OPTIONS.set or "minilm")
    base, queries, truth = np.asarray(read_vecs(folder / "base.fvecs")), np.asarray(read_vecs(folder / "query.fvecs")), np.asarray(read_vecs(folder / "truth.ivecs", "<i4"))
    with started(base) as (peers, seconds):
        efforts = reachable(peers, queries, truth, None)
        reports = in_rounds(peers, queries, efforts, None, CLIENTS)
        found = as_rows(reports, efforts, f"vector search, recall {TARGET} or more")
        for peer in peers:
            memory = peer.memory()
            found[peer.name, "load and index", "s", 1] = seconds[peer.name], {"about": peer.about}
            found[peer.name, "memory after the searches", "MB", 1] = memory["own"] / 1e6, {"mapped_files_mb": round(memory["files"] / 1e6, 1)}
    about = about_set(folder)
    return compare("servers", found, set=folder.name, rows=about["rows"], dimension=about["dimension"])


def filtered_truth(base: np.ndarray, queries: np.ndarray, field: str | None) -> np.ndarray:
    """As truth.ivecs, over the rows that the filter lets through; -1 where there are fewer than K."""
    rows = np.flatnonzero(is_in(np.arange(len(base)), field)) if field else np.arange(len(base))
    found = rows[nearest(base[rows], queries, min(K, len(rows)))]
    return np.pad(found, ((0, 0), (0, K - found.shape[1])), constant_values=-1)


@bench
def filtered() -> list[dict]:
    """The same without a filter and with one by equality that lets 50, 10, 1 and 0.1 % of the rows through, 8 clients."""
    folder = vector_set(OPTIONS.set or "minilm")
    base, queries = np.asarray(read_vecs(folder / "base.fvecs")), np.asarray(read_vecs(folder / "query.fvecs"))
    found = {}
    with started(base) as (peers, _):
        for field, share in {None: 1000, **FILTERS}.items():
            truth = filtered_truth(base, queries, field)
            efforts = reachable(peers, queries, truth, field)
            found |= as_rows(in_rounds(peers, queries, efforts, field, (8,)), efforts, f"filter lets {share / 10:g} % through" if field else "no filter")
    about = about_set(folder)
    return compare("filtered", found, set=folder.name, rows=about["rows"], dimension=about["dimension"])
