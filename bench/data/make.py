#!/usr/bin/env python3
"""Makes a set of vectors for the benchmarks: make.py NAME DATA_FOLDER, NAME one of minilm, minilm-10k, gauss-1m, gauss-100k, gauss-sorted.

A set is a folder with base.fvecs, query.fvecs, truth.ivecs (the 100 nearest by cosine) and set.json, which is written last: a set that
has it is whole. minilm needs DATA_FOLDER/text/vectors.fvecs, which bench-embed writes; its last 1,000 rows are the queries.
"""

from __future__ import annotations

import json
import pathlib
import sys

import gauss
import numpy as np
import paragraphs
import truth
from vecs import blocks_of, read_vecs, write_vecs

QUERIES, NEIGHBOURS = 1_000, 100
GAUSS_HOW = (
    f"{gauss.CLUSTERS} Gaussians of {gauss.LOCAL_DIMENSIONS} local dimensions, centres in {gauss.CENTRE_DIMENSIONS}, unit length, seed {gauss.SEED}"
)
TEXT_HOW = "all-MiniLM-L6-v2 (int8) of paragraphs of Debian's documentation"


def minilm(data: pathlib.Path, rows: int) -> tuple[np.ndarray, np.ndarray]:
    vectors = read_vecs(data / "text" / "vectors.fvecs")
    if len(vectors) != paragraphs.WANTED:
        raise SystemExit(f"{data}/text/vectors.fvecs has {len(vectors)} rows, not {paragraphs.WANTED}: remove it and run ./run bench again")
    return vectors[:rows], vectors[-QUERIES:]


def synthetic(_: pathlib.Path, rows: int) -> tuple[np.ndarray, np.ndarray]:
    vectors = gauss.mixture(rows + QUERIES, 128)
    return vectors[:rows], vectors[rows:]


# A thousand clusters one after another; queries are rows from anywhere, taken out.
def in_order(_: pathlib.Path, rows: int) -> tuple[np.ndarray, np.ndarray]:
    vectors = gauss.mixture(rows + QUERIES, 128, clusters=gauss.CLUSTERS // 4, in_order=True)
    asked = np.zeros(len(vectors), bool)
    asked[np.random.default_rng(gauss.SEED).choice(len(vectors), QUERIES, replace=False)] = True
    return vectors[~asked], vectors[asked]


SETS = {
    "minilm": (minilm, 100_000, TEXT_HOW),
    "minilm-10k": (minilm, 10_000, TEXT_HOW),
    "gauss-100k": (synthetic, 100_000, GAUSS_HOW),
    "gauss-1m": (synthetic, 1_000_000, GAUSS_HOW),
    "gauss-sorted": (in_order, 250_000, f"as gauss-1m, {gauss.CLUSTERS // 4} clusters one after another"),
}


def main() -> None:
    name, data = sys.argv[1], pathlib.Path(sys.argv[2])
    source, rows, how = SETS[name]
    folder = data / name
    folder.mkdir(parents=True, exist_ok=True)
    base, queries = source(data, rows)
    write_vecs(folder / "base.fvecs", blocks_of(base))
    write_vecs(folder / "query.fvecs", blocks_of(queries))
    found = truth.nearest(base, queries, NEIGHBOURS)
    write_vecs(folder / "truth.ivecs", [found], "<i4")
    about = {"rows": rows, "dimension": base.shape[1], "queries": QUERIES, "metric": "cosine", "how": how,
             "intrinsic_dimension": round(truth.intrinsic_dimension(base, queries, found), 1)}
    (folder / "set.json").write_text(json.dumps(about, indent=1) + "\n")
    print(f"{name}: {rows} x {base.shape[1]}, intrinsic dimension {about['intrinsic_dimension']}")


if __name__ == "__main__":
    main()
