"""Snapshots over the wire: taken, looked at, brought back, and what a user sees of a namespace before and after."""

from __future__ import annotations

import pathlib

from .flow import add_texts, all_documents, new_bucket, new_namespace, new_text_collection, process, search_body, unique
from .server import TERMINAL, Client, Server

TEXTS = ["The cat sleeps on the warm windowsill.", "A bank raised its rate.", "Bees make honey.", "The ship lies in the harbour.", "Snow fell all night."]


def take(client: Client, **options: object) -> str:
    """A completed snapshot's id."""
    begun = client.ok("POST", f"/v1/namespaces/{client.namespace}/snapshots", options)
    task = wait_for(client, begun["task_id"])
    assert task["status"] == "COMPLETED", task
    shown = snapshot(client, begun["snapshot_id"])
    assert shown["status"] == "completed" and shown["manifest"]["snapshot_id"] == begun["snapshot_id"]
    return begun["snapshot_id"]


def wait_for(client: Client, task_id: str, timeout_s: float = 120) -> dict:
    return client.wait_until("GET", f"/v1/tasks/{task_id}", lambda t: t["status"] in TERMINAL, timeout_s)


def snapshot(client: Client, snapshot_id: str, suffix: str = "") -> dict:
    return client.ok("GET", f"/v1/namespaces/{client.namespace}/snapshots/{snapshot_id}{suffix}")


def verify(client: Client, snapshot_id: str) -> dict:
    return snapshot(client, snapshot_id, "/verify?deep=true")


def restore(client: Client, snapshot_id: str, **target: object) -> dict:
    return client.ok("POST", f"/v1/namespaces/{client.namespace}/snapshots/{snapshot_id}/restore", target)


def search(client: Client, collections: list[str], text: str = "a sleeping pet") -> list[tuple]:
    reply = client.ok("POST", "/v1/retrievers/execute", search_body(collections, text, 500))
    return [(r["document_id"], r["score"], r["collection_id"], r["_source_tier"]) for r in reply["results"]]


def ranking(client: Client, collections: list[str]) -> list[tuple]:
    """The hits without their tier: a table that was just replaced is served cold to the requests that still read it."""
    return [h[:3] for h in search(client, collections)]


def everything(client: Client) -> dict:
    """What a user sees of a namespace, but for its id and when rows were last touched."""
    found: dict = {}
    for kind in ("buckets", "collections", "retrievers"):
        rows = client.ok("POST", f"/v1/{kind}/list?limit=1000", {})["results"]
        found[kind] = sorted(({k: v for k, v in r.items() if k not in ("updated_at", "last_upload_at")} for r in rows), key=str)
    for bucket in found["buckets"]:
        rows = client.ok("POST", f"/v1/buckets/{bucket['bucket_id']}/objects/list?limit=1000", {})["results"]
        found[bucket["bucket_id"]] = sorted(((o["object_id"], o["status"], o.get("note")) for o in rows), key=str)
    for collection in found["collections"]:
        if collection.get("lifecycle_state") != "archived":
            found[collection["collection_id"]] = sorted((d["document_id"], str(d).replace(client.url, "").replace(str(client.namespace), "")) for d in all_documents(client, collection["collection_id"]))
    return found


class World:
    """A namespace with two collections over a bucket, the second one cold, and a retriever."""

    def __init__(self, root: Client):
        self.client = new_namespace(root)
        self.bucket = new_bucket(self.client)
        self.first, self.second = (new_text_collection(self.client, self.bucket) for _ in range(2))
        self.objects = add_texts(self.client, self.bucket, TEXTS, topic="kept")
        assert process(self.client, self.bucket, self.objects)["status"] == "COMPLETED"
        stored = {k: v for k, v in search_body([self.first, self.second], "x").items() if k != "inputs"}
        self.retriever = self.client.ok("POST", "/v1/retrievers", {"retriever_name": unique("stored"), **stored})["retriever_id"]
        self.client.ok("PATCH", f"/v1/collections/{self.second}/lifecycle", {"lifecycle_state": "cold", "async_transition": False})

    def spoil(self) -> None:
        """Changes of every kind."""
        c = self.client
        assert process(c, self.bucket, add_texts(c, self.bucket, ["A kitten dozes in the sun."]))["status"] == "COMPLETED"
        document = all_documents(c, self.first)[0]["document_id"]
        c.ok("PATCH", f"/v1/collections/{self.first}/documents/{document}", {"mood": "changed"})
        c.ok("DELETE", f"/v1/buckets/{self.bucket}/objects/{self.objects[0]}")
        c.ok("DELETE", f"/v1/retrievers/{self.retriever}")
        c.ok("DELETE", f"/v1/collections/{self.second}")
        c.ok("PATCH", f"/v1/collections/{self.first}/lifecycle", {"lifecycle_state": "archived", "async_transition": False})
        other = new_bucket(c)
        new_text_collection(c, other)


def long_text(client: Client, bucket: str) -> str:
    """An object whose text is too long for its row: its bytes are a file."""
    return add_texts(client, bucket, ["honey " * 20_000])[0]


def object_bytes(client: Client, bucket: str, object_id: str) -> int:
    shown = client.ok("GET", f"/v1/buckets/{bucket}/objects/{object_id}?return_presigned_urls=true")
    url = shown["blobs"][0].get("presigned_url") or shown["blobs"][0]["details"]["presigned_url"]
    reply = client("GET", url)
    return len(reply.raw) if reply.status == 200 else -reply.status


def files_of(server: Server, client: Client, snapshot_id: str) -> list[pathlib.Path]:
    folder = server.data / "objects" / snapshot(client, snapshot_id)["s3_prefix"]
    return sorted(p for p in folder.rglob("*") if p.is_file())


def restart(server: Server, client: Client) -> None:
    server.kill()
    server.start()
    client.url = server.url
