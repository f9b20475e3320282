"""Two organizations with two namespaces each: every id of another's answers 404 on every operation."""

from __future__ import annotations

import pytest

from support.contract import Contract, Operation
from support.flow import add_texts, new_bucket, new_namespace, new_text_collection, process, search_body
from support.server import Client, Server, second_organization

CONTRACT = Contract()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("tenancy") / "data") as server:
        yield build_world(server)


def own_resources(client: Client, label: str) -> dict[str, str]:
    bucket = new_bucket(client, f"bucket-{label}")
    collection = new_text_collection(client, bucket, f"collection-{label}")
    objects = add_texts(client, bucket, [f"a text of {label}"])
    batch = process(client, bucket, objects)
    document = client.ok("POST", f"/v1/collections/{collection}/documents/list", {})["results"][0]["document_id"]
    retriever = client.ok("POST", "/v1/retrievers", {"retriever_name": f"retriever-{label}", **{k: v for k, v in search_body([collection], "x").items() if k != "inputs"}})
    execution = client.ok("POST", f"/v1/retrievers/{retriever['retriever_id']}/execute", {"inputs": {"query": "text"}})["execution_id"]
    upload = client.ok("POST", f"/v1/buckets/{bucket}/uploads", {"filename": "a.txt", "content_type": "text/plain"})["upload_id"]
    snapshot = client.ok("POST", f"/v1/namespaces/{client.namespace}/snapshots", {})["snapshot_id"]
    return {
        "namespace": client.namespace, "bucket": bucket, "collection": collection, "object": objects[0], "batch": batch["batch_id"], "document": document,
        "retriever": retriever["retriever_id"], "execution": execution, "task": batch["task_id"], "upload": upload, "snapshot": snapshot,
    }


def build_world(server: Server) -> dict:
    second_key = second_organization(server)
    world = {"callers": {}, "resources": {}}
    for org, root in (("a", server.client()), ("b", server.client(key=second_key))):
        for number in (1, 2):
            client = new_namespace(root, f"space-{number}")
            label = f"{org}{number}"
            world["callers"][label] = client
            world["resources"][label] = own_resources(client, label)
    return world


PARAMETER_OWNER = {
    "namespace_identifier": "namespace", "namespace_id": "namespace", "bucket_identifier": "bucket", "bucket_id": "bucket",
    "collection_identifier": "collection", "collection_id": "collection", "object_identifier": "object", "object_id": "object", "batch_id": "batch",
    "document_id": "document", "retriever_id": "retriever", "execution_id": "execution", "task_id": "task", "upload_id": "upload", "snapshot_id": "snapshot",
}


def path_names(op: Operation) -> list[str]:
    return [p["name"] for p in op.spec.get("parameters", []) if p["in"] == "path"]


OPERATIONS = [op for op in CONTRACT.operations() if path_names(op) and all(n in PARAMETER_OWNER for n in path_names(op))]


def callers_kept_out() -> list:
    cases = [pytest.param(op, "b1", id=f"{op.id}-other organization") for op in OPERATIONS]
    # An organization's keys reach all of its namespaces by id.
    inside = [op for op in OPERATIONS if path_names(op)[0] not in ("namespace_identifier", "namespace_id")]
    return cases + [pytest.param(op, "a2", id=f"{op.id}-other namespace") for op in inside]


@pytest.mark.parametrize("op,caller", callers_kept_out())
def test_ids_of_others_are_absent(op: Operation, caller: str, world: dict) -> None:
    owned = world["resources"]["a1"]
    names = path_names(op)
    path = op.path
    for name in names:
        path = path.replace("{" + name + "}", owned[PARAMETER_OWNER[name]])
    schema = CONTRACT.body_schema(op)
    reply = world["callers"][caller](op.method, path, CONTRACT.least(schema) if schema is not None else None)
    assert reply.status in (404, 501) or (reply.status == 422 and schema is not None), f"{op.id} {path} -> {reply.status} {reply.raw[:500]!r}"
    for secret in owned.values():
        if secret not in path:
            assert secret.encode() not in reply.raw, f"{op.id} shows {secret}"


def test_nothing_of_others_is_listed(world: dict) -> None:
    for op in CONTRACT.operations():
        if path_names(op) or not (op.method == "GET" or op.path.endswith("/list") or op.path.endswith("/search")):
            continue
        schema = CONTRACT.body_schema(op)
        body = CONTRACT.least(schema) if schema is not None else None
        reply = world["callers"]["b1"](op.method, op.path, body)
        for secret in world["resources"]["a1"].values():
            assert secret.encode() not in reply.raw, f"{op.id} shows {secret} of another organization"


def test_everything_still_stands(world: dict) -> None:
    for label, client in world["callers"].items():
        owned = world["resources"][label]
        assert client.ok("GET", f"/v1/collections/{owned['collection']}/documents/count")["count"] == 1
        assert client.ok("GET", f"/v1/buckets/{owned['bucket']}/objects/{owned['object']}")["object_id"] == owned["object"]
