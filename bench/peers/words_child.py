#!/usr/bin/env python3
"""tantivy in a process of its own: words_child.py PARAGRAPHS.jsonl QUERIES.txt ROUNDS.

One thread builds an index in memory; then every query is asked once for warmth and ROUNDS times more. One JSON line: the ten best of each query as line
numbers, queries a second, percentiles of the latency, seconds of building. Parsing the query counts, as it does on our side.
"""

from __future__ import annotations

import json
import pathlib
import sys
import time

import tantivy


def build(texts: list[str]) -> tantivy.Index:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("text", stored=False, tokenizer_name="en_stem")
    index = tantivy.Index(builder.build())
    writer = index.writer(heap_size=1 << 30, num_threads=1)
    for text in texts:
        writer.add_document(tantivy.Document(text=text))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    return index


def main() -> None:
    texts = [json.loads(line)["text"] for line in pathlib.Path(sys.argv[1]).read_text().splitlines()]
    queries, rounds = pathlib.Path(sys.argv[2]).read_text().splitlines(), int(sys.argv[3])
    began = time.perf_counter()
    index = build(texts)
    seconds = time.perf_counter() - began
    searcher = index.searcher()

    def search(query: str) -> tantivy.SearchResult:
        return searcher.search(index.parse_query(query, ["text"]), 10)

    # One thread and one commit make one segment, whose documents stand in the order they came in.
    if searcher.num_segments != 1:
        raise SystemExit(f"tantivy made {searcher.num_segments} segments")
    found = [[address.doc for _, address in search(query).hits] for query in queries]
    took, cpu = [], []
    began = time.perf_counter()
    for _ in range(rounds):
        for query in queries:
            before, cpu_before = time.perf_counter(), time.thread_time()
            search(query)
            cpu.append(time.thread_time() - cpu_before)
            took.append(time.perf_counter() - before)
    qps = len(took) / (time.perf_counter() - began)
    took.sort()
    cpu.sort()
    at = len(took) * 99 // 100
    print(json.dumps({"build_s": seconds, "qps": qps, "p50_us": took[len(took) // 2] * 1e6, "p99_us": took[at] * 1e6, "cpu_p99_us": cpu[at] * 1e6, "found": found}))


if __name__ == "__main__":
    main()
