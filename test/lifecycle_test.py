"""The lifecycle over the wire: tiers, federated searches over them, and a server that dies in the middle of a change."""

from __future__ import annotations

import random
import threading
import time

import pytest

from support.flow import add_texts, new_bucket, new_namespace, new_text_collection, process, search_body
from support.server import TERMINAL, Server


def move(client, collection: str, state: str, wait: bool = True) -> dict:
    return client.ok("PATCH", f"/v1/collections/{collection}/lifecycle", {"lifecycle_state": state, "async_transition": not wait})


def lifecycle(client, collection: str) -> dict:
    return client.ok("GET", f"/v1/collections/{collection}/lifecycle")


def search(client, collections: list[str], text: str) -> dict:
    return client.ok("POST", "/v1/retrievers/execute", search_body(collections, text))


def scored(reply: dict) -> list[tuple[str, float]]:
    return [(r["document_id"], r["score"]) for r in reply["results"]]


def metadata(reply: dict) -> dict:
    return reply["stage_statistics"]["stages"][0]["metadata"]


@pytest.fixture()
def two(fresh_server: Server):
    """A client, and two collections over a bucket with five texts."""
    client = new_namespace(fresh_server.client())
    bucket = new_bucket(client)
    collections = [new_text_collection(client, bucket) for _ in range(2)]
    texts = ["The cat sleeps on the warm windowsill.", "A bank raised its rate.", "Bees make honey.", "The ship lies in the harbour.", "Snow fell all night."]
    assert process(client, bucket, add_texts(client, bucket, texts))["status"] == "COMPLETED"
    return client, collections, bucket


def test_tiers_answer_alike_across_restarts(fresh_server: Server, two) -> None:
    client, (first, second), _ = two
    before = search(client, [first, second], "a sleeping pet")
    assert {r["_source_tier"] for r in before["results"]} == {"active"} and metadata(before)["source_tiers"] == {"active": 10}
    moved = move(client, first, "cold")
    assert moved["lifecycle_state"] == "cold" and moved["vector_document_count"] == 0 and moved["s3_vector_count"] == 5
    mixed = search(client, [first, second], "a sleeping pet")
    assert scored(mixed) == scored(before)
    assert metadata(mixed)["source_tiers"] == {"active": 5, "cold": 5}
    assert all(r["_source_tier"] == ("cold" if r["collection_id"] == first else "active") for r in mixed["results"])
    fresh_server.stop()
    fresh_server.start()
    client.url = fresh_server.url
    again = search(client, [first, second], "a sleeping pet")  # the first request of this process
    assert scored(again) == scored(before) and metadata(again)["source_tiers"] == {"active": 5, "cold": 5}
    assert move(client, first, "active")["vector_document_count"] == 5
    assert scored(search(client, [first, second], "a sleeping pet")) == scored(before)


def test_cold_takes_writes(two) -> None:
    client, (first, _), bucket = two
    move(client, first, "cold")
    assert process(client, bucket, add_texts(client, bucket, ["A kitten dozes in the sun."]))["status"] == "COMPLETED"
    found = search(client, [first], "a sleeping pet")
    assert len(found["results"]) == 6 and lifecycle(client, first)["lifecycle_state"] == "cold"
    changed = client.ok("PATCH", f"/v1/collections/{first}/documents/{found['results'][0]['document_id']}", {"mood": "calm"})
    assert changed["mood"] == "calm"
    assert client.ok("POST", f"/v1/collections/{first}/documents/list", {"filters": {"AND": [{"field": "mood", "operator": "eq", "value": "calm"}]}})["results"][0]["mood"] == "calm"


