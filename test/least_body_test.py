"""Every operation of the contract, called with a least body: a 2xx that fits the schema, a 4xx in the envelope, or 501; never 500, never an empty success."""

from __future__ import annotations

import pytest

from support.contract import Contract, Operation, fill
from support.flow import new_namespace
from support.server import Client, Server

CONTRACT = Contract()
OPERATIONS = sorted(CONTRACT.operations(), key=lambda op: (op.method == "DELETE", op.id))


@pytest.fixture(scope="module")
def caller(tmp_path_factory):
    """A server of its own: some of these calls delete what they find."""
    with Server(tmp_path_factory.mktemp("least") / "data") as server:
        yield new_namespace(server.client())


def check(op: Operation, reply) -> None:
    where = f"{op.id} -> {reply.status} {reply.raw[:1500]!r}"
    assert reply.status < 500 or reply.status in (501, 503), where
    assert reply.headers.get("x-request-id"), f"{where}: no X-Request-Id"
    if reply.status >= 400:
        assert reply.body["success"] is False and reply.body["status"] == reply.status, where
        assert reply.body["error"]["type"] and reply.body["error"]["message"], where
        assert isinstance(reply.body["error"].get("details", {}), dict), where
        return
    schema = CONTRACT.reply_schema(op, reply.status)
    if schema is not None:
        assert reply.body not in (None, {}), f"{where}: an empty success"
        problem = CONTRACT.problem(schema, reply.body)
        assert not problem, f"{where}: {problem}"


@pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: op.id)
def test_least_body(op: Operation, caller: Client) -> None:
    schema = CONTRACT.body_schema(op)
    body = CONTRACT.least(schema) if schema is not None else None
    required = {p["name"]: CONTRACT.least(p["schema"]) for p in op.spec.get("parameters", []) if p["in"] == "query" and p.get("required")}
    query = "?" + "&".join(f"{k}={v}" for k, v in required.items()) if required else ""
    check(op, caller(op.method, fill(op.path, "nothing-here") + query, body))


@pytest.mark.parametrize("op", [op for op in OPERATIONS if CONTRACT.body_schema(op)], ids=lambda op: op.id)
def test_hostile_bodies(op: Operation, caller: Client) -> None:
    path = fill(op.path, "1")
    for raw in (b"", b"{", b"[]", b"null", b'"x"', b"7", b"\xff\xfe", b'{"a":' * 10_000, b"[" * 10_000, b'{"unknown_field_of_nobody": 1}', b'{"x": NaN}'):
        check(op, caller(op.method, path, raw=raw))
