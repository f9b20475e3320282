"""Snapshots of a namespace over the wire: what comes back, what is refused, and a server that dies in the middle."""

from __future__ import annotations

import hashlib
import os
import pathlib
import random
import threading
import time

import pytest

from support.flow import add_texts, all_documents, new_bucket, new_namespace, process, submit, unique
from support.server import Client, Server
from support.snapshots import TEXTS, World, everything, files_of, long_text, object_bytes, ranking, restart, restore, search, snapshot, take, verify, wait_for


@pytest.fixture()
def world(fresh_server: Server) -> World:
    return World(fresh_server.client())


def test_a_namespace_comes_back_in_place(fresh_server: Server, world: World) -> None:
    client = world.client
    seen, hits = everything(client), search(client, [world.first, world.second])
    taken = take(client)
    checked = verify(client, taken)
    assert checked["restorable"] and checked["issues"] == [] and checked["collections_verified"] == 2 and checked["digests_verified"] > 4
    world.spoil()
    assert everything(client) != seen
    begun = restore(client, taken, confirm_in_place=True)
    assert begun["target_namespace_id"] == client.namespace
    task = wait_for(client, begun["task_id"])
    assert task["status"] == "COMPLETED", task
    assert everything(client) == seen and search(client, [world.first, world.second]) == hits
    report = snapshot(client, taken)["last_restore"]
    assert report["complete"] and report["vector_restored"] == 10 and {c["restored"] for c in report["collections"]} == {5}
    assert [d["score"] for d in client.ok("POST", f"/v1/retrievers/{world.retriever}/execute", {"inputs": {"query": "a sleeping pet"}})["results"]] == [h[1] for h in hits]
    fresh_server.stop()
    fresh_server.start()
    client.url = fresh_server.url
    assert search(client, [world.first, world.second]) == hits and everything(client) == seen
    # It goes on living: new objects, old ones again, and back once more.
    assert process(client, world.bucket, add_texts(client, world.bucket, ["A kitten dozes in the sun."]))["status"] == "COMPLETED"
    assert process(client, world.bucket, world.objects)["status"] == "COMPLETED"
    assert len(all_documents(client, world.first)) == 6 == len(all_documents(client, world.second))
    assert wait_for(client, restore(client, taken, confirm_in_place=True)["task_id"])["status"] == "COMPLETED"
    assert search(client, [world.first, world.second]) == hits


def test_another_namespace_gets_a_copy_of_its_own(fresh_server: Server, world: World) -> None:
    client = world.client
    seen, hits = everything(client), search(client, [world.first, world.second])
    taken = take(client)
    name = unique("copy")
    begun = restore(client, taken, target_namespace_name=name)
    copy = client.within(begun["target_namespace_id"])
    assert wait_for(client, begun["task_id"])["status"] == "COMPLETED"
    assert copy.ok("GET", f"/v1/namespaces/{name}")["namespace_id"] == copy.namespace
    assert everything(client) == seen and search(client, [world.first, world.second]) == hits
    collections = copy.ok("POST", "/v1/collections/list", {})["results"]
    ids = {c["collection_name"]: c["collection_id"] for c in collections}
    names = {c["collection_id"]: c["collection_name"] for c in seen["collections"]}
    assert set(ids) == set(names.values()) and not set(ids.values()) & set(names)
    copied = search(copy, [ids[names[world.first]], ids[names[world.second]]])
    assert [(h[0], h[1], h[3]) for h in copied] == [(h[0], h[1], h[3]) for h in hits]
    # Lineage leads to objects of the copy, and processing them again replaces what was copied.
    bucket = copy.ok("POST", "/v1/buckets/list", {})["results"][0]["bucket_id"]
    objects = [o["object_id"] for o in copy.ok("POST", f"/v1/buckets/{bucket}/objects/list", {})["results"]]
    documents = all_documents(copy, ids[names[world.first]])
    assert {d["root_object_id"] for d in documents} == set(objects) and {d["root_bucket_id"] for d in documents} == {bucket}
    assert not set(objects) & set(world.objects)
    assert process(copy, bucket, objects)["status"] == "COMPLETED"
    assert len(all_documents(copy, ids[names[world.first]])) == len(TEXTS)
    # The source goes; the copy and the snapshot stay.
    client.ok("DELETE", f"/v1/namespaces/{client.namespace}")
    assert len(search(copy, list(ids.values()))) == 2 * len(TEXTS)
    assert verify(client, taken)["restorable"]


