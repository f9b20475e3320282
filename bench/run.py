"""Measures what the README promises. usage: run.py [NAME ...] [--json FILE]; ./run bench calls it.

Every figure stands beside a peer of the same run where there is one: machines differ and drift, ratios count.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

from harness import BENCHES, BIN, CORES, OPTIONS, ROOT, anonymous_kib, bench, build_targets, row, say, scratch

from support.flow import new_namespace
from support.server import KEY, Server

import cold  # noqa: F401
import life  # noqa: F401  registers its benches
import limited  # noqa: F401
import servers  # noqa: F401
import vectors  # noqa: F401
import words  # noqa: F401

SLOW = {"build", "text", "vectors", "servers", "filtered", "burst", "restart", "churn", "growth", "cold", "limited"}  # only by name


@bench
def start() -> list[dict]:
    """Start to first reply on an existing data folder; idle memory with the text model loaded."""
    with scratch() as folder:
        server = Server(pathlib.Path(folder) / "data").start()
        server.stop()
        times = []
        for _ in range(7):
            began = time.perf_counter()
            server.start()
            server.client().ok("GET", "/v1/health")
            times.append(time.perf_counter() - began)
            server.stop()
        server.start()
        client = server.client()
        client.wait_until("GET", "/v1/health/deep", lambda h: "loading" not in json.dumps(h), 30)
        time.sleep(1)  # the model has settled: a reading, not a test
        memory = anonymous_kib(server.process.pid)
        server.stop()
    times.sort()
    return [row("start", "start to first reply, median of 7", times[3] * 1000, "ms", "limit 300 ms", times[3] / 0.3, folder="existing, empty"),
            row("start", "idle anonymous memory, model loaded", memory / 1024, "MB", "limit 120 MB", memory / 1024 / 120)]


@bench
def health() -> list[dict]:
    """GET /v1/health with wrk, load generator on the same cores."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed: ./run bench installs it")
    with scratch() as folder, Server(pathlib.Path(folder) / "data") as server:
        best = 0.0
        for _ in range(3):
            out = subprocess.run(["wrk", "-t2", "-c64", "-d5", "--latency", server.url + "/v1/health"], capture_output=True, text=True, check=True).stdout
            rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
            p99 = re.search(r"99%\s+(\S+)", out)[1]
            if rate > best:
                best, best_p99 = rate, p99
            if "Non-2xx" in out:
                raise SystemExit("health answered something else than 2xx:\n" + out)
    return [row("health", "GET /v1/health, best of 3 runs of 5 s", best, "requests/s", "target 40,000", best / 40_000, clients=64, p99=best_p99, generator="wrk -t2")]


def corpus_texts(limit: int) -> list[str]:
    texts = []
    for path in sorted((ROOT / "examples/corpus").rglob("*")):
        if path.is_file() and path.suffix in {".txt", ".md", ".rst"}:
            text = path.read_text(errors="ignore")
            texts += [text[i : i + 2000] for i in range(0, len(text), 2000)]
        if len(texts) >= limit:
            break
    return texts[:limit]


@bench
def ingest() -> list[dict]:
    """Objects to searchable documents, each round between two runs of the model alone on the very chunks that the ingest makes."""
    from support.flow import add_texts, all_documents, new_bucket, new_text_collection, process

    build_targets("bench-model")
    texts = corpus_texts(600)
    with scratch() as folder, Server(pathlib.Path(folder) / "data") as server:
        client = new_namespace(server.client())
        chunks = pathlib.Path(folder) / "chunks.jsonl"

        def ingest_once() -> float:
            bucket = new_bucket(client)
            collection = new_text_collection(client, bucket, parameters={"split_by": "sentences", "chunk_size": 5})
            ids = add_texts(client, bucket, texts)
            began = time.perf_counter()
            done = process(client, bucket, ids, timeout_s=600)
            seconds = time.perf_counter() - began
            assert done["status"] == "COMPLETED", done
            documents = all_documents(client, collection)
            chunks.write_text("".join(json.dumps(d["text"]) + "\n" for d in documents))
            return len(documents) / seconds

        def model_alone() -> float:
            command = [BIN / "bench-model", ROOT / ".deps/models", "int8", str(CORES), chunks]
            return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["texts_per_s"]

        ingest_once()  # makes the chunks, warms what there is to warm
        rates, ratios, before = [], [], model_alone()
        for _ in range(5):
            rates.append(ingest_once())
            after = model_alone()
            ratios.append(2 * rates[-1] / (before + after))
            before = after
    middle = sorted(range(5), key=lambda i: ratios[i])[2]
    return [row("ingest", "text ingest end to end, median of 5", rates[middle], "documents/s", "the model alone, same chunks", ratios[middle],
                objects=len(texts), all_ratios=[round(r, 3) for r in ratios])]


