"""A cold collection alone: vector searches, exact ones and searches by words, on the local store and on a real S3 server whose requests take longer."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

from harness import BIN, DATA, OPTIONS, bench, build_targets, row, scratch, vector_set

from support.s3 import ACCESS_KEY, SECRET_KEY, S3Server

QUERIES, FAR_MS = 300, 60
WHAT = {"vectors": "vector search", "exact": "exact vector search", "words": "search by five words"}
TARGETS = {("vectors", "local"): 30, ("vectors", "s3"): 150, ("words", "local"): 60}  # ms, median


def run_json(*command: object, env: dict[str, str] | None = None) -> dict:
    return json.loads(subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, env=os.environ | (env or {})).stdout)


def rows_of(report: dict, where: str, name: str) -> list[dict]:
    out = [row("cold", f"{where}: going cold", report["to_cold_s"], "s", set=name)]
    for trial in report["trials"]:
        target = TARGETS.get((trial["what"], where))
        settings = {key: round(trial[key], 3) for key in ("p99_ms", "first_ms", "recall", "requests", "latency_ms") if key in trial}
        out.append(row("cold", f"{where}: {WHAT[trial['what']]}, median", trial["p50_ms"], "ms", f"target {target} ms" if target else "",
                       trial["p50_ms"] / target if target else None, set=name, **settings, mb_read=round(trial["bytes"] / 1e6, 2), first_mb=round(trial["first_bytes"] / 1e6, 2)))
    return out


@bench
def cold() -> list[dict]:
    """A cold collection: medians, recall, requests and bytes, local and on S3 with 60 ms added to every request."""
    build_targets("bench-cold")
    name = OPTIONS.set or "minilm"
    folder = vector_set(name)
    command = [BIN / "bench-cold", "--base", folder / "base.fvecs", "--query", folder / "query.fvecs", "--truth", folder / "truth.ivecs", "--queries", int(QUERIES * OPTIONS.scale), "--exact"]
    if name == "minilm":
        command += ["--texts", DATA / "text/paragraphs.jsonl"]
    with scratch() as local:
        rows = rows_of(run_json(*command, "--folder", local, "--latency-ms", 0), "local", name)
    with scratch() as depot, S3Server(pathlib.Path(depot), keep_alive=True) as server:
        server.make_bucket("depot")
        keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        return rows + rows_of(run_json(*command, "--url", "s3://depot/bench", "--endpoint", server.endpoint, "--latency-ms", FAR_MS, env=keys), "s3", name)
