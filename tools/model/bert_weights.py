"""The weights of a BERT encoder, named by what they do; matrices are [in, out]."""

import dataclasses

import numpy as np


@dataclasses.dataclass
class Norm:
    gamma: np.ndarray
    beta: np.ndarray


@dataclasses.dataclass
class Linear:
    weight: np.ndarray
    bias: np.ndarray


@dataclasses.dataclass
class Layer:
    qkv: Linear  # query, key and value side by side
    attention_out: Linear
    attention_norm: Norm
    up: Linear
    down: Linear
    output_norm: Norm


@dataclasses.dataclass
class BertWeights:
    heads: int
    epsilon: float
    max_tokens: int
    dimension: int
    words: np.ndarray
    positions: np.ndarray  # the embedding of token type 0 is folded in: this model is given single texts only
    embedding_norm: Norm
    layers: list[Layer]


def load_weights(tensors: dict[str, np.ndarray], config: dict) -> BertWeights:
    if config["hidden_act"] != "gelu" or config["position_embedding_type"] != "absolute":
        raise ValueError(f"not the expected kind of BERT: {config}")

    def linear(name: str) -> Linear:
        return Linear(np.ascontiguousarray(tensors[name + ".weight"].T), tensors[name + ".bias"])

    def norm(name: str) -> Norm:
        return Norm(tensors[name + ".weight"], tensors[name + ".bias"])

    def layer(index: int) -> Layer:
        at = f"encoder.layer.{index}."
        parts = [linear(f"{at}attention.self.{part}") for part in ("query", "key", "value")]
        qkv = Linear(np.concatenate([p.weight for p in parts], axis=1), np.concatenate([p.bias for p in parts]))
        return Layer(
            qkv,
            linear(at + "attention.output.dense"),
            norm(at + "attention.output.LayerNorm"),
            linear(at + "intermediate.dense"),
            linear(at + "output.dense"),
            norm(at + "output.LayerNorm"),
        )

    return BertWeights(
        heads=config["num_attention_heads"],
        epsilon=config["layer_norm_eps"],
        max_tokens=config["max_position_embeddings"],
        dimension=config["hidden_size"],
        words=tensors["embeddings.word_embeddings.weight"],
        positions=tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0],
        embedding_norm=norm("embeddings.LayerNorm"),
        layers=[layer(i) for i in range(config["num_hidden_layers"])],
    )
