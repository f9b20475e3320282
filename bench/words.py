"""Search by words beside tantivy: the same words of paragraphs, the same five-word queries, one thread each, in alternating rounds.

Both get the paragraphs as runs of ASCII letters, so that both cut the same words; whole texts differ in what joins words (UAX #29 keeps
"pg_class.oid" whole). The words of a query are drawn one by one from random paragraphs, so that common words are as common as in texts. Both sides stem English and drop no
word. Settings tell the share of tantivy's ten best that are among our ten best and among our thirty: tantivy rounds lengths to a byte, so that near
ties fall otherwise. CPU times are of the one thread: what others take of the machine is not in them.
"""

from __future__ import annotations

import json
import pathlib
import random
import re
import statistics
import subprocess

from harness import BENCH_PYTHON, BIN, DATA, OPTIONS, ROOT, bench, build_targets, row, scratch

PARAGRAPHS, QUERIES, WORDS, SEED = 100_000, 1_000, 5, 42
PASSES = 3  # over the queries, in each round
WORD = re.compile(r"[A-Za-z]+")
FIGURES = (("qps", "queries/s"), ("p50_us", "us"), ("p99_us", "us"), ("cpu_p99_us", "us"))
OURS = (("segment", "one segment, ids"), ("store", "VectorStore::search, ids"), ("store_payload", "VectorStore::search, documents"))


def draw_queries(words: list[list[str]], count: int) -> list[str]:
    draw = random.Random(SEED)
    return [" ".join(draw.choice(draw.choice(words)) for _ in range(WORDS)) for _ in range(count)]


def share_found(theirs: list[list[int]], ours: list[list[int]], best: int) -> float:
    return statistics.mean(len(set(b) & set(a[:best])) / max(len(b), 1) for a, b in zip(ours, theirs, strict=True))


def run_json(*command: object) -> dict:
    return json.loads(subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout)


@bench
def text() -> list[dict]:
    """Five-word searches by words over 100,000 paragraphs beside tantivy, one thread."""
    build_targets("bench-text")
    lines = (DATA / "text/paragraphs.jsonl").read_text().splitlines()[: int(PARAGRAPHS * OPTIONS.scale)]
    with scratch() as folder:
        paragraphs, queries = pathlib.Path(folder) / "paragraphs.jsonl", pathlib.Path(folder) / "queries.txt"
        texts = [WORD.findall(json.loads(line)["text"].lower()) for line in lines]
        paragraphs.write_text("".join(json.dumps({"text": " ".join(text)}) + "\n" for text in texts))
        queries.write_text("\n".join(draw_queries(texts, QUERIES)) + "\n")
        rounds = [
            (run_json(BIN / "bench-text", paragraphs, queries, PASSES), run_json(BENCH_PYTHON, "-B", ROOT / "bench/peers/words_child.py", paragraphs, queries, PASSES))
            for _ in range(OPTIONS.rounds)
        ]
    first, peer_first = rounds[0]
    settings = {"paragraphs": len(lines), "words": WORDS, "k": 10, "threads": 1,
                **{f"peers_10_in_our_{best}": round(share_found(peer_first["found"], first["segment"]["found"], best), 3) for best in (10, 30)}}
    rows = []
    for name, what in OURS:
        for figure, unit in FIGURES:
            value, peer = (statistics.median(values) for values in ([o[name][figure] for o, _ in rounds], [t[figure] for _, t in rounds]))
            rows.append(row("text", f"{what}: {figure.removesuffix('_us')}", value, unit, f"tantivy {peer:,.0f}", value / peer, **settings))
    value, peer = (statistics.median(values) for values in ([o["segment"]["build_s"] for o, _ in rounds], [t["build_s"] for _, t in rounds]))
    rows.append(row("text", "building the index", value, "s", f"tantivy {peer:.1f}", value / peer, **settings, index_bytes=first["segment"]["index_bytes"]))
    return rows
