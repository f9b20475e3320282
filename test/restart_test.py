"""A server that is stopped and started again answers as before, whatever it is asked first."""

from __future__ import annotations

import pathlib

from support.flow import add_texts, new_bucket, new_namespace, new_text_collection, process, search_body
from support.server import Client, Server


def hits(client: Client, path: str, body: dict) -> list[tuple[str, float]]:
    return [(d["document_id"], d["score"]) for d in client.ok("POST", path, body)["documents"]]


def test_a_search_may_be_the_first_request(tmp_path: pathlib.Path) -> None:
    server = Server(tmp_path / "data")
    with server:
        client = new_namespace(server.client(), "restart")
        bucket = new_bucket(client)
        collection = new_text_collection(client, bucket)
        assert process(client, bucket, add_texts(client, bucket, ["Bees make honey.", "The train leaves at noon."]))["status"] == "COMPLETED"
        body = search_body([collection], "insects")
        stored = {k: v for k, v in body.items() if k != "inputs"}
        retriever = client.ok("POST", "/v1/retrievers", {"retriever_name": "stored", **stored})["retriever_id"]
        before = hits(client, "/v1/retrievers/execute", body)
        assert len(before) == 2
    for path, question in (("/v1/retrievers/execute", body), (f"/v1/retrievers/{retriever}/execute", {"inputs": body["inputs"]})):
        with server:
            assert hits(Client(server.url, client.key, client.namespace), path, question) == before
