"""Tiering rules over the wire: obeyed by a server that is killed at any moment, and shown by `quarry tiering`."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time

import pytest

from support.flow import add_texts, new_bucket, new_namespace, new_text_collection, process, search_body
from support.server import BIN, Server
from support.time_travel import age, stored_query_time

TEXTS = ["The cat sleeps on the warm windowsill.", "A bank raised its rate.", "Bees make honey."]
PATIENCE_S = 60


def rule(kind: str, days: int | None = None) -> dict:
    return {"rule_type": kind, "enabled": True, "threshold_days": days}


class Watched:
    """A collection of three texts on a server that looks at its rules all the time."""

    def __init__(self, server: Server):
        self.server = server
        self.client = new_namespace(server.client())
        bucket = new_bucket(self.client)
        self.collection = new_text_collection(self.client, bucket)
        assert process(self.client, bucket, add_texts(self.client, bucket, TEXTS))["status"] == "COMPLETED"
        self.answers = self.search()

    def set_rules(self, *rules: dict) -> None:
        shown = self.client.ok("PATCH", f"/v1/collections/{self.collection}", {"tiering_rules": list(rules)})
        assert [r["rule_type"] for r in shown["tiering_rules"]] == [r["rule_type"] for r in rules]

    def search(self) -> list[tuple[str, float]]:
        reply = self.client.ok("POST", "/v1/retrievers/execute", search_body([self.collection], "a sleeping pet"))
        return [(r["document_id"], r["score"]) for r in reply["results"]]

    def lifecycle(self) -> dict:
        return self.client.ok("GET", f"/v1/collections/{self.collection}/lifecycle")

    def events(self) -> list[dict]:
        """Oldest first."""
        return self.client.ok("GET", f"/v1/lifecycle/events?collection_identifier={self.collection}&limit=1000")["results"][::-1]

    def becomes(self, condition) -> dict:
        return self.client.wait_until("GET", f"/v1/collections/{self.collection}/lifecycle", condition, PATIENCE_S)

    def settles_as(self, state: str) -> dict:
        return self.becomes(lambda shown: shown["lifecycle_state"] == state and "task_id" not in shown)

    def start(self) -> None:
        self.server.start()
        self.client.url = self.server.url

    def dies_at_a_random_moment(self, rng: random.Random) -> None:
        killer = threading.Timer(rng.uniform(0, 0.1), self.server.kill)
        killer.start()
        killer.join()
        self.start()

    def restart_after(self, days: float) -> None:
        self.server.stop()
        age(self.server.data, days)
        self.start()


@pytest.fixture()
def watched(tmp_path):
    eager = {"QUARRY_TIERING_INTERVAL_MS": "20", "QUARRY_TIERING_QUERY_FLUSH_MS": "20"}
    with Server(tmp_path / "data", env=eager) as server:
        yield Watched(server)


def test_idle_collection_goes_cold_and_a_query_brings_it_back(watched: Watched) -> None:
    watched.set_rules(rule("auto_evict", 30), rule("auto_rehydrate"))
    watched.restart_after(days=29)
    assert watched.search() == watched.answers  # counts from here
    watched.restart_after(days=29)
    assert watched.client.ok("GET", "/v1/lifecycle/plan")["due"]["actions"] == 0
    watched.restart_after(days=1.01)
    watched.settles_as("cold")
    event = watched.events()[-1]
    assert (event["reason"], event["from"], event["to"], event["documents"]) == ("auto_evict", "active", "cold", 3)
    assert watched.search() == watched.answers
    watched.settles_as("active")
    assert watched.events()[-1]["reason"] == "auto_rehydrate"
    assert watched.search() == watched.answers


def test_last_query_survives_a_kill(watched: Watched) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not (written := stored_query_time(watched.server.data, watched.collection)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    watched.search()
    while stored_query_time(watched.server.data, watched.collection) == written:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    written = stored_query_time(watched.server.data, watched.collection)
    watched.server.kill()
    watched.start()
    assert watched.lifecycle()["last_queried_at"] == written


def test_last_query_is_written_by_a_stop(tmp_path) -> None:
    with Server(tmp_path / "data", env={"QUARRY_TIERING_QUERY_FLUSH_MS": "0"}) as server:
        watched = Watched(server)
        assert stored_query_time(server.data, watched.collection) is None
        assert server.stop() == 0
        assert stored_query_time(server.data, watched.collection) is not None


def test_killed_in_the_middle_of_an_automatic_move(watched: Watched, request, is_long: bool) -> None:
    rng = random.Random(request.config.getoption("--seed") or 11)
    watched.set_rules(rule("auto_evict", 5))
    for round_number in range(10 if is_long else 4):
        watched.restart_after(days=6)
        watched.dies_at_a_random_moment(rng)
        watched.settles_as("cold")
        moves = [(e["from"], e["to"], e["reason"]) for e in watched.events()]
        assert moves == [("active", "cold", "auto_evict"), ("cold", "active", "request")] * round_number + [("active", "cold", "auto_evict")]
        assert watched.search() == watched.answers
        watched.client.ok("PATCH", f"/v1/collections/{watched.collection}/lifecycle", {"lifecycle_state": "active", "async_transition": False})
        assert watched.search() == watched.answers


def announce(watched: Watched) -> None:
    watched.set_rules(rule("auto_archive", 10))
    watched.client.ok("PATCH", f"/v1/collections/{watched.collection}/lifecycle", {"lifecycle_state": "cold", "async_transition": False})
    watched.restart_after(days=3.1)
    watched.becomes(lambda shown: "archive_at" in shown)
    assert watched.events()[-1]["event_type"] == "lifecycle.archive_announced"


def test_query_takes_an_announced_archive_back_before_it_is_answered(watched: Watched) -> None:
    announce(watched)
    eager = dict(watched.server.env)
    watched.server.env |= {"QUARRY_TIERING_INTERVAL_MS": "3600000", "QUARRY_TIERING_QUERY_FLUSH_MS": "0"}  # only a stop writes times
    watched.restart_after(days=6.9)
    assert "archive_at" in watched.lifecycle()
    assert watched.search() == watched.answers
    watched.server.kill()  # at once: nothing may hang on a later write
    age(watched.server.data, 0.5)
    watched.server.env |= eager
    watched.start()
    shown = watched.lifecycle()
    assert shown["lifecycle_state"] == "cold" and "archive_at" not in shown
    assert watched.events()[-1]["event_type"] == "lifecycle.archive_cancelled"
    assert watched.search() == watched.answers


def test_announced_archive_removes_the_data_whatever_is_killed(watched: Watched, request) -> None:
    rng = random.Random(request.config.getoption("--seed") or 5)
    announce(watched)
    files = lambda: list((watched.server.data / "objects").glob(f"*/*/{watched.collection}/*"))  # noqa: E731
    assert files()
    watched.restart_after(days=7)
    watched.dies_at_a_random_moment(rng)
    watched.settles_as("archived")
    assert not files()
    last = watched.events()[-1]
    assert (last["reason"], last["to"], last["documents"]) == ("auto_archive", "archived", 3)
    assert sum(e["event_type"] == "lifecycle.archive_announced" for e in watched.events()) == 1


def test_bad_rules(watched: Watched) -> None:
    path = f"/v1/collections/{watched.collection}"
    for rules in (
        [rule("auto_evict")],
        [rule("auto_evict", 0)],
        [rule("auto_archive", -1)],
        [rule("auto_evict", 1), rule("auto_evict", 2)],
        [rule("auto_rehydrate", 3)],
        [rule("melt", 3)],
        "auto_evict",
        [None],
    ):
        refused = watched.client("PATCH", path, {"tiering_rules": rules})
        assert refused.status == 422, rules
    assert watched.client.ok("GET", path)["tiering_rules"] == []


def test_events_are_paged(watched: Watched) -> None:
    for state in ("cold", "active", "cold"):
        watched.client.ok("PATCH", f"/v1/collections/{watched.collection}/lifecycle", {"lifecycle_state": state, "async_transition": False})
    first = watched.client.ok("GET", "/v1/lifecycle/events?limit=2")
    rest = watched.client.ok("GET", f"/v1/lifecycle/events?limit=2&cursor={first['pagination']['next_cursor']}")
    assert [e["to"] for e in first["results"] + rest["results"]] == ["cold", "active", "cold"]
    assert watched.client("GET", "/v1/lifecycle/events?collection_identifier=col_absent").status == 404


def quarry(watched: Watched, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    env = {k: v for k, v in os.environ.items() if not k.startswith("QUARRY_")}
    env |= {"QUARRY_URL": watched.client.url, "QUARRY_API_KEY": watched.server.key, "QUARRY_NAMESPACE": watched.client.namespace} | environment
    return subprocess.run([BIN / "quarry", *arguments], env=env, capture_output=True, text=True, timeout=60)


def test_verb_shows_plan_and_events(watched: Watched) -> None:
    idle = quarry(watched, "tiering")
    assert idle.returncode == 0 and "nothing to do" not in idle.stderr and "No tiering rule" in idle.stdout
    watched.set_rules(rule("auto_evict", 30))
    planned = quarry(watched, "tiering", "--dry-run")
    name = watched.client.ok("GET", f"/v1/collections/{watched.collection}")["collection_name"]
    assert planned.returncode == 0, planned.stderr
    row = next(line for line in planned.stdout.splitlines() if line.startswith(name))
    assert "evict" in row and "no query for 30 days" in row and "read by a search" in row
    watched.restart_after(days=31)
    watched.settles_as("cold")
    listed = quarry(watched, "tiering", "events")
    assert listed.returncode == 0, listed.stderr
    assert "active -> cold" in listed.stdout and "auto_evict" in listed.stdout and "3 documents" in listed.stdout
    assert quarry(watched, "tiering", "--json").stdout.startswith("{")
    unknown = quarry(watched, "tiering", QUARRY_NAMESPACE="nowhere")
    assert unknown.returncode == 1 and unknown.stderr.startswith("error: ")
