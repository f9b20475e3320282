"""Builds the ONNX graph of a BERT sentence encoder from operators that ONNX Runtime runs fast on a CPU.

input    input_ids [batch, tokens] int64: every text of a batch has the same number of tokens, none is padding, so there is
         no mask. Quarry runs one text at a time: its vector then cannot depend on what else is in the batch.
output   sentence_embedding [batch, dimension] float32: the mean over the tokens, L2-normalised.

Sum, not Add, joins the residual: ONNX Runtime would fuse Add and LayerNormalization into SkipLayerNormalization, whose
CPU kernel takes three times as long (1.31).
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bert_weights import BertWeights, Layer, Linear, Norm
from linear_kinds import MS, LinearKind

OUTPUT = "sentence_embedding"


class GraphBuilder:
    """Collects nodes and initializers; every method that adds one returns the name of its (first) output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, inputs: list[str], name: str, *, domain: str = "", outputs: int = 1, **attributes) -> str:
        names = [name] + [f"{name}.{i}" for i in range(1, outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=name, domain=domain, **attributes))
        return name


class BertGraph:
    def __init__(self, weights: BertWeights, kind: LinearKind):
        self._weights = weights
        self._kind = kind
        self._graph = GraphBuilder()

    def build(self) -> onnx.ModelProto:
        x = self._embed()
        for index, layer in enumerate(self._weights.layers):
            x = self._layer(f"layer{index}", layer, x)
        mean = self._graph.node("ReduceMean", [x], "token_mean", axes=[1], keepdims=0)
        self._graph.node("LpNormalization", [mean], OUTPUT, axis=-1, p=2)
        return self._finish()

    def _embed(self) -> str:
        g, w = self._graph, self._weights
        words = self._kind.words(g, w.words, "input_ids")
        count = g.node("Shape", ["input_ids"], "token_count", start=1, end=2)
        zero = g.constant("zero", np.array([0], np.int64))
        positions = g.node("Slice", [g.constant("positions", w.positions), zero, count, zero], "position_rows")
        return self._normalise("embedding", w.embedding_norm, g.node("Add", [words, positions], "embedding.sum"))

    def _layer(self, at: str, layer: Layer, x: str) -> str:
        g, kind = self._graph, self._kind
        mixed = kind.attention(g, f"{at}.attention", layer.qkv, x, self._weights.heads)
        x = self._residual(f"{at}.attention_out", layer.attention_out, layer.attention_norm, mixed, x)
        wide = g.node("Gelu", [kind.linear(g, f"{at}.up", layer.up, x)], f"{at}.gelu", domain=MS)
        return self._residual(f"{at}.down", layer.down, layer.output_norm, wide, x)

    def _residual(self, at: str, linear: Linear, norm: Norm, x: str, skip: str) -> str:
        total = self._graph.node("Sum", [self._kind.linear(self._graph, at, linear, x), skip], f"{at}.sum")
        return self._normalise(at, norm, total)

    def _normalise(self, at: str, norm: Norm, x: str) -> str:
        g = self._graph
        gamma, beta = g.constant(f"{at}.gamma", norm.gamma), g.constant(f"{at}.beta", norm.beta)
        return g.node("LayerNormalization", [x, gamma, beta], f"{at}.norm", axis=-1, epsilon=self._weights.epsilon)

    def _finish(self) -> onnx.ModelProto:
        ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])
        vector = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", self._weights.dimension])
        graph = helper.make_graph(self._graph.nodes, "bert_sentence_encoder", [ids], [vector], self._graph.initializers)
        return helper.make_model(graph, ir_version=8, producer_name="quarry",
                                 opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(MS, 1)])
