"""Files of vectors: .fvecs and .ivecs hold, per record, an int32 count and that many float32 or int32 values, little-endian."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable

import numpy as np


def read_vecs(path: pathlib.Path | str, kind: str = "<f4") -> np.ndarray:
    """The records as a matrix that stays in the file."""
    raw = np.memmap(path, dtype="<i4", mode="r")
    width = int(raw[0]) + 1
    if raw.size % width or not (raw[::width] == width - 1).all():
        raise SystemExit(f"{path}: not a file of equal records")
    return raw.view(kind).reshape(-1, width)[:, 1:]


def write_vecs(path: pathlib.Path, blocks: Iterable[np.ndarray], kind: str = "<f4") -> None:
    """Writes beside the place and renames, so that a file that exists is whole."""
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as out:
        for block in blocks:
            records = np.empty((len(block), block.shape[1] + 1), "<i4")
            records[:, 0] = block.shape[1]
            records[:, 1:] = np.ascontiguousarray(block, kind).view("<i4")
            records.tofile(out)
    part.rename(path)


def blocks_of(matrix: np.ndarray, rows: int = 65_536) -> Iterable[np.ndarray]:
    for begin in range(0, len(matrix), rows):
        yield matrix[begin : begin + rows]


def unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)