def test_a_deleted_namespace_comes_back(fresh_server: Server, world: World) -> None:
    client = world.client
    seen, hits = everything(client), search(client, [world.first, world.second])
    taken = take(client)
    client.ok("DELETE", f"/v1/namespaces/{client.namespace}")
    assert client("GET", f"/v1/namespaces/{client.namespace}").status == 404
    listed = client.ok("POST", f"/v1/namespaces/{client.namespace}/snapshots/list", {})
    assert [s["snapshot_id"] for s in listed["results"]] == [taken] and listed["total_count"] == 1
    assert restore(client, taken, confirm_in_place=True)["target_namespace_id"] == client.namespace
    client.wait_until("GET", f"/v1/namespaces/{client.namespace}/snapshots/{taken}", lambda s: "last_restore" in s)
    assert everything(client) == seen and search(client, [world.first, world.second]) == hits


def test_bytes_of_objects_by_copy_and_by_reference(fresh_server: Server) -> None:
    client = new_namespace(fresh_server.client())
    bucket = new_bucket(client)
    object_id = long_text(client, bucket)
    assert object_bytes(client, bucket, object_id) == 120_000
    by_copy, by_reference = take(client, copy_s3_objects=True), take(client)
    client.ok("DELETE", f"/v1/buckets/{bucket}/objects/{object_id}")
    missing = verify(client, by_reference)
    assert missing["restorable"] and [(i["code"], i["severity"]) for i in missing["issues"]] == [("blob_missing", "warning")]
    assert object_id in missing["issues"][0]["detail"]
    assert verify(client, by_copy)["issues"] == []
    begun = restore(client, by_copy, target_namespace_name=unique("copy"))
    assert wait_for(client, begun["task_id"])["status"] == "COMPLETED"
    copy = client.within(begun["target_namespace_id"])
    its_bucket = copy.ok("POST", "/v1/buckets/list", {})["results"][0]["bucket_id"]
    its_object = copy.ok("POST", f"/v1/buckets/{its_bucket}/objects/list", {})["results"][0]["object_id"]
    assert object_bytes(copy, its_bucket, its_object) == 120_000
    assert wait_for(client, restore(client, by_copy, confirm_in_place=True)["task_id"])["status"] == "COMPLETED"
    assert object_bytes(client, bucket, object_id) == 120_000
    client.ok("DELETE", f"/v1/buckets/{bucket}/objects/{object_id}")
    begun = restore(client, by_reference, target_namespace_name=unique("copy"))
    assert wait_for(client, begun["task_id"])["status"] == "COMPLETED"
    report = snapshot(client, by_reference)["last_restore"]
    assert not report["complete"] and object_id in report["skipped_summary"][0]
    # The copy's bytes are its own: they outlive its source's.
    assert object_bytes(copy, its_bucket, its_object) == 120_000