def test_archived_alone_and_among_others(two) -> None:
    client, (first, second), _ = two
    assert move(client, first, "archived")["lifecycle_state"] == "archived"
    refused = client("POST", "/v1/retrievers/execute", search_body([first], "x"))
    assert refused.status == 400 and refused.error_type == "BadRequestError"
    assert "Cannot search archived collections" in refused.body["error"]["message"]
    assert refused.body["error"]["details"]["archived_collection_ids"] == [first]
    rest = search(client, [first, second], "x")
    assert metadata(rest)["warnings"] == [f"Skipped archived collections: {first}"] and len(rest["results"]) == 5
    for state in ("active", "cold", "frozen"):
        assert client("PATCH", f"/v1/collections/{first}/lifecycle", {"lifecycle_state": state}).status == 400
    assert client.ok("GET", f"/v1/collections/{first}")["document_count"] == 0


def test_damaged_cold_collection_costs_a_warning(fresh_server: Server, two) -> None:
    client, (first, second), _ = two
    move(client, first, "cold")
    fresh_server.stop()
    files = list((fresh_server.data / "objects").glob(f"*/*/{first}/*.parquet"))
    assert files
    for file in files:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    fresh_server.start()
    client.url = fresh_server.url
    rest = search(client, [first, second], "a sleeping pet")
    assert len(rest["results"]) == 5 and metadata(rest)["source_tiers"] == {"active": 5}
    assert metadata(rest)["warnings"][0].startswith(f"Cold search failed for collection {first}: ")
    assert files[0].name in metadata(rest)["warnings"][0]


def test_bad_requests(two) -> None:
    client, (first, _), _ = two
    path = f"/v1/collections/{first}/lifecycle"
    assert client("PATCH", path, {"lifecycle_state": "boiling"}).status == 422
    assert client("PATCH", path, {}).status == 422
    assert client("PATCH", "/v1/collections/col_absent/lifecycle", {"lifecycle_state": "cold"}).status == 404
    assert client("GET", "/v1/collections/col_absent/lifecycle").status == 404


@pytest.mark.parametrize("state", ["cold", "active", "archived", "frozen"])
def test_killed_change_ends_as_one_state_or_the_other(fresh_server: Server, two, request, state: str, is_long: bool) -> None:
    rng = random.Random(request.config.getoption("--seed") or 7)
    client, (first, second), _ = two
    answers = scored(search(client, [first], "a sleeping pet"))
    for _ in range(8 if is_long else 3):
        before = lifecycle(client, first)["lifecycle_state"]
        if before == "archived":
            break
        if before == state:
            before = move(client, first, "cold" if state == "active" else "active")["lifecycle_state"]
        task = move(client, first, state, wait=False)["task_id"]
        killer = threading.Timer(rng.uniform(0, 0.02), fresh_server.kill)
        killer.start()
        killer.join()
        fresh_server.start()
        client.url = fresh_server.url
        assert lifecycle(client, first)["lifecycle_state"] in (before, state)
        ended = client.wait_until("GET", f"/v1/tasks/{task}", lambda t: t["status"] in TERMINAL)
        assert ended["status"] == "COMPLETED" and ended["additional_data"]["operation"] == "lifecycle_transition", ended
        assert lifecycle(client, first)["lifecycle_state"] == state and "task_id" not in lifecycle(client, first)
        if state == "archived":
            left = (fresh_server.data / "objects").glob(f"*/*/{first}/**/*")  # a kill may leave folders
            assert not [path for path in left if path.is_file()]
        else:
            assert scored(search(client, [first], "a sleeping pet")) == answers


def test_many_changes_at_once_leave_one_state(two) -> None:
    client, (first, _), _ = two
    replies = []

    def change(state: str) -> None:
        for _ in range(5):
            replies.append(client("PATCH", f"/v1/collections/{first}/lifecycle", {"lifecycle_state": state, "async_transition": False}))

    threads = [threading.Thread(target=change, args=(state,)) for state in ("cold", "active", "frozen", "cold")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {r.status for r in replies} <= {200, 409}, [r.raw for r in replies if r.status not in (200, 409)]
    deadline = time.monotonic() + 30
    while "task_id" in lifecycle(client, first) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(search(client, [first], "a sleeping pet")["results"]) == 5
