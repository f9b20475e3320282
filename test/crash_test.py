"""kill -9 at random moments of a batch, then restart: the batch finishes, no document is lost or doubled."""

from __future__ import annotations

import os
import random
import threading
import time

import pytest

from support.flow import add_texts, all_documents, new_bucket, new_namespace, new_text_collection, submit
from support.server import TERMINAL, Server

OBJECTS = 120
KILLS = 4


def sentences(rng: random.Random, count: int) -> str:
    words = "river stone quiet engine paper winter signal garden copper thread window market yellow forest".split()
    return " ".join(" ".join(rng.choices(words, k=9)).capitalize() + "." for _ in range(count))


def expected_documents(client, bucket: str, collection_parameters: dict, texts: list[str]) -> dict[str, int]:
    """Documents per object, from a run that nothing disturbs."""
    collection = new_text_collection(client, bucket, parameters=collection_parameters)
    ids = add_texts(client, bucket, texts)
    batch = submit(client, bucket, ids, collection_ids=[collection])
    assert client.wait_for_batch(bucket, batch)["status"] == "COMPLETED"
    counts = dict.fromkeys(ids, 0)
    for d in all_documents(client, collection):
        counts[d["root_object_id"]] += 1
    return counts


def kill_soon(server: Server, delay_s: float) -> None:
    time.sleep(delay_s)
    server.kill()


@pytest.mark.parametrize("round_", range(3))
def test_killed_batches_finish_exactly_once(tmp_path, request, is_long, round_):
    seed = request.config.getoption("--seed") or int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed} (repeat with --seed {seed})")
    rng = random.Random(seed)
    texts = [sentences(rng, rng.randint(1, 30)) for _ in range(OBJECTS)]
    parameters = {"split_by": "sentences", "chunk_size": 4}
    server = Server(tmp_path / "data").start()
    try:
        client = new_namespace(server.client(), "crash")
        bucket = new_bucket(client)
        started = time.monotonic()
        calm = sorted(expected_documents(client, bucket, parameters, texts).values())
        calm_s = time.monotonic() - started

        victim_bucket = new_bucket(client)
        collection = new_text_collection(client, victim_bucket, parameters=parameters)
        ids = add_texts(client, victim_bucket, texts)
        batch = submit(client, victim_bucket, ids)
        for _ in range(KILLS * (4 if is_long else 1)):
            killer = threading.Thread(target=kill_soon, args=(server, rng.uniform(0.0, calm_s / 2)))
            killer.start()
            killer.join()
            server.start()
            client.url = server.url
            if client.ok("GET", f"/v1/buckets/{victim_bucket}/batches/{batch}")["status"] in TERMINAL:
                break
        done = client.wait_for_batch(victim_bucket, batch)
        assert done["status"] == "COMPLETED", f"seed {seed}: {done}"
        documents = all_documents(client, collection)
        assert len({d["document_id"] for d in documents}) == len(documents), f"seed {seed}: doubled documents"
        counts = dict.fromkeys(ids, 0)
        positions: set[tuple[str, int]] = set()
        for d in documents:
            counts[d["root_object_id"]] += 1
            positions.add((d["root_object_id"], d["chunk_index"]))
        assert sorted(counts.values()) == calm, f"seed {seed}: lost documents"
        assert len(positions) == len(documents), f"seed {seed}: a chunk is there twice"
        assert client.ok("GET", f"/v1/collections/{collection}/documents/count")["count"] == len(documents)
    finally:
        server.stop()


def test_acknowledged_upserts_survive(tmp_path, request):
    """Every upsert that was answered before the kill is there after it; one in flight is there whole or not at all."""
    seed = request.config.getoption("--seed") or int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    rng = random.Random(seed)
    server = Server(tmp_path / "data").start()
    acknowledged: list[int] = []
    try:
        client = server.client()
        client.ok("POST", "/v1/namespaces/standalone", {"namespace_id": "own", "vector_configs": [{"name": "v", "dimension": 8}]})
        for life in range(3):
            stop_after = time.monotonic() + rng.uniform(0.2, 1.0)
            killer = threading.Thread(target=kill_soon, args=(server, stop_after - time.monotonic()))
            killer.start()
            sequence = life * 100_000
            try:
                while True:
                    documents = [{"document_id": f"d{sequence}-{i}", "vectors": {"v": [rng.uniform(-1, 1) for _ in range(8)]}, "payload": {"n": sequence}} for i in range(20)]
                    client.ok("POST", "/v1/namespaces/own/documents/upsert", {"documents": documents})
                    acknowledged.append(sequence)
                    sequence += 1
            except Exception as error:  # noqa: BLE001 - the kill shows as any of several connection errors
                assert not isinstance(error, AssertionError), error
            killer.join()
            server.start()
            client.url = server.url
            for n in acknowledged:
                for i in (0, 19):
                    assert client("GET", f"/v1/namespaces/own/documents/d{n}-{i}").status == 200, f"seed {seed}: lost d{n}-{i}"
            in_flight = [client("GET", f"/v1/namespaces/own/documents/d{sequence}-{i}").status for i in range(20)]
            assert len(set(in_flight)) == 1, f"seed {seed}: half of an upsert: {in_flight}"
            if in_flight[0] == 200:
                acknowledged.append(sequence)
    finally:
        server.stop()
