"""Data folders of every format ever released open, and answer as they did: test/golden/format-N, made by test/golden/make.py."""

from __future__ import annotations

import json
import pathlib
import shutil
import tarfile

import pytest

from support.flow import all_documents, search_body
from support.server import Server

GOLDEN = sorted((pathlib.Path(__file__).parent / "golden").glob("format-*.tar"))


def test_there_is_a_golden_folder() -> None:
    assert GOLDEN


@pytest.mark.parametrize("archive", GOLDEN, ids=lambda p: p.stem)
def test_golden_folder(archive: pathlib.Path, tmp_path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path)  # our own archive
    expected = json.loads((tmp_path / "expected.json").read_text())
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    made_with = (tmp_path / "data/FORMAT").read_text()
    with Server(tmp_path / "copy", key=expected["key"]) as server:
        client = server.client(namespace=expected["namespace"])
        documents = all_documents(client, expected["collection"])
        assert {d["document_id"]: d["text"] for d in documents} == expected["texts"]
        found = client.ok("POST", "/v1/retrievers/execute", search_body([expected["collection"]], expected["query"]))
        assert [[r["document_id"], r["score"]] for r in found["results"]] == expected["results"]
        own = client.ok("GET", f"/v1/namespaces/{expected['standalone']}/documents/kept?return_vectors=true", headers={"X-Namespace": expected["standalone"]})
        assert own["document_id"] == "kept"
        for document_id, vectors in expected.get("kinds", {}).items():  # since format 3
            kept = client.ok("GET", f"/v1/namespaces/golden-kinds/documents/{document_id}?return_vectors=true", headers={"X-Namespace": "golden-kinds"})
            assert kept["vectors"] == vectors
    now = (tmp_path / "copy/FORMAT").read_text()
    kept = [(folder / "FORMAT").read_text() for folder in (tmp_path / "copy/backups").glob("*")]
    assert kept == ([] if made_with == now else [made_with])
