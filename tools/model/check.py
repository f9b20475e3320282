"""Compares the graphs with the numpy reference and with each other, and measures them one text at a time."""

import pathlib
import time

import numpy as np
import onnxruntime as ort

from bert_graph import OUTPUT
from bert_reference import embed
from bert_weights import BertWeights
from wordpiece import WordPiece

LEAST_REFERENCE_COSINE = 0.9999
LEAST_INT8_COSINE = 0.99  # the mean; without smoothing it is 0.985 to 0.994


class Runner:
    def __init__(self, model: pathlib.Path):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def embed(self, ids: list[int]) -> np.ndarray:
        return self._session.run([OUTPUT], {"input_ids": np.array([ids], np.int64)})[0][0]


def read_texts(folder: pathlib.Path, name: str) -> list[list[int]]:
    tokenizer = WordPiece(folder / "vocab.txt")
    lines = pathlib.Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return [tokenizer.encode(line) for line in lines if line]


def check(weights: BertWeights, folder: pathlib.Path, measure: bool) -> None:
    texts = read_texts(folder, "sentences.txt")
    exact, small = Runner(folder / "model_fp32.onnx"), Runner(folder / "model_int8.onnx")
    full = [exact.embed(ids) for ids in texts]
    worst = min(float(embed(weights, np.array(ids)) @ vector) for ids, vector in zip(texts[:4], full))
    cosines = [float(small.embed(ids) @ vector) for ids, vector in zip(texts, full)]
    print(f"fp32 to the reference: cosine >= {worst:.7f}")
    print(f"int8 to fp32: cosine mean {np.mean(cosines):.5f}, least {min(cosines):.5f}, {len(texts)} sentences")
    if worst < LEAST_REFERENCE_COSINE or np.mean(cosines) < LEAST_INT8_COSINE:
        raise SystemExit("the model differs too much from its reference")
    if measure:
        for name, runner in (("fp32", exact), ("int8", small)):
            _measure(name, runner, texts)


def _measure(name: str, runner: Runner, texts: list[list[int]]) -> None:
    stream = [token for ids in texts for token in ids[1:-1]] * 4
    for tokens in (16, 32, 64, 128, 256):
        ids = [101, *stream[: tokens - 2], 102]
        best = min(_seconds(runner, ids, max(4, 4096 // tokens)) for _ in range(5))
        print(f"{name}: {tokens:3} tokens {1 / best:6.0f} texts/s on one thread")


def _seconds(runner: Runner, ids: list[int], rounds: int) -> float:
    began = time.perf_counter()
    for _ in range(rounds):
        runner.embed(ids)
    return (time.perf_counter() - began) / rounds
