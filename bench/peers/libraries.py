"""Vector libraries under one face: build over unit vectors, then search at an effort; ids are row numbers.

Every library gets unit vectors and the metric that orders them as cosine does. Parameters are those its own documentation recommends for
recall of 0.95 to 0.99 in memory; each has a second copy of the vectors in full or 16 bits only where that is part of the recipe.
"""

from __future__ import annotations

import json
import math
import pathlib
import tempfile
from typing import Callable, Protocol

import numpy as np

K = 10


class Library(Protocol):
    efforts: list[int]
    about: str

    def build(self, base: np.ndarray, threads: int) -> None: ...
    def set_effort(self, effort: int) -> None: ...
    def set_threads(self, threads: int) -> None: ...  # of a batched call
    def one(self, query: np.ndarray) -> np.ndarray: ...
    def many(self, queries: np.ndarray) -> np.ndarray: ...


class Hnswlib:
    about = "M=16, ef_construction=200, float32"
    efforts = [10, 14, 20, 28, 40, 60, 80, 120, 200, 320, 500, 800]

    def build(self, base: np.ndarray, threads: int) -> None:
        import hnswlib

        self.index = hnswlib.Index("ip", base.shape[1])
        self.index.init_index(len(base), M=16, ef_construction=200)
        self.index.add_items(base, num_threads=threads)

    def set_effort(self, effort: int) -> None:
        self.index.set_ef(effort)

    def set_threads(self, threads: int) -> None:
        self.threads = threads

    def one(self, query: np.ndarray) -> np.ndarray:
        return self.index.knn_query(query, K, num_threads=1)[0][0]

    def many(self, queries: np.ndarray) -> np.ndarray:
        return self.index.knn_query(queries, K, num_threads=self.threads)[0]


class Faiss:
    def build(self, base: np.ndarray, threads: int) -> None:
        import faiss

        self.faiss = faiss
        faiss.omp_set_num_threads(threads)
        self.index = faiss.index_factory(base.shape[1], self.recipe(base), faiss.METRIC_INNER_PRODUCT)
        self.prepare()
        self.index.train(base)
        self.index.add(base)

    def prepare(self) -> None: ...

    def set_effort(self, effort: int) -> None:
        self.parameters = self.search_parameters(effort)

    def set_threads(self, threads: int) -> None:
        self.faiss.omp_set_num_threads(threads)

    def one(self, query: np.ndarray) -> np.ndarray:
        return self.many(query[None])[0]

    def many(self, queries: np.ndarray) -> np.ndarray:
        return self.index.search(queries, K, params=self.parameters)[1]


class FaissHnsw(Faiss):
    about = "HNSW32,SQ8, efConstruction=200"
    efforts = [10, 14, 20, 28, 40, 60, 80, 120, 160, 320, 640]

    def recipe(self, _: np.ndarray) -> str:
        return "HNSW32,SQ8"

    def prepare(self) -> None:
        self.index.hnsw.efConstruction = 200

    def search_parameters(self, effort: int):
        return self.faiss.SearchParametersHNSW(efSearch=effort)


class FaissHnswRefined(FaissHnsw):
    about = "HNSW32,SQ8,RFlat, efConstruction=200, 4 times k re-scored"

    def recipe(self, _: np.ndarray) -> str:
        return "HNSW32,SQ8,RFlat"

    def prepare(self) -> None:
        self.faiss.downcast_index(self.index.base_index).hnsw.efConstruction = 200

    def search_parameters(self, effort: int):
        inner = self.faiss.SearchParametersHNSW(efSearch=max(effort, 4 * K))
        return self.faiss.IndexRefineSearchParameters(k_factor=4, base_index_params=inner)


class FaissIvf(Faiss):
    efforts = [4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256]

    def recipe(self, base: np.ndarray) -> str:
        lists = 1024 if len(base) < 500_000 else 4096
        recipe = f"IVF{lists},PQ{base.shape[1] // 2}x4fs,RFlat"
        self.about = f"{recipe}, 10 times k re-scored"
        return recipe

    def search_parameters(self, effort: int):
        inner = self.faiss.SearchParametersIVF(nprobe=effort)
        return self.faiss.IndexRefineSearchParameters(k_factor=10, base_index_params=inner)


class Usearch:
    efforts = [10, 14, 20, 28, 40, 60, 80, 120, 200, 320, 500, 800]

    def __init__(self, scalar: str):
        self.scalar = scalar
        self.about = f"connectivity=16, expansion_add=128, {scalar}"

    def build(self, base: np.ndarray, threads: int) -> None:
        from usearch.index import Index

        self.index = Index(ndim=base.shape[1], metric="cos", dtype=self.scalar, connectivity=16, expansion_add=128)
        self.index.add(np.arange(len(base)), base, threads=threads)

    def set_effort(self, effort: int) -> None:
        self.index.expansion_search = effort

    def set_threads(self, threads: int) -> None:
        self.threads = threads

    def one(self, query: np.ndarray) -> np.ndarray:
        return self.index.search(query, K, threads=1).keys

    def many(self, queries: np.ndarray) -> np.ndarray:
        return self.index.search(queries, K, threads=self.threads).keys


