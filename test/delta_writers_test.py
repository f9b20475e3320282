"""Other programs write to tables that Quarry serves and writes: their commits are picked up, and nobody's work is lost."""

from __future__ import annotations

import datetime
import json
import threading
import time
from typing import Callable, Iterator

import polars
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from support import delta
from support.server import Server
from support.traffic import Traffic
from delta_readers_test import read

# A commit of another program is looked for every second (mvs.follow_interval_ms); what is beyond that is a busy test machine.
VISIBLE_WITHIN_S = 10.0
RETRIES = 200


@pytest.fixture()
def traffic(fresh_server: Server) -> Iterator[Traffic]:
    with Traffic(fresh_server.client(), seed=21) as running:
        yield running


@pytest.fixture()
def table(fresh_server: Server, traffic: Traffic) -> str:
    return delta.table_folder(fresh_server.data, traffic.collection)


def retried(change: Callable[[], object]) -> None:
    """A writer that meets another's commit tries again, as deltalake asks of its callers."""
    for _ in range(RETRIES):
        try:
            change()
            return
        except CommitFailedError:
            continue
        except DeltaError as error:
            if not delta.saw_half_a_listing(error):
                raise
    raise AssertionError(f"the change met another commit {RETRIES} times")


def their_rows(values: dict[str, int]) -> polars.DataFrame:
    now = datetime.datetime.now(datetime.timezone.utc)
    return polars.DataFrame(
        {"document_id": list(values), "payload_json": [f'{{"n": {n}}}' for n in values.values()], "created_at": [now] * len(values), "updated_at": [now] * len(values),
         "vector_dense": polars.Series([[float(n), 0.0, 1.0] for n in values.values()], dtype=polars.List(polars.Float32))})


def append(table: str, values: dict[str, int]) -> None:
    retried(lambda: write_deltalake(table, their_rows(values), mode="append", schema_mode="merge"))


def await_quiet(table: str) -> None:
    """Returns once nothing has been committed for a second: whatever upkeep the writes before left behind is done."""
    deadline, since, version = time.monotonic() + 30, time.monotonic(), delta.newest_version(table)
    while time.monotonic() - since < 1.0:
        assert time.monotonic() < deadline, "commits go on although nobody writes"
        time.sleep(0.02)
        if (newest := delta.newest_version(table)) != version:
            since, version = time.monotonic(), newest


def theirs(traffic: Traffic) -> dict[str, int | None]:
    return {key: n for key, n in traffic.rows().items() if not key.startswith("ours-")}


def await_rows(traffic: Traffic, expected: dict[str, int]) -> float:
    began = time.monotonic()
    while theirs(traffic) != expected:
        assert time.monotonic() - began < VISIBLE_WITHIN_S, f"after {VISIBLE_WITHIN_S} s: {theirs(traffic)}, not {expected}"
        time.sleep(0.05)
    return time.monotonic() - began


def assert_all_agree(traffic: Traffic, table: str) -> None:
    with traffic.paused():
        rows = traffic.rows()
        version = delta.newest_version(table)
        for name, reader in delta.READERS.items():
            assert read(reader, table, version) == rows, name


def test_a_commit_is_seen_without_a_write_or_upkeep(fresh_server: Server) -> None:
    quiet = Traffic(fresh_server.client(), seed=2)
    quiet.upsert([quiet.document("ours-1")])
    append(delta.table_folder(fresh_server.data, quiet.collection), {"x1": 1})
    assert await_rows(quiet, {"x1": 1}) < VISIBLE_WITHIN_S


def test_appended_rows(traffic: Traffic, table: str) -> None:
    append(table, {"x1": 1, "x2": 2})
    await_rows(traffic, {"x1": 1, "x2": 2})
    stage = {"stage_id": "feature_search", "parameters": {"searches": [{"feature_uri": "dense", "query": {"input_mode": "vector", "value": [2, 0, 1]}, "top_k": 100}], "final_top_k": 100}}
    found = traffic.client.ok("POST", "/v1/retrievers/execute", {"stages": [{"stage_name": "s", "stage_type": "filter", "config": stage}], "inputs": {}})
    assert {"x1", "x2"} <= {r["document_id"] for r in found["results"]}
    assert_all_agree(traffic, table)


def test_deleted_rows(traffic: Traffic, table: str) -> None:
    append(table, {f"x{i}": i for i in range(8)})
    await_rows(traffic, {f"x{i}": i for i in range(8)})
    for i in range(6):  # each meets commits and compactions of ours
        retried(lambda i=i: DeltaTable(table).delete(f"document_id = 'x{i}'"))
    await_rows(traffic, {"x6": 6, "x7": 7})
    assert_all_agree(traffic, table)


def test_updated_rows(traffic: Traffic, table: str) -> None:
    append(table, {"x1": 1, "x2": 2})
    retried(lambda: DeltaTable(table).update(updates={"payload_json": "'{\"n\": 11}'"}, predicate="document_id = 'x1'"))
    await_rows(traffic, {"x1": 11, "x2": 2})
    assert_all_agree(traffic, table)


