"""Exact nearest neighbours by cosine, and how hard a set is."""

from __future__ import annotations

import numpy as np

from vecs import blocks_of, unit

SPARE = 50  # float32 picks this many more than wanted; float64 then orders them


def nearest(base: np.ndarray, queries: np.ndarray, count: int) -> np.ndarray:
    """Per query the numbers of the `count` most similar rows, best first; of equals the lower number first."""
    keep = min(count + SPARE, len(base))
    q32 = unit(queries.astype(np.float32))
    best_scores = np.full((len(queries), 0), 0, np.float32)
    best_ids = np.zeros((len(queries), 0), np.int64)
    begin = 0
    for block in blocks_of(base):
        scores = np.concatenate([best_scores, q32 @ unit(block.astype(np.float32)).T], axis=1)
        ids = np.concatenate([best_ids, np.broadcast_to(np.arange(begin, begin + len(block)), (len(queries), len(block)))], axis=1)
        top = np.argpartition(-scores, min(keep, scores.shape[1]) - 1, axis=1)[:, :keep]
        best_scores, best_ids = np.take_along_axis(scores, top, 1), np.take_along_axis(ids, top, 1)
        begin += len(block)
    return np.stack([ordered(base, q, ids)[:count] for q, ids in zip(queries, best_ids)])


def ordered(base: np.ndarray, query: np.ndarray, ids: np.ndarray) -> np.ndarray:
    ids = np.sort(ids)
    rows = unit(base[ids].astype(np.float64))
    scores = rows @ unit(query[None].astype(np.float64))[0]
    return ids[np.lexsort((ids, -scores))]


def intrinsic_dimension(base: np.ndarray, queries: np.ndarray, truth: np.ndarray) -> float:
    """Median over the queries of the maximum-likelihood estimate of Levina and Bickel (2005), over the whole list of neighbours."""
    estimates = []
    for query, ids in zip(unit(queries.astype(np.float64)), truth):
        distance = np.linalg.norm(unit(base[np.sort(ids)].astype(np.float64)) - query, axis=1)
        distance = np.sort(distance[distance > 1e-9])
        if len(distance) > 2 and distance[-1] > distance[0]:
            estimates.append(1 / np.mean(np.log(distance[-1] / distance[:-1])))
    return float(np.median(estimates))
