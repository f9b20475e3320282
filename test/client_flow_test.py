"""The published Python client of the contract runs the whole flow, unmodified."""

from __future__ import annotations

import time

import mixpeek

from support.flow import unique  # noqa: E402
from support.server import KEY, TERMINAL, Server  # noqa: E402


def test_whole_flow(server: Server) -> None:
    name = unique("client")
    root = mixpeek.Mixpeek(KEY, base_url=server.url + "/v1")
    namespace = root.namespaces.create(name=name)
    client = mixpeek.Mixpeek(KEY, namespace=namespace["namespace_id"], base_url=server.url + "/v1")

    bucket = client.buckets.create(name="articles", bucket_schema={"properties": {"content": {"type": "text"}}})
    bucket_id = bucket["bucket_id"]
    collection = client.collections.create(
        name="article_texts",
        source={"type": "bucket", "bucket_ids": [bucket_id]},
        feature_extractor={"feature_extractor_name": "text_extractor", "version": "v1"},
    )
    collection_id = collection["collection_id"]
    for text in ("Bees make honey from nectar.", "The train to the coast leaves at noon."):
        client.buckets.upload(bucket_id, data=text)
    assert len(client.buckets.list_objects(bucket_id, page_size=1)["results"]) == 1

    triggered = client.collections.trigger(collection_id)
    deadline = time.monotonic() + 120
    while (task := client.tasks.get(triggered["task_id"]))["status"] not in TERMINAL:
        assert time.monotonic() < deadline, task
        time.sleep(0.1)
    assert task["status"] == "COMPLETED"

    found = client.search("insects and sweet food", collection=collection_id, limit=2)
    results = found["results"] if isinstance(found, dict) else found
    assert "honey" in results[0]["text"]
    documents = client.documents.list(collection_id)
    assert len(documents["results"]) == 2
    assert client.buckets.list() and client.collections.list() and root.namespaces.list()
    client.collections.delete(collection_id)
    client.buckets.delete(bucket_id)
    root.namespaces.delete(namespace["namespace_id"])


def test_own_vectors(server: Server) -> None:
    root = mixpeek.Mixpeek(KEY, base_url=server.url + "/v1")
    name = unique("own-vectors")
    root.namespaces.create(namespace_id=name, vector_configs=[{"name": "dense", "dimension": 4, "metric": "cosine"}])
    client = mixpeek.Mixpeek(KEY, namespace=name, base_url=server.url + "/v1")
    documents = [{"document_id": f"d{i}", "vectors": {"dense": [float(i == j) for j in range(4)]}, "payload": {"i": i}} for i in range(4)]
    client.namespaces.documents.upsert(namespace_id=name, documents=documents)
    entry = {"vector_name": "dense", "vector": [0.0, 0.0, 1.0, 0.0], "top_k": 2}
    found = client.search(namespace_id=name, queries=[entry])
    assert [r.document_id for r in found.results] == ["d2", "d0"]
    assert found.results[0].score == 1.0
