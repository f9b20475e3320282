"""Two servers over one PostgreSQL catalog and one S3 store obey the same tiering rules: each step is taken once, whoever takes it."""

from __future__ import annotations

import pathlib

import pytest

from support.flow import add_texts, new_bucket, new_namespace, new_text_collection, process, search_body
from support.postgres import PROGRAMS, Postgres
from support.s3 import VERSITYGW, S3Server
from support.server import Client, Server
from support.time_travel import age_postgres

pytestmark = pytest.mark.skipif(not (VERSITYGW.exists() and (PROGRAMS / "postgres").exists()), reason="needs an S3 server and PostgreSQL")
RULES = [{"rule_type": "auto_evict", "enabled": True, "threshold_days": 5}, {"rule_type": "auto_rehydrate", "enabled": True}]
COLLECTIONS = 6


def state_is(client: Client, collection: str, state: str) -> None:
    path = f"/v1/collections/{collection}/lifecycle"
    client.wait_until("GET", path, lambda shown: shown["lifecycle_state"] == state and "task_id" not in shown)


def moves(client: Client, collection: str) -> list[tuple[str, str]]:
    events = client.ok("GET", f"/v1/lifecycle/events?collection_identifier={collection}")["results"]
    return [(e["reason"], e["to"]) for e in reversed(events)]


def answers(client: Client, collection: str) -> list[tuple[str, float]]:
    reply = client.ok("POST", "/v1/retrievers/execute", search_body([collection], "a sleeping pet"))
    return [(r["document_id"], r["score"]) for r in reply["results"]]


def test_two_servers_take_each_step_once(tmp_path: pathlib.Path) -> None:
    with Postgres() as catalog, S3Server(tmp_path / "s3") as store:
        store.make_bucket("shared")
        shared = store.settings("s3://shared/depot") | {"QUARRY_CATALOG_URL": catalog.connection, "QUARRY_MVS_COMMIT_WINDOW_US": "1000"}
        eager = {"QUARRY_TIERING_INTERVAL_MS": "20", "QUARRY_TIERING_QUERY_FLUSH_MS": "20"}
        servers = [Server(tmp_path / name, env=shared | eager) for name in ("first", "second")]
        try:
            here = new_namespace(servers[0].start().client())
            bucket = new_bucket(here)
            collections = [new_text_collection(here, bucket) for _ in range(COLLECTIONS)]
            assert process(here, bucket, add_texts(here, bucket, ["The cat sleeps.", "Bees make honey."]))["status"] == "COMPLETED"
            before = {c: answers(here, c) for c in collections}
            for collection in collections:
                here.ok("PATCH", f"/v1/collections/{collection}", {"tiering_rules": RULES})
            servers[0].stop()
            age_postgres(catalog, days=6)
            for server in servers:
                server.start()
            here, there = (server.client(here.namespace) for server in servers)
            for collection in collections:
                state_is(here, collection, "cold")
                assert moves(there, collection) == [("auto_evict", "cold")]
            for collection in collections[::2]:
                assert answers(there, collection) == before[collection]
                state_is(here, collection, "active")
                assert answers(here, collection) == before[collection]
                assert moves(here, collection) == [("auto_evict", "cold"), ("auto_rehydrate", "active")]
            for collection in collections[1::2]:
                assert moves(here, collection) == [("auto_evict", "cold")]
        finally:
            for server in servers:
                if server.process is not None:
                    server.stop()