@bench
def upsert() -> list[dict]:
    """Durable upserts of own 384-d vectors."""
    build_targets("bench-upsert")
    rows = []
    with scratch() as folder, Server(pathlib.Path(folder) / "data") as server:
        host, port = server.url.removeprefix("http://").split(":")
        for batch, requests, connections in ((1000, 60, 4), (1000, 60, 8), (100, 300, 8)):
            name = f"own-{batch}-{connections}"
            server.client().ok("POST", "/v1/namespaces/standalone", {"namespace_id": name, "vector_configs": [{"name": "v", "dimension": 384}]})
            command = [BIN / "bench-upsert", host, port, KEY, name, "384", str(batch), str(requests), str(connections)]
            out = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            rows.append(row("upsert", "durable upsert of 384-d vectors", out["vectors_per_s"], "vectors/s", "target 20,000", out["vectors_per_s"] / 20_000, clients=connections,
                            batch=batch, fsync="data file, commit and folders before the reply", p50_ms=round(out["p50_ms"], 1), p99_ms=round(out["p99_ms"], 1)))
    return rows


@bench
def build() -> list[dict]:
    """A clean build without the compiler cache, and a rebuild after one file changed."""
    with scratch() as folder:
        target = pathlib.Path(folder) / "build"
        env = os.environ | {"CCACHE_DISABLE": "1"}
        began = time.perf_counter()
        subprocess.run(["cmake", "--preset", "release", "-B", str(target)], cwd=ROOT, env=env, check=True, capture_output=True)
        subprocess.run(["ninja", "-C", str(target)], env=env, check=True, capture_output=True)
        clean = time.perf_counter() - began
        changed = ROOT / "src/retrieval/stages/feature_search.cc"
        began = time.perf_counter()
        os.utime(changed)
        subprocess.run(["ninja", "-C", str(target)], env=env, check=True, capture_output=True)
        rebuild = time.perf_counter() - began
    return [row("build", "full clean build", clean, "s", "limit 720 s", clean / 720, cache="off"),
            row("build", "one changed file to linked programs", rebuild, "s", "limit 20 s", rebuild / 20, file=str(changed.relative_to(ROOT)), cache="off")]


def print_table(rows: list[dict]) -> None:
    print(f"{'bench':8} {'metric':45} {'value':>12} {'unit':14} {'peer':32} {'ratio':>7}  settings")
    for r in rows:
        ratio = "" if r["ratio"] is None else f"{r['ratio']:.3f}"
        settings = ", ".join(f"{k}={v}" for k, v in r["settings"].items())
        print(f"{r['bench']:8} {r['metric']:45} {r['value']:>12,.1f} {r['unit']:14} {r['peer']:32} {ratio:>7}  clients={r['clients']} {settings}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(BENCHES)}; none: all but {', '.join(sorted(SLOW))}")
    parser.add_argument("--json", help="also write the rows there")
    parser.add_argument("--set", help="the set of vectors, for benches that take one: minilm, minilm-10k, gauss-100k, gauss-1m, gauss-sorted")
    parser.add_argument("--peers", type=lambda text: text.split(","), help="of the bench's peers only these, with commas between")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds, of which the medians count")
    parser.add_argument("--scale", type=float, default=1.0, help="of the sizes and times of burst, restart, churn and growth")
    arguments = parser.parse_args(namespace=OPTIONS)
    unknown = [n for n in arguments.names if n not in BENCHES]
    if unknown:
        parser.error(f"no bench {unknown[0]!r}; there are {', '.join(BENCHES)}")
    rows: list[dict] = []
    for name in arguments.names or [n for n in BENCHES if n not in SLOW]:
        say(f"{name} ...")
        rows += BENCHES[name]()
        if arguments.json:  # after each, so that a later one's failure costs nothing
            pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=1) + "\n")
    print_table(rows)


if __name__ == "__main__":
    main()