def test_damage_is_named_and_nothing_changes(fresh_server: Server, world: World) -> None:
    client = world.client
    taken = take(client)
    seen = everything(client)
    files = files_of(fresh_server, client, taken)
    assert {p.name for p in files} >= {"manifest.json", "00000001.jsonl", "00000000000000000000.json"}
    for path in files:
        whole = path.read_bytes()
        spoilt = bytearray(whole)
        spoilt[len(spoilt) // 2] ^= 1
        path.write_bytes(spoilt)
        checked = verify(client, taken)
        assert not checked["restorable"] and any(str(path.relative_to(fresh_server.data / "objects")) in i["detail"] for i in checked["issues"]), path
        path.unlink()
        checked = verify(client, taken)
        assert not checked["restorable"] and any(str(path.relative_to(fresh_server.data / "objects")) in i["detail"] for i in checked["issues"]), path
        path.write_bytes(whole)
    assert verify(client, taken)["restorable"]
    before = {p for p in (fresh_server.data / "objects").rglob("*") if p.is_file()}
    victim = next(p for p in files if p.suffix == ".parquet")
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    task = wait_for(client, restore(client, taken, confirm_in_place=True)["task_id"])
    assert task["status"] == "FAILED" and victim.name in task["error"]
    begun = restore(client, taken, target_namespace_name=unique("copy"))
    assert wait_for(client, begun["task_id"])["status"] == "FAILED"
    assert client("GET", f"/v1/namespaces/{begun['target_namespace_id']}").status == 404
    assert everything(client) == seen
    assert {p for p in (fresh_server.data / "objects").rglob("*") if p.is_file()} == before


def test_readers_see_all_of_the_old_or_all_of_the_new(world: World) -> None:
    client, both = world.client, [world.first, world.second]
    taken = take(client)
    assert process(client, world.bucket, add_texts(client, world.bucket, ["A kitten dozes in the sun.", "Rain."]))["status"] == "COMPLETED"
    seen: list[list[tuple[int, int]]] = [[] for _ in range(3)]  # by each reader, in its order
    faults: list[Exception] = []
    done = threading.Event()

    def look() -> tuple[int, int]:
        hits = search(client, both)
        return tuple(sum(h[2] == c for h in hits) for c in both)

    def watch(observed: list[tuple[int, int]]) -> None:
        while not done.is_set():
            try:
                observed.append(look())
            except Exception as e:  # noqa: BLE001: told by the test's own thread
                faults.append(e)
                return

    watchers = [threading.Thread(target=watch, args=(observed,)) for observed in seen]
    for w in watchers:
        w.start()
    try:
        for _ in range(3):
            assert look() == (7, 7)
            assert wait_for(client, restore(client, taken, confirm_in_place=True)["task_id"])["status"] == "COMPLETED"
            assert look() == (5, 5)
            assert process(client, world.bucket, add_texts(client, world.bucket, ["A kitten dozes in the sun.", "Rain."]))["status"] == "COMPLETED"
        assert wait_for(client, restore(client, taken, confirm_in_place=True)["task_id"])["status"] == "COMPLETED"
    finally:
        done.set()
        for w in watchers:
            w.join()
    assert not faults, faults[0]
    # A batch adds to one collection after the other; a restore takes from both at once.
    for observed in seen:
        assert set(drops(observed)) <= {(5, 5)}, observed


def drops(observed: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What was seen right after less was seen than before: states that a restore made."""
    return [now for before, now in zip(observed, observed[1:]) if sum(now) < sum(before)]


def test_refusals(fresh_server: Server, world: World) -> None:
    client = world.client
    taken = take(client)
    at = f"/v1/namespaces/{client.namespace}/snapshots"
    refused = client("POST", f"{at}/{taken}/restore", {})
    assert refused.status == 400 and "confirm_in_place" in refused.body["error"]["message"]
    name = client.ok("GET", f"/v1/namespaces/{client.namespace}")["namespace_name"]
    assert client("POST", f"{at}/{taken}/restore", {"target_namespace_name": name}).status == 400  # its own name is in place
    taken_name = unique("taken")
    new_namespace(fresh_server.client(), taken_name)
    assert client("POST", f"{at}/{taken}/restore", {"target_namespace_name": taken_name}).status == 409
    for body in ({"restore_point": 7, "confirm_in_place": True}, {"isolated": True, "target_namespace_name": unique("x")}):
        assert client("POST", f"{at}/{taken}/restore", body).status == 501
        assert "target_namespace_name" in client("POST", f"{at}/{taken}/restore", body).body["error"]["message"] or "restore_point" in body
    assert client("POST", at, {"import_from": {"bucket": "b", "prefix": "p"}}).status == 400
    for method, path in (("GET", ""), ("GET", "/verify"), ("POST", "/restore"), ("DELETE", "")):
        assert client(method, f"{at}/snap_absent{path}", {} if method == "POST" else None).status == 404
        assert client(method, f"/v1/namespaces/ns_absent/snapshots/{taken}{path}", {} if method == "POST" else None).status == 404
    bare = take(client, include_vectors=False)
    assert client("POST", f"{at}/{bare}/restore", {"confirm_in_place": True}).status == 400
    begun = restore(client, bare, target_namespace_name=unique("bare"))
    assert wait_for(client, begun["task_id"])["status"] == "COMPLETED"
    copy = client.within(begun["target_namespace_id"])
    assert {c["document_count"] for c in copy.ok("POST", "/v1/collections/list", {})["results"]} == {0}
    client.ok("DELETE", f"{at}/{taken}")
    assert client("GET", f"{at}/{taken}").status == 404
    client.ok("DELETE", f"{at}/{bare}")
    assert not [p for p in (fresh_server.data / "objects").rglob("snap_*/**/*") if p.is_file()]


def test_a_batch_that_runs_is_in_the_way(world: World) -> None:
    client = world.client
    taken = take(client)
    batch = submit(client, world.bucket, add_texts(client, world.bucket, [f"Sentence number {i} of many." for i in range(300)]))
    refused = client("POST", f"/v1/namespaces/{client.namespace}/snapshots/{taken}/restore", {"confirm_in_place": True})
    assert refused.status == 409 and refused.body["error"]["details"]["retryable"]
    again = take(client)  # while the batch runs
    assert client.wait_for_batch(world.bucket, batch)["status"] == "COMPLETED"
    assert verify(client, again)["restorable"]
    assert wait_for(client, restore(client, taken, confirm_in_place=True)["task_id"])["status"] == "COMPLETED"
    assert len(all_documents(client, world.first)) == len(TEXTS)


def test_download_links_are_the_files(fresh_server: Server, world: World) -> None:
    client = world.client
    taken = take(client)
    download = snapshot(client, taken, "?download=true")["download"]
    assert len(download["artifacts"]) == len(files_of(fresh_server, client, taken))
    assert download["artifacts"][-1]["path"] == "manifest.json"
    for artifact in download["artifacts"]:
        content = client.pool.request("GET", artifact["url"]).data
        assert len(content) == artifact["size"] and hashlib.sha256(content).hexdigest() == artifact["sha256"], artifact


def test_kill_at_any_moment(fresh_server: Server, world: World, request, is_long: bool) -> None:
    """Tasks that a kill -9 interrupts end after the restart, with a whole snapshot and a namespace that is old or new."""
    seed = request.config.getoption("--seed") or int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed} (repeat with --seed {seed})")
    rng = random.Random(seed)
    client = world.client
    assert process(client, world.bucket, add_texts(client, world.bucket, [f"Sentence number {i}." for i in range(100)]))["status"] == "COMPLETED"
    both = [world.first, world.second]
    seen, hits = everything(client), ranking(client, both)
    started = time.monotonic()
    calm = take(client)
    calm_s = time.monotonic() - started
    for _ in range(20 if is_long else 4):
        begun = client.ok("POST", f"/v1/namespaces/{client.namespace}/snapshots", {})
        time.sleep(rng.uniform(0, calm_s))  # the moment of the kill is what is drawn
        restart(fresh_server, client)
        assert wait_for(client, begun["task_id"])["status"] == "COMPLETED", f"seed {seed}"
        assert verify(client, begun["snapshot_id"])["restorable"], f"seed {seed}"
    assert len(client.ok("POST", f"/v1/namespaces/{client.namespace}/snapshots/list?limit=100", {})["results"]) == (21 if is_long else 5)
    for _ in range(20 if is_long else 4):
        assert process(client, world.bucket, add_texts(client, world.bucket, ["One more."]))["status"] == "COMPLETED"
        newer = ranking(client, both)
        begun = restore(client, calm, confirm_in_place=True)
        time.sleep(rng.uniform(0, 2 * calm_s))
        restart(fresh_server, client)
        assert ranking(client, both) in (hits, newer), f"seed {seed}"
        assert wait_for(client, begun["task_id"])["status"] == "COMPLETED", f"seed {seed}"
        assert everything(client) == seen, f"seed {seed}"


def test_snapshots_that_nobody_asks_for(tmp_path: pathlib.Path) -> None:
    settings = {"QUARRY_SNAPSHOTS_DAILY_DAYS": "2", "QUARRY_SNAPSHOTS_PRE_DELETE_DAYS": "30", "QUARRY_SNAPSHOTS_INTERVAL_MS": "50"}
    with Server(tmp_path / "data", env=settings) as server:
        world = World(server.client())
        client, at = world.client, f"/v1/namespaces/{world.client.namespace}/snapshots/list"
        daily = client.wait_until("POST", at, lambda r: r["results"] and r["results"][0]["status"] == "completed")["results"]
        assert [s["snapshot_type"] for s in daily] == ["daily"] and daily[0]["expires_at"] > daily[0]["created_at"]
        seen, hits = everything(client), search(client, [world.first, world.second])
        long_object = long_text(client, world.bucket)
        restart(server, client)  # it knows that today's is there
        taken = client.ok("DELETE", f"/v1/namespaces/{client.namespace}")["snapshot_id"]
        assert client("GET", f"/v1/namespaces/{client.namespace}").status == 404
        assert [(s["snapshot_id"], s["snapshot_type"]) for s in client.ok("POST", at, {})["results"]] == [(taken, "pre_delete"), (daily[0]["snapshot_id"], "daily")]
        restore(client, taken, confirm_in_place=True)
        client.wait_until("GET", f"/v1/namespaces/{client.namespace}/snapshots/{taken}", lambda s: "last_restore" in s)
        assert object_bytes(client, world.bucket, long_object) == 120_000
        client.ok("DELETE", f"/v1/buckets/{world.bucket}/objects/{long_object}")
        assert everything(client) == seen and search(client, [world.first, world.second]) == hits