class Scann:
    efforts = [2, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128]

    def build(self, base: np.ndarray, threads: int) -> None:
        import scann

        leaves = int(2 * math.sqrt(len(base)))
        self.about = f"tree of {leaves} leaves, anisotropic hashing of 2 dimensions, 100 re-scored"
        builder = scann.scann_ops_pybind.builder(base, K, "dot_product").set_n_training_threads(threads)
        builder = builder.tree(num_leaves=leaves, num_leaves_to_search=leaves // 20, training_sample_size=min(len(base), 250_000))
        self.index = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100).build()

    def set_effort(self, effort: int) -> None:
        self.effort = effort

    def set_threads(self, threads: int) -> None:
        self.threads = threads
        self.index.set_num_threads(threads)

    def one(self, query: np.ndarray) -> np.ndarray:
        return self.index.search(query, final_num_neighbors=K, leaves_to_search=self.effort)[0]

    def many(self, queries: np.ndarray) -> np.ndarray:
        call = self.index.search_batched if self.threads == 1 else self.index.search_batched_parallel
        return call(queries, final_num_neighbors=K, leaves_to_search=self.effort)[0]


class Vsag:
    about = "hgraph, sq8_uniform with float32 re-scoring, max_degree=32, ef_construction=300"
    efforts = [10, 14, 20, 28, 40, 60, 80, 120, 200, 320, 500]

    def build(self, base: np.ndarray, threads: int) -> None:
        import pyvsag

        index = {"base_quantization_type": "sq8_uniform", "use_reorder": True, "precise_quantization_type": "fp32", "max_degree": 32,
                 "ef_construction": 300, "build_thread_count": threads, "hgraph_init_capacity": len(base)}
        self.index = pyvsag.Index("hgraph", json.dumps({"dtype": "float32", "metric_type": "ip", "dim": base.shape[1], "index_param": index}))
        self.index.build(vectors=base.reshape(-1), ids=np.arange(len(base), dtype=np.int64), num_elements=len(base), dim=base.shape[1])

    def set_effort(self, effort: int) -> None:
        self.parameters = json.dumps({"hgraph": {"ef_search": effort}})

    def set_threads(self, threads: int) -> None: ...

    def one(self, query: np.ndarray) -> np.ndarray:
        return self.index.knn_search(vector=query, k=K, parameters=self.parameters)[0]

    many = None  # it has no batched call


class ScalableVs:
    efforts = [10, 12, 14, 17, 20, 24, 30, 40, 50, 60, 75, 90, 140, 220, 350]

    def build(self, base: np.ndarray, threads: int) -> None:
        import svs

        built = svs.VamanaBuildParameters(alpha=0.95, graph_max_degree=64, window_size=200, prune_to=60)
        graph = "Vamana, graph_max_degree=64, window_size=200"
        if "GenuineIntel" not in pathlib.Path("/proc/cpuinfo").read_text():
            self.about = f"{graph}, float16 (its LVQ needs an Intel processor)"
            self.index = svs.Vamana.build(built, base.astype(np.float16), svs.DistanceType.MIP, num_threads=threads)
            return
        self.about = f"{graph}, LVQ4x8 turbo"
        with tempfile.TemporaryDirectory() as folder:  # LVQ reads its vectors from a file
            svs.write_vecs(base, f"{folder}/base.fvecs")
            vectors = svs.VectorDataLoader(f"{folder}/base.fvecs", svs.DataType.float32, dims=base.shape[1])
            loader = svs.LVQLoader(vectors, primary=4, residual=8, strategy=svs.LVQStrategy.Turbo)
            self.index = svs.Vamana.build(built, loader, svs.DistanceType.MIP, num_threads=threads)

    def set_effort(self, effort: int) -> None:
        self.index.search_window_size = effort

    def set_threads(self, threads: int) -> None:
        self.index.num_threads = threads

    def one(self, query: np.ndarray) -> np.ndarray:
        return self.index.search(query[None], K)[0][0]

    def many(self, queries: np.ndarray) -> np.ndarray:
        return self.index.search(queries, K)[0]


# Name -> (the PyPI package, the module that shows it is there, how to make one).
LIBRARIES: dict[str, tuple[str, str, Callable[[], Library]]] = {
    "hnswlib": ("hnswlib", "hnswlib", Hnswlib),
    "faiss-hnsw": ("faiss-cpu", "faiss", FaissHnsw),
    "faiss-hnsw-refined": ("faiss-cpu", "faiss", FaissHnswRefined),
    "faiss-ivf": ("faiss-cpu", "faiss", FaissIvf),
    "usearch-f16": ("usearch", "usearch", lambda: Usearch("f16")),
    "usearch-i8": ("usearch", "usearch", lambda: Usearch("i8")),
    "scann": ("scann", "scann", Scann),
    "vsag": ("pyvsag", "pyvsag", Vsag),
    "svs": ("scalable-vs", "svs", ScalableVs),
}
