"""Vectors with structure, made from a seed: a mixture of Gaussians, each flat.

Centres lie in a subspace of CENTRE_DIMENSIONS; the sizes of the clusters are log-normal, as topics are; each cluster stretches along
LOCAL_DIMENSIONS directions of its own, less along each next one, with a little noise in all; every row is scaled to unit length. Rows come in no
order, or cluster after cluster.
"""

from __future__ import annotations

import numpy as np

from vecs import unit

SEED = 20_240_601
CLUSTERS = 4_000
CENTRE_DIMENSIONS = 32
LOCAL_DIMENSIONS = 24
SPREAD = 0.9  # of a cluster along its widest direction, in units of the centres' spread
FALL = 0.93  # of the spread from a direction to the next
NOISE = 0.02


def mixture(rows: int, dimension: int, seed: int = SEED, clusters: int = CLUSTERS, in_order: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    frame = orthonormal(rng, dimension, CENTRE_DIMENSIONS)
    centres = rng.standard_normal((clusters, CENTRE_DIMENSIONS), np.float32) @ frame.T
    weights = np.exp(rng.standard_normal(clusters))
    sizes = rng.multinomial(rows, weights / weights.sum())
    places = np.arange(rows) if in_order else rng.permutation(rows)
    scales = (SPREAD * FALL ** np.arange(LOCAL_DIMENSIONS)).astype(np.float32)
    out = np.empty((rows, dimension), np.float32)
    begin = 0
    for centre, size in zip(centres, sizes):
        local = orthonormal(rng, dimension, LOCAL_DIMENSIONS) * scales * np.float32(np.exp(0.3 * rng.standard_normal()))
        points = centre + rng.standard_normal((size, LOCAL_DIMENSIONS), np.float32) @ local.T
        points += NOISE * rng.standard_normal((size, dimension), np.float32)
        out[places[begin : begin + size]] = unit(points)
        begin += size
    return out


def orthonormal(rng: np.random.Generator, dimension: int, directions: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((dimension, directions)))[0].astype(np.float32)
