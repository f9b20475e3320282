"""Programs that know nothing of Quarry read its live tables: each sees exactly the live rows of the version it reads."""

from __future__ import annotations

import json
import time

import pytest

from support import delta
from support.flow import add_texts, new_bucket, new_namespace, new_text_collection, process
from support.server import Server
from support.traffic import Traffic

PICTURES = 4


def value_of(payload: object) -> int | None:
    return json.loads(str(payload)).get("n") if payload else None


def read(reader: delta.Reader, table: str, version: int) -> dict[str, int | None]:
    return {key: value_of(payload) for key, payload in reader(table, version, "payload_json").items()}


def test_every_reader_sees_the_live_rows_of_every_version(fresh_server: Server, is_long: bool) -> None:
    pictures: list[tuple[int, dict]] = []
    with Traffic(fresh_server.client(), seed=5) as traffic:
        table = delta.table_folder(fresh_server.data, traffic.collection)
        for _ in range(3 * PICTURES if is_long else PICTURES):
            wanted = traffic.writes + 40  # enough for several compactions
            traffic.wait_for_writes(wanted)
            with traffic.paused():
                pictures.append((delta.newest_version(table), traffic.rows()))
            for name, reader in delta.READERS.items():  # while writes go on
                assert read(reader, table, pictures[-1][0]) == pictures[-1][1], f"{name} at version {pictures[-1][0]}"
    for version, rows in pictures:  # and afterwards, each version as it was
        for name, reader in delta.READERS.items():
            assert read(reader, table, version) == rows, f"{name} at version {version}, later"
    operations = delta.operations(table)
    assert "OPTIMIZE" in operations and "deletionVector" in operations, "the traffic made no compaction or no deletion vector"


def test_sparse_and_multi_vectors_are_plain_nested_columns(fresh_server: Server) -> None:
    traffic = Traffic(fresh_server.client(), seed=1)
    vectors = {"dense": [1, 2, 3], "words": {"indices": [4_000_000_000, 2], "values": [0.5, 1.5]}, "tokens": [[1, 2], [3, 4]]}
    traffic.upsert([{"document_id": "all", "vectors": vectors}, {"document_id": "none", "vectors": {"dense": [0, 0, 0]}}])
    table = delta.table_folder(fresh_server.data, traffic.collection)
    version = delta.newest_version(table)
    sparse = {"indices": [2, 4_000_000_000], "values": [1.5, 0.5]}
    for name, reader in delta.READERS.items():
        assert reader(table, version, "vector_words") == {"all": sparse, "none": None}, name
        assert reader(table, version, "vector_tokens") == {"all": [[1.0, 2.0], [3.0, 4.0]], "none": None}, name
        assert reader(table, version, "vector_dense") == {"all": [1.0, 2.0, 3.0], "none": [0.0, 0.0, 0.0]}, name


def test_statistics_never_hide_a_row(fresh_server: Server) -> None:
    """A reader that skips files by their statistics finds what a full read finds, also after patches and deletes."""
    with Traffic(fresh_server.client(), seed=9) as traffic:
        table = delta.table_folder(fresh_server.data, traffic.collection)
        traffic.wait_for_writes(60)
        with traffic.paused():
            version, rows = delta.newest_version(table), traffic.rows()
    connection = delta.duckdb_connection()
    scan = f"delta_scan('{table}', version => {version})"
    for document_id in rows:
        [(count,)] = connection.execute(f"SELECT count(*) FROM {scan} WHERE document_id = '{document_id}'").fetchall()
        assert count == 1, document_id
    times = connection.execute(f"SELECT document_id, updated_at::VARCHAR, created_at::VARCHAR FROM {scan}").fetchall()
    for document_id, updated, created in times:
        times_of_row = f"updated_at >= '{updated}'::TIMESTAMPTZ AND created_at <= '{created}'::TIMESTAMPTZ"
        found = connection.execute(f"SELECT document_id FROM {scan} WHERE {times_of_row}").fetchall()
        assert (document_id,) in found


def test_readers_follow_new_columns(fresh_server: Server) -> None:
    client = fresh_server.client()
    made = client.ok("POST", "/v1/namespaces/standalone", {"namespace_id": "grows"})
    grows, collection = client.within("grows"), made["default_collection_id"]

    def upsert(document_id: str, vectors: dict) -> None:
        grows.ok("POST", "/v1/namespaces/grows/documents/upsert", {"documents": [{"document_id": document_id, "vectors": vectors}]})

    upsert("old", {"first": [1, 2]})
    table = delta.table_folder(fresh_server.data, collection)
    before = delta.newest_version(table)
    upsert("new", {"first": [3, 4], "second": {"indices": [7], "values": [1]}, "third": [[1], [2]]})
    after = delta.newest_version(table)
    for name, reader in delta.READERS.items():
        assert reader(table, after, "vector_second") == {"old": None, "new": {"indices": [7], "values": [1.0]}}, name
        assert reader(table, after, "vector_third") == {"old": None, "new": [[1.0], [2.0]]}, name
        assert reader(table, before, "vector_first") == {"old": [1.0, 2.0]}, name


