"""Makes test/golden/format-N.tar with the program as it is now. Run once when a format is released; the file is never changed afterwards.

usage: python test/golden/make.py N
"""

from __future__ import annotations

import json
import pathlib
import sys
import tarfile
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.flow import add_texts, all_documents, new_bucket, new_namespace, new_text_collection, process, search_body  # noqa: E402
from support.server import Server  # noqa: E402

KEY = "golden_key_0123456789"
TEXTS = ["A heron stands in the shallow water.", "The printer ran out of blue ink.", "Grapes are harvested in September."]


def main() -> None:
    target = pathlib.Path(__file__).parent / f"format-{int(sys.argv[1])}.tar"
    with tempfile.TemporaryDirectory() as scratch:
        data = pathlib.Path(scratch) / "data"
        with Server(data, key=KEY) as server:
            client = new_namespace(server.client(), "golden")
            bucket = new_bucket(client, "birds")
            collection = new_text_collection(client, bucket, "texts")
            ids = add_texts(client, bucket, TEXTS, topic="mixed")
            assert process(client, bucket, ids)["status"] == "COMPLETED"
            # A deletion and an update, so that the table holds deletion vectors.
            victim = all_documents(client, collection)[0]["document_id"]
            client.ok("PATCH", f"/v1/collections/{collection}/documents/{victim}", {"topic": "changed"})
            gone = all_documents(client, collection)[1]["document_id"]
            client.ok("DELETE", f"/v1/collections/{collection}/documents/{gone}")
            server.client().ok("POST", "/v1/namespaces/standalone", {"namespace_id": "golden-own", "vector_configs": [{"name": "v", "dimension": 2}]})
            client.ok("POST", "/v1/namespaces/golden-own/documents/upsert", {"documents": [{"document_id": "kept", "vectors": {"v": [1, 0]}}]}, headers={"X-Namespace": "golden-own"})
            configs = [{"name": "words", "type": "sparse"}, {"name": "tokens", "type": "multi_dense", "dimension": 2}]
            server.client().ok("POST", "/v1/namespaces/standalone", {"namespace_id": "golden-kinds", "vector_configs": configs})
            kinds = {"kept": {"words": {"indices": [3, 4000000000], "values": [0.5, 2.0]}, "tokens": [[1.0, 0.0], [0.0, 0.5]]}}
            documents = [{"document_id": key, "vectors": vectors} for key, vectors in kinds.items()]
            client.ok("POST", "/v1/namespaces/golden-kinds/documents/upsert", {"documents": documents}, headers={"X-Namespace": "golden-kinds"})
            query = "a bird in a pond"
            found = client.ok("POST", "/v1/retrievers/execute", search_body([collection], query))
            expected = {
                "key": KEY, "namespace": client.namespace, "collection": collection, "query": query, "standalone": "golden-own", "kinds": kinds,
                "texts": {d["document_id"]: d["text"] for d in all_documents(client, collection)},
                "results": [[r["document_id"], r["score"]] for r in found["results"]],
            }
        (pathlib.Path(scratch) / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
        with tarfile.open(target, "w") as tar:
            tar.add(data, "data")
            tar.add(pathlib.Path(scratch) / "expected.json", "expected.json")
    print(target, target.stat().st_size)


if __name__ == "__main__":
    main()
