"""How the matrices of the encoder are stored and multiplied: float32, or int8 with one scale per output channel."""

import typing

import numpy as np
from onnx import TensorProto

from bert_weights import Linear

MS = "com.microsoft"


class LinearKind(typing.Protocol):
    def words(self, g, table: np.ndarray, ids: str) -> str: ...

    def attention(self, g, name: str, qkv: Linear, x: str, heads: int) -> str: ...

    def linear(self, g, name: str, linear: Linear, x: str) -> str: ...


class Float32:
    def words(self, g, table, ids):
        return g.node("Gather", [g.constant("words", table), ids], "word_rows")

    def attention(self, g, name, qkv, x, heads):
        inputs = [x, g.constant(f"{name}.weight", qkv.weight), g.constant(f"{name}.bias", qkv.bias)]
        return g.node("Attention", inputs, name, domain=MS, num_heads=heads)

    def linear(self, g, name, linear, x):
        product = g.node("MatMul", [x, g.constant(f"{name}.weight", linear.weight)], name)
        return g.node("Add", [product, g.constant(f"{name}.bias", linear.bias)], f"{name}.biased")


class DynamicInt8:
    """Weights int8, symmetric, one scale per output channel; activations uint8, their range taken from the one text
    of the run. The word table is int8 with one scale per word.

    A few activation channels of BERT are ten times wider than the rest and would take most of the 256 steps; `smoothing`
    gives, per matrix, the factor by which each input channel is narrowed, and the weights are widened by as much (Xiao et
    al., SmoothQuant, 2023)."""

    def __init__(self, smoothing: dict[str, np.ndarray]):
        self._smoothing = smoothing

    def words(self, g, table, ids):
        codes, scales = _quantise_rows(table)
        rows = g.node("Gather", [g.constant("words", codes), ids], "word_codes")
        factors = g.node("Gather", [g.constant("words.scale", scales), ids], "word_scales")
        floats = g.node("Cast", [rows], "word_floats", to=TensorProto.FLOAT)
        return g.node("Mul", [floats, factors], "word_rows")

    def attention(self, g, name, qkv, x, heads):
        x, weight = self._smooth(g, name, x, qkv.weight)
        codes = g.node("DynamicQuantizeLinear", [x], f"{name}.x", outputs=3)
        weight, scale, zero = _constants(g, name, weight)
        inputs = [codes, weight, g.constant(f"{name}.bias", qkv.bias), f"{codes}.1", scale, "", f"{codes}.2", zero]
        return g.node("QAttention", inputs, name, domain=MS, num_heads=heads)

    def linear(self, g, name, linear, x):
        x, weight = self._smooth(g, name, x, linear.weight)
        inputs = [x, *_constants(g, name, weight), g.constant(f"{name}.bias", linear.bias)]
        return g.node("DynamicQuantizeMatMul", inputs, name, domain=MS)

    def _smooth(self, g, name, x, weight):
        factor = self._smoothing.get(name)
        if factor is None:
            return x, weight
        inverse = g.constant(f"{name}.smoothing", (1.0 / factor).astype(np.float32))
        return g.node("Mul", [x, inverse], f"{name}.smoothed"), weight * factor[:, None]


def _quantise_rows(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / 127.0
    return np.rint(table / scales).astype(np.int8), scales.astype(np.float32)


def _constants(g, name: str, weight: np.ndarray) -> list[str]:
    codes, scales = _quantise_rows(weight.T)
    return [
        g.constant(f"{name}.weight", codes.T),
        g.constant(f"{name}.scale", scales[:, 0]),
        g.constant(f"{name}.zero", np.zeros(len(scales), np.int8)),
    ]
