"""Reads a safetensors file: u64 header length, JSON header (name -> dtype, shape, byte range), then the tensors."""

import json
import pathlib
import struct

import numpy as np

_DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32}


def read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    raw = path.read_bytes()
    (header_size,) = struct.unpack_from("<Q", raw)
    base = 8 + header_size
    tensors = {}
    for name, entry in json.loads(raw[8:base]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        flat = np.frombuffer(raw[base + begin : base + end], dtype=_DTYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    return tensors
