"""Writes of a Quarry client that go on while a test does something else, and that can be paused for a picture of what is there."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from typing import Iterator

from .flow import all_documents, unique
from .server import Client


class Traffic:
    """Upserts, patches and deletes of documents "<prefix>0".."<prefix>39" of a namespace with own vectors, on one thread."""

    def __init__(self, client: Client, seed: int, prefix: str = "ours-"):
        name = unique("traffic")
        configs = [{"name": "dense", "dimension": 3}, {"name": "words", "type": "sparse"}, {"name": "tokens", "type": "multi_dense", "dimension": 2}]
        made = client.ok("POST", "/v1/namespaces/standalone", {"namespace_id": name, "vector_configs": configs})
        self.client = client.within(name)
        self.namespace, self.collection = name, made["default_collection_id"]
        self.random, self.prefix, self.writes = random.Random(seed), prefix, 0
        self._failure: BaseException | None = None
        self._stopping = threading.Event()
        self._one_at_a_time = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Traffic":
        self.upsert([self.document(self.id()) for _ in range(20)])
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(timeout=60)
        if self._failure is not None:
            raise self._failure

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        with self._one_at_a_time:
            assert self._failure is None, self._failure
            yield

    def wait_for_writes(self, count: int) -> None:
        """Until so many writes were made in all."""
        while self.writes < count:
            assert self._failure is None, self._failure
            time.sleep(0.01)

    def id(self) -> str:
        return f"{self.prefix}{self.random.randrange(40)}"

    def document(self, document_id: str) -> dict:
        n = self.random.randrange(1000)
        vectors: dict = {"dense": [1.0, float(n), 0.5]}
        if n % 3:
            vectors["words"] = {"indices": sorted(self.random.sample(range(4_000_000_000), 3)), "values": [1.0, 0.5, float(n)]}
        if n % 2:
            vectors["tokens"] = [[float(n), 1.0]] * self.random.randrange(1, 4)
        return {"document_id": document_id, "vectors": vectors, "payload": {"n": n}}

    def upsert(self, documents: list[dict]) -> None:
        self.client.ok("POST", f"/v1/namespaces/{self.namespace}/documents/upsert", {"documents": documents})

    def rows(self) -> dict[str, int | None]:
        """{document_id: n} as the server answers."""
        documents = all_documents(self.client, self.collection)
        out = {d["document_id"]: d.get("n") for d in documents}
        assert len(out) == len(documents), "the server lists a document twice"
        return out

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                with self._one_at_a_time:
                    self._write()
                    self.writes += 1
                # Other writers need a gap between two versions that is longer than their change takes, on a busy machine too.
                self._stopping.wait(0.8 if self.writes % 8 == 0 else 0.005)
        except BaseException as e:  # noqa: BLE001 -- told to the test
            self._failure = e

    def _write(self) -> None:
        path = f"/v1/collections/{self.collection}/documents/{self.id()}"
        kind = self.random.randrange(4)
        if kind < 2:
            self.upsert([self.document(self.id()) for _ in range(self.random.randrange(1, 6))])
        elif kind == 2:
            reply = self.client("PATCH", path, {"n": self.random.randrange(1000)})
            assert reply.status in (200, 404), reply.raw
        else:
            reply = self.client("DELETE", path)
            assert reply.status in (200, 204, 404), reply.raw