def test_a_payload_index_gives_its_field_a_column(fresh_server: Server) -> None:
    client = fresh_server.client()
    made = client.ok("POST", "/v1/namespaces/standalone", {"namespace_id": "shop", "vector_configs": [{"name": "v", "dimension": 1}]})
    shop, collection = client.within("shop"), made["default_collection_id"]

    def upsert(documents: dict[str, dict]) -> None:
        entries = [{"document_id": key, "vectors": {"v": [1]}, "payload": payload} for key, payload in documents.items()]
        shop.ok("POST", "/v1/namespaces/shop/documents/upsert", {"documents": entries})

    def found(field: str, operator: str, value: object) -> list[str]:
        filters = {"field": field, "operator": operator, "value": value}
        page = shop.ok("POST", f"/v1/collections/{collection}/documents/list", {"filters": filters})
        return sorted(document["document_id"] for document in page["results"])

    questions = [("price", "gte", 3), ("price", "eq", "dear"), ("price", "ne", 2.5), ("seen", "lt", "2026-02-01"), ("price", "exists", False)]
    old = {"low": {"price": 2.5, "seen": "2026-01-31T12:00:00Z"}, "high": {"price": 4, "seen": "2026-03-01"}, "odd": {"price": "dear"}, "bare": {}}
    upsert(old)
    before = [found(*question) for question in questions]
    assert before == [["high"], ["odd"], ["bare", "high", "odd"], ["low"], ["bare"]]
    indexes = [{"field_name": "price", "type": "float"}, {"field_name": "seen", "type": "datetime"}]
    shop.ok("PATCH", "/v1/namespaces/shop", {"payload_indexes": indexes})
    assert [found(*question) for question in questions] == before
    upsert({"new": {"price": 2.75, "seen": "2026-02-02T00:00:00Z"}})
    table = delta.table_folder(fresh_server.data, collection)
    for name, reader in delta.READERS.items():
        prices = reader(table, delta.newest_version(table), "price")
        assert prices == {"low": None, "high": None, "odd": None, "bare": None, "new": 2.75}, name
    first_reader, more = next(iter(delta.READERS.values())), 0
    deadline = time.monotonic() + 60
    while first_reader(table, delta.newest_version(table), "price")["low"] is None:  # until its file is merged with others
        assert time.monotonic() < deadline
        upsert({f"more{more}": {"price": 2.5}})
        more += 1
    for name, reader in delta.READERS.items():
        prices = reader(table, delta.newest_version(table), "price")
        assert {key: price for key, price in prices.items() if not key.startswith("more")} == {
            "low": 2.5, "high": 4.0, "odd": None, "bare": None, "new": 2.75}, name
    assert [found(*question) for question in questions] == [["high"], ["odd"], ["bare", "high", "new", "odd"], ["low"], ["bare"]]
    assert shop.ok("GET", f"/v1/collections/{collection}")["payload_indexes"] == indexes


def test_batches_write_the_columns_of_payload_indexes(fresh_server: Server) -> None:
    client = new_namespace(fresh_server.client())
    bucket = new_bucket(client)
    fields = {"field_passthrough": [{"source_path": "number"}, {"source_path": "topic", "target_path": "subject"}]}
    collection = new_text_collection(client, bucket, **fields)
    [first] = add_texts(client, bucket, ["Bees make honey."], number=1)
    process(client, bucket, [first])
    client.ok("PATCH", f"/v1/namespaces/{client.namespace}", {"payload_indexes": [{"field_name": "rank", "type": "integer"}, {"field_name": "number", "type": "keyword"}]})
    [second] = add_texts(client, bucket, ["The train leaves at noon."], number=2)
    process(client, bucket, [second])
    table = delta.table_folder(fresh_server.data, collection)
    version = delta.newest_version(table)
    for name, reader in delta.READERS.items():
        assert sorted(reader(table, version, "number").values()) == [1, 2], f"{name}: the schema's type stays"
        assert set(reader(table, version, "rank").values()) == {None}, name


def test_spark_sees_the_same(fresh_server: Server, is_long: bool) -> None:
    if not is_long:
        pytest.skip("Spark starts in the long form only")
    with Traffic(fresh_server.client(), seed=3) as traffic:
        table = delta.table_folder(fresh_server.data, traffic.collection)
        traffic.wait_for_writes(80)
        with traffic.paused():
            version, rows = delta.newest_version(table), traffic.rows()
            traffic_columns = {d["document_id"] for d in traffic_documents_with(traffic, "words")}
    got = delta.read_spark(table, version, ["payload_json", "vector_words.indices", "vector_tokens"])
    assert {key: value_of(row[0]) for key, row in got.items()} == rows
    assert {key for key, row in got.items() if row[1] is not None} == traffic_columns


def traffic_documents_with(traffic: Traffic, vector: str) -> list[dict]:
    body = {"return_vectors": True}
    page = traffic.client.ok("POST", f"/v1/collections/{traffic.collection}/documents/list?limit=1000", body)
    return [d for d in page["results"] if vector in d.get("vectors", {})]
