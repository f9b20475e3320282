"""A plain numpy forward pass for one text: what the ONNX graphs are compared with."""

import math
from typing import Callable

import numpy as np

from bert_weights import BertWeights, Layer, Norm

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _normalise(x: np.ndarray, norm: Norm, epsilon: float) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon) * norm.gamma + norm.beta


def _gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0)))


def _attend(x: np.ndarray, layer: Layer, heads: int) -> np.ndarray:
    tokens, width = x.shape
    qkv = (x @ layer.qkv.weight + layer.qkv.bias).reshape(tokens, 3, heads, width // heads).transpose(1, 2, 0, 3)
    query, key, value = qkv
    scores = query @ key.transpose(0, 2, 1) / math.sqrt(width // heads)
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = scores / scores.sum(axis=-1, keepdims=True) @ value
    return mixed.transpose(1, 0, 2).reshape(tokens, width)


def _ignore(_name: str, _x: np.ndarray) -> None:
    pass


def embed(weights: BertWeights, ids: np.ndarray, observe: Callable[[str, np.ndarray], None] = _ignore) -> np.ndarray:
    """The unit vector of one text; ids is one-dimensional and carries no padding. observe is shown what goes into each
    large matrix, under the name that the graph gives it."""
    x = (weights.words[ids] + weights.positions[: len(ids)]).astype(np.float64)
    x = _normalise(x, weights.embedding_norm, weights.epsilon)
    for index, layer in enumerate(weights.layers):
        observe(f"layer{index}.attention", x)
        mixed = _attend(x, layer, weights.heads) @ layer.attention_out.weight + layer.attention_out.bias
        x = _normalise(x + mixed, layer.attention_norm, weights.epsilon)
        observe(f"layer{index}.up", x)
        wide = _gelu(x @ layer.up.weight + layer.up.bias)
        observe(f"layer{index}.down", wide)
        x = _normalise(x + wide @ layer.down.weight + layer.down.bias, layer.output_norm, weights.epsilon)
    mean = x.mean(axis=0)
    return mean / np.linalg.norm(mean)