def test_merged_rows(traffic: Traffic, table: str) -> None:
    append(table, {"x1": 1, "x2": 2})
    columns = {name: f"s.{name}" for name in their_rows({"x": 1}).columns}

    def merge() -> None:
        source = their_rows({"x2": 22, "x3": 33})
        merger = DeltaTable(table).merge(source, predicate="s.document_id = t.document_id", source_alias="s", target_alias="t")
        merger.when_matched_update({"payload_json": "s.payload_json"}).when_not_matched_insert(columns).execute()

    retried(merge)
    await_rows(traffic, {"x1": 1, "x2": 22, "x3": 33})
    assert_all_agree(traffic, table)


def test_optimized_and_vacuumed_tables(fresh_server: Server, traffic: Traffic, table: str) -> None:
    append(table, {"x1": 1, "x2": 2})
    await_rows(traffic, {"x1": 1, "x2": 2})
    retried(lambda: DeltaTable(table).optimize.compact())
    await_rows(traffic, {"x1": 1, "x2": 2})
    DeltaTable(table).vacuum(dry_run=False)  # with the retention of a week that Delta asks for: safe beside writers
    with traffic.paused():  # without any: only while nobody writes
        await_quiet(table)
        DeltaTable(table).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    await_rows(traffic, {"x1": 1, "x2": 2})
    assert_all_agree(traffic, table)


def actions(table: str, kind: str) -> list[dict]:
    lines = (json.loads(line) for line in delta.operations(table).splitlines() if line)
    return [line[kind] for line in lines if kind in line]


def upsert_until_compacted(traffic: Traffic, table: str, name: str) -> dict[str, int]:
    """New documents, one commit each, until Quarry has compacted. Nothing else changes: what is there stays as it is."""
    def compactions() -> int:
        return sum(a["operation"] == "OPTIMIZE" and a.get("engineInfo") == "Quarry" for a in actions(table, "commitInfo"))

    before, out = compactions(), {}
    while compactions() == before:
        assert len(out) < 64, "Quarry does not compact"
        document = traffic.document(f"{name}{len(out)}")
        traffic.upsert([document])
        out[document["document_id"]] = document["payload"]["n"]
    return out


@pytest.mark.parametrize("optimize", [lambda t: t.optimize.compact(), lambda t: t.optimize.z_order(["document_id"])], ids=["compact", "z_order"])
def test_an_optimize_over_a_compaction_of_ours(traffic: Traffic, table: str, optimize: Callable[[DeltaTable], object]) -> None:
    """deltalake commits over a compaction that took the same files. Quarry shows no row twice, and removes the second ones for everybody."""
    with traffic.paused():
        await_quiet(table)
        theirs_then = DeltaTable(table)
        new = upsert_until_compacted(traffic, table, "new-")
        before = traffic.rows()
        optimize(theirs_then)
        removed = [(a["path"], json.dumps(a.get("deletionVector"))) for a in actions(table, "remove")]
        assert len(set(removed)) < len(removed), "the race did not take place: no file was removed twice"
        began = time.monotonic()
        while not any(a["appId"] == "quarry/stale-rows" for a in actions(table, "txn")):
            assert time.monotonic() - began < VISIBLE_WITHIN_S, "the second rows are still there"
            assert traffic.rows() == before
        assert traffic.rows() == before
    await_rows(traffic, new)
    assert_all_agree(traffic, table)


def test_optimizes_beside_traffic(traffic: Traffic, table: str) -> None:
    append(table, {"x1": 1, "x2": 2})
    for _ in range(4):
        retried(lambda: DeltaTable(table).optimize.compact())
        retried(lambda: DeltaTable(table).optimize.z_order(["document_id"]))
        traffic.wait_for_writes(traffic.writes + 10)
    traffic.upsert([traffic.document("ours-last")])  # a write meets whatever of theirs was not yet seen
    await_rows(traffic, {"x1": 1, "x2": 2})
    assert_all_agree(traffic, table)


def test_racing_writers_lose_nothing(traffic: Traffic, table: str) -> None:
    """Three writers and Quarry go for the same versions: of each version one commit wins, and who lost comes again."""
    failures: list[BaseException] = []

    def write(name: str) -> None:
        try:
            for i in range(5):
                append(table, {f"{name}{i}": i})
        except BaseException as e:  # noqa: BLE001 -- told below
            failures.append(e)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert not failures, failures
    await_rows(traffic, {f"{name}{i}": i for name in ("a", "b", "c") for i in range(5)})
    assert_all_agree(traffic, table)


def test_both_sides_survive_a_restart(fresh_server: Server, traffic: Traffic, table: str) -> None:
    append(table, {"x1": 1})
    with traffic.paused():
        before = traffic.rows() | {"x1": 1}
        fresh_server.stop()
        append(table, {"x2": 2})
        fresh_server.start()
        traffic.client.url = fresh_server.url
        assert traffic.rows() == before | {"x2": 2}
    await_rows(traffic, {"x1": 1, "x2": 2})
    assert_all_agree(traffic, table)
