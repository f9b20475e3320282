"""The steps most tests begin with: a namespace, a bucket, a text collection, objects, a finished batch."""

from __future__ import annotations

import itertools
from typing import Iterable

from .server import Client

_numbers = itertools.count(1)


def unique(prefix: str) -> str:
    return f"{prefix}-{next(_numbers)}"


def new_namespace(client: Client, name: str | None = None) -> Client:
    made = client.ok("POST", "/v1/namespaces", {"namespace_name": name or unique("ns")})
    return client.within(made["namespace_id"])


def new_bucket(client: Client, name: str | None = None, properties: dict | None = None) -> str:
    properties = properties or {"content": {"type": "text"}, "document": {"type": "pdf"}, "topic": {"type": "string"}, "number": {"type": "integer"}}
    made = client.ok("POST", "/v1/buckets", {"bucket_name": name or unique("bucket"), "bucket_schema": {"properties": properties}})
    return made["bucket_id"]


def new_text_collection(client: Client, bucket: str, name: str | None = None, parameters: dict | None = None, **extractor: object) -> str:
    config = {"feature_extractor_name": "text_extractor", "version": "v1", "parameters": parameters or {}, **extractor}
    made = client.ok("POST", "/v1/collections", {"collection_name": name or unique("collection"), "source": {"type": "bucket", "bucket_ids": [bucket]}, "feature_extractor": config})
    return made["collection_id"]


def text_object(text: str, **fields: object) -> dict:
    return {**fields, "blobs": [{"property": "content", "type": "text", "data": text}]}


def add_texts(client: Client, bucket: str, texts: Iterable[str], **fields: object) -> list[str]:
    ids: list[str] = []
    texts = list(texts)
    for start in range(0, len(texts), 100):
        reply = client.ok("POST", f"/v1/buckets/{bucket}/objects/batch", {"objects": [text_object(t, **fields) for t in texts[start : start + 100]]})
        assert reply["failed_count"] == 0, reply["failed"]
        ids += [o["object_id"] for o in reply["succeeded"]]
    return ids


def submit(client: Client, bucket: str, object_ids: list[str], **more: object) -> str:
    batch = client.ok("POST", f"/v1/buckets/{bucket}/batches", {"object_ids": object_ids, **more})["batch_id"]
    client.ok("POST", f"/v1/buckets/{bucket}/batches/{batch}/submit", {})
    return batch


def process(client: Client, bucket: str, object_ids: list[str], timeout_s: float = 120) -> dict:
    return client.wait_for_batch(bucket, submit(client, bucket, object_ids), timeout_s)


def search_body(collections: list[str], text: str, top_k: int = 10, **parameters: object) -> dict:
    search = {"feature_uri": "mixpeek://text_extractor@v1/all_minilm_l6_v2_v1", "query": {"input_mode": "text", "value": "{{INPUT.query}}"}, "top_k": top_k}
    stage = {"stage_name": "search", "stage_type": "filter", "config": {"stage_id": "feature_search", "parameters": {"searches": [search], "final_top_k": top_k, **parameters}}}
    return {"collection_identifiers": collections, "input_schema": {"query": {"type": "text", "required": True}}, "stages": [stage], "inputs": {"query": text}}


def all_documents(client: Client, collection: str) -> list[dict]:
    documents: list[dict] = []
    cursor = ""
    while True:
        page = client.ok("POST", f"/v1/collections/{collection}/documents/list?limit=1000{cursor}", {})
        documents += page["results"]
        following = page["pagination"].get("next_cursor")
        if not following:
            return documents
        cursor = f"&cursor={following}"
