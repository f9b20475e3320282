"""Chooses the smoothing factors of the int8 graph from what a few texts put into each matrix."""

import numpy as np

from bert_reference import embed
from bert_weights import BertWeights

# How much of a channel's width moves into the weights; 0.65 gave the best worst case (0.5 to 1.0 tried, on other texts).
STRENGTH = 0.65


def calibrate(weights: BertWeights, texts: list[list[int]]) -> dict[str, np.ndarray]:
    widest: dict[str, np.ndarray] = {}

    def observe(name: str, x: np.ndarray) -> None:
        peak = np.abs(x).max(axis=0)
        widest[name] = np.maximum(widest.get(name, peak), peak)

    for ids in texts:
        embed(weights, np.array(ids), observe)
    factors = {}
    for index, layer in enumerate(weights.layers):
        for part, matrix in (("attention", layer.qkv), ("up", layer.up), ("down", layer.down)):
            name = f"layer{index}.{part}"
            factors[name] = _factor(widest[name], np.abs(matrix.weight).max(axis=1))
    return factors


def _factor(activations: np.ndarray, weights: np.ndarray) -> np.ndarray:
    factor = np.maximum(activations, 1e-3) ** STRENGTH / np.maximum(weights, 1e-6) ** (1.0 - STRENGTH)
    return (factor / np.exp(np.log(factor).mean())).astype(np.float32)
