"""Search servers under one face, for servers.py: start, load rows, then requests for the load generator and the ids in its replies.

Row n is document n; beside its vector it has a keyword per share of FILTERS, "in" for that share of the rows and "out" for the rest.
"""

from __future__ import annotations

import abc
import json
import os
import pathlib
import socket
import subprocess
import time

import numpy as np
import urllib3

from support.server import BIN, KEY, Server

BENCH_BIN = pathlib.Path(__file__).resolve().parents[2] / ".deps/bench-venv/bin"
K = 10
FILTERS = {"p500": 500, "p100": 100, "p10": 10, "p1": 1}  # keyword -> rows in a thousand that have it "in"
BATCH = 1000
READY_S = 60


def is_in(rows: np.ndarray | int, field: str) -> np.ndarray | bool:
    return (rows * 2_654_435_761 % (1 << 32)) // 1024 % 1000 < FILTERS[field]


def keywords(n: int) -> dict[str, str]:
    return {field: "in" if is_in(n, field) else "out" for field in FILTERS}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def process_tree(root: int) -> list[int]:
    parents: dict[int, int] = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
    tree = {root}
    while grown := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= grown
    return sorted(tree)


def memory_bytes(root: int) -> dict[str, int]:
    """Proportional resident bytes of a process and all below it: anonymous and shared memory ('own'), and mapped files."""
    sums = {"own": 0, "files": 0}
    kinds = {"Pss_Anon": "own", "Pss_Shmem": "own", "Pss_File": "files"}
    for pid in process_tree(root):
        try:
            lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            kind, _, value = line.partition(":")
            if kind in kinds:
                sums[kinds[kind]] += int(value.split()[0]) * 1024
    return sums


class Served(abc.ABC):
    name: str
    efforts: list[int]
    about: str
    root_pid: int

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        folder.mkdir(parents=True)

    @abc.abstractmethod
    def start(self) -> None: ...

    @abc.abstractmethod
    def load(self, base: np.ndarray) -> None:
        """Returns once every row is searchable by the index."""

    @abc.abstractmethod
    def measure(self, queries: np.ndarray, effort: int, clients: int, seconds: float, field: str | None) -> tuple[dict, list[list[int] | None]]:
        """The generator's report, and per query the ids of one reply (None where none came)."""

    @abc.abstractmethod
    def stop(self) -> None: ...

    def memory(self) -> dict[str, int]:
        return memory_bytes(self.root_pid)


def read_replies(file: pathlib.Path) -> list[str]:
    return [json.loads(line) for line in file.read_text().splitlines()]


class HttpServed(Served):
    """Driven by bench-load."""

    headers: list[str] = []
    expect: str  # what a good reply holds, and how often
    expect_count = K
    port: int

    @abc.abstractmethod
    def request(self, query: np.ndarray, effort: int, field: str | None) -> tuple[str, dict]: ...

    @abc.abstractmethod
    def ids(self, reply: dict) -> list[int]: ...

    def set_effort(self, effort: int) -> None: ...

    def __init__(self, folder: pathlib.Path):
        super().__init__(folder)
        self.pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=600))

    def ok(self, method: str, path: str, body: dict | None = None) -> dict:
        sent = {"Content-Type": "application/json"} | dict(header.split(": ", 1) for header in self.headers)
        reply = self.pool.request(method, f"http://127.0.0.1:{self.port}{path}", body=None if body is None else json.dumps(body), headers=sent)
        if not 200 <= reply.status < 300:
            raise RuntimeError(f"{self.name}: {method} {path} -> {reply.status} {reply.data[:500]!r}")
        return json.loads(reply.data) if reply.data else {}

    def launch(self, command: list[str], ready: str, env: dict[str, str] | None = None) -> None:
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env=os.environ | (env or {}))
        self.root_pid = self.process.pid
        deadline = time.monotonic() + READY_S
        while True:
            try:
                self.ok("GET", ready)
                return
            except (urllib3.exceptions.HTTPError, RuntimeError) as failure:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name} did not start: {failure}; its log: {self.folder}/log") from failure
                time.sleep(0.1)

    def measure(self, queries: np.ndarray, effort: int, clients: int, seconds: float, field: str | None) -> tuple[dict, list[list[int] | None]]:
        self.set_effort(effort)
        requests, replies = self.folder / "requests.jsonl", self.folder / "replies.jsonl"
        with open(requests, "w") as out:
            for query in queries:
                target, body = self.request(query, effort, field)
                out.write(json.dumps({"method": "POST", "target": target, "body": json.dumps(body)}) + "\n")
        headers = [part for header in self.headers for part in ("--header", header)]
        command = [BIN / "bench-load", "--port", str(self.port), "--requests", requests, "--clients", str(clients), "--seconds", str(seconds),
                   "--expect", self.expect, "--count", "0" if field else str(self.expect_count), "--replies", replies, *headers]
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return report, [self.ids(json.loads(reply)) if reply else None for reply in read_replies(replies)]

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


DEFAULT_EFFORT = 64


class Quarry(HttpServed):
    name, efforts = "quarry", [16, 20, 24, 32, 40, 48, 64, 96, 128, 192]
    about = "a stored retriever with one feature_search stage over a standalone namespace"
    headers = [f"Authorization: Bearer {KEY}", "X-Namespace: bench"]
    expect = '"document_id"'
    env: dict[str, str] = {}  # settings of the server

    def start(self) -> None:
        self.server = Server(self.folder / "data", env=self.env).start()
        self.port, self.root_pid = int(self.server.url.rsplit(":", 1)[1]), self.server.process.pid

    def load(self, base: np.ndarray) -> None:
        create_namespace(self.ok, base.shape[1])
        for begin in range(0, len(base), BATCH):
            upsert(self.ok, base[begin : begin + BATCH], begin)
        self.retrievers = {field: make_retriever(self.ok, field) for field in (None, *FILTERS)}

    def request(self, query: np.ndarray, effort: int, field: str | None) -> tuple[str, dict]:
        return f"/v1/retrievers/{self.retrievers[field]}/execute", {"inputs": {"q": query.tolist(), "effort": effort or DEFAULT_EFFORT}}

    def ids(self, reply: dict) -> list[int]:
        return [int(hit["document_id"]) for hit in reply["results"]]

    def stop(self) -> None:
        self.server.stop()


def create_namespace(ok, dimension: int) -> None:
    ok("POST", "/v1/namespaces/standalone", {"namespace_id": "bench", "vector_configs": [{"name": "v", "dimension": dimension, "metric": "cosine"}]})


def upsert(ok, rows: np.ndarray, first: int) -> None:
    documents = [{"document_id": str(n), "vectors": {"v": vector}, "payload": keywords(n)} for n, vector in enumerate(rows.tolist(), first)]
    ok("POST", "/v1/namespaces/bench/documents/upsert", {"documents": documents})


def make_retriever(ok, field: str | None) -> str:
    filters = {"filters": {"AND": [{"field": field, "operator": "eq", "value": "in"}]}} if field else {}
    search = {"feature_uri": "v", "query": {"input_mode": "vector", "value": "{{INPUT.q}}"}, "top_k": K, "effort": "{{INPUT.effort}}", **filters}
    stage = {"stage_name": "s", "stage_type": "filter", "config": {"stage_id": "feature_search", "parameters": {"searches": [search], "final_top_k": K}}}
    return ok("POST", "/v1/retrievers", {"retriever_name": f"bench-{field}", "input_schema": {"q": {"type": "array", "required": True}, "effort": {"type": "integer"}}, "stages": [stage]})["retriever_id"]


class Chroma(HttpServed):
    name, efforts = "chroma", [20, 40, 80, 120, 200, 400]
    about = "hnsw, cosine, max_neighbors=16, ef_construction=200"
    expect, expect_count = '","', K - 1  # between ids
    collections = "/api/v2/tenants/default_tenant/databases/default_database/collections"

    def start(self) -> None:
        self.port, self.effort = free_port(), 0
        program = BENCH_BIN / "chroma"
        command = [str(program), "run", "--path", str(self.folder / "data"), "--host", "127.0.0.1", "--port", str(self.port)]
        self.launch(command, "/api/v2/heartbeat", {"RUST_LOG": "error", "ANONYMIZED_TELEMETRY": "False"})

    def load(self, base: np.ndarray) -> None:
        hnsw = {"space": "cosine", "max_neighbors": 16, "ef_construction": 200}
        self.collection = self.ok("POST", self.collections, {"name": "bench", "configuration": {"hnsw": hnsw}})["id"]
        for begin in range(0, len(base), BATCH):
            rows = range(begin, min(len(base), begin + BATCH))
            body = {"ids": [str(n) for n in rows], "embeddings": base[begin : begin + BATCH].tolist(), "metadatas": [keywords(n) for n in rows]}
            self.ok("POST", f"{self.collections}/{self.collection}/add", body)
        self.ok("POST", *self.request(base[0], 0, None))  # a search waits until the index has caught up

    def set_effort(self, effort: int) -> None:
        if effort != self.effort:
            self.ok("PUT", f"{self.collections}/{self.collection}", {"new_configuration": {"hnsw": {"ef_search": effort}}})
            self.effort = effort

    def request(self, query: np.ndarray, effort: int, field: str | None) -> tuple[str, dict]:
        where = {"where": {field: "in"}} if field else {}
        return f"{self.collections}/{self.collection}/query", {"query_embeddings": [query.tolist()], "n_results": K, "include": [], **where}

    def ids(self, reply: dict) -> list[int]:
        return [int(n) for n in reply["ids"][0]]


class Weaviate(HttpServed):
    name, efforts = "weaviate", [16, 32, 64, 96, 128, 256, 512]
    about = "hnsw, cosine, maxConnections=32, efConstruction=128; GraphQL over HTTP"
    expect = '"n":'
    program = BENCH_BIN / "weaviate-server"

    def start(self) -> None:
        if not self.program.exists():
            raise FileNotFoundError(f"{self.program} is absent: ./run bench servers builds it where a Go tool chain is found")
        self.port, self.effort = free_port(), 0
        gossip = free_port()
        settings = {"PERSISTENCE_DATA_PATH": str(self.folder / "data"), "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true", "DEFAULT_VECTORIZER_MODULE": "none",
                    "CLUSTER_HOSTNAME": "bench", "CLUSTER_GOSSIP_BIND_PORT": str(gossip), "CLUSTER_DATA_BIND_PORT": str(free_port()),
                    "CLUSTER_ADVERTISE_ADDR": "127.0.0.1", "RAFT_PORT": str(free_port()), "RAFT_INTERNAL_RPC_PORT": str(free_port()), "RAFT_BOOTSTRAP_EXPECT": "1",
                    "GRPC_PORT": str(free_port()), "DISABLE_TELEMETRY": "true", "LOG_LEVEL": "error", "PROMETHEUS_MONITORING_ENABLED": "false"}
        self.launch([str(self.program), "--host", "127.0.0.1", "--port", str(self.port), "--scheme", "http"], "/v1/.well-known/ready", settings)

    def schema(self, effort: int) -> dict:
        text = {"dataType": ["text"], "tokenization": "field", "indexFilterable": True, "indexSearchable": False}
        return {"class": "Item", "vectorizer": "none", "vectorIndexType": "hnsw",
                "vectorIndexConfig": {"distance": "cosine", "maxConnections": 32, "efConstruction": 128, "ef": effort},
                "properties": [{"name": "n", "dataType": ["int"], "indexFilterable": False}, *({"name": field} | text for field in FILTERS)]}

    def load(self, base: np.ndarray) -> None:
        self.ok("POST", "/v1/schema", self.schema(64))
        for begin in range(0, len(base), BATCH):
            rows = enumerate(base[begin : begin + BATCH].tolist(), begin)
            objects = [{"class": "Item", "vector": vector, "properties": {"n": n, **keywords(n)}} for n, vector in rows]
            replies = self.ok("POST", "/v1/batch/objects", {"objects": objects})
            if failed := [r for r in replies if r["result"].get("errors")]:
                raise RuntimeError(f"weaviate refused {len(failed)} rows: {failed[0]['result']['errors']}")

    def set_effort(self, effort: int) -> None:
        if effort != self.effort:
            self.ok("PUT", "/v1/schema/Item", self.ok("GET", "/v1/schema/Item") | {"vectorIndexConfig": self.schema(effort)["vectorIndexConfig"]})
            self.effort = effort

    def request(self, query: np.ndarray, effort: int, field: str | None) -> tuple[str, dict]:
        where = f' where:{{path:["{field}"] operator:Equal valueText:"in"}}' if field else ""
        return "/v1/graphql", {"query": f"{{Get{{Item(limit:{K} nearVector:{{vector:{json.dumps(query.tolist())}}}{where}){{n}}}}}}"}

    def ids(self, reply: dict) -> list[int]:
        return [hit["n"] for hit in reply["data"]["Get"]["Item"]]


class Child(Served):
    """A peer that a script of the bench's own Python runs: JSON lines in and out."""

    script: str

    def start(self) -> None:
        script = pathlib.Path(__file__).with_name(self.script)
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen([str(BENCH_BIN / "python"), "-B", str(script), str(self.folder / "data")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.root_pid = self.process.pid
        self.ready = self.read()

    def read(self) -> dict:
        line = self.process.stdout.readline()
        if not line.startswith("{"):
            raise RuntimeError(f"{self.name} ended: {(self.folder / 'log').read_text()[-500:]}")
        return json.loads(line)

    def ask(self, **wish: object) -> dict:
        self.process.stdin.write(json.dumps(wish) + "\n")
        self.process.stdin.flush()
        return self.read()

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=60)


class PgVector(Child):
    name, script, efforts = "pgvector", "pg_server.py", [20, 40, 80, 120, 200, 400, 800]

    def start(self) -> None:
        super().start()
        self.about = f"pgvector {self.ready['pgvector']} on PostgreSQL {self.ready['postgres']}, hnsw m=16 ef_construction=200, shared_buffers=1GB; libpq, a prepared statement"
        self.root_pid = self.ready["pid"]

    def psql(self, *arguments: str, stdin=None) -> None:
        done = subprocess.run([self.ready["psql"], self.ready["uri"], "-q", "-v", "ON_ERROR_STOP=1", *arguments], stdin=stdin, capture_output=True, text=stdin is None)
        if done.returncode:
            raise RuntimeError(f"pgvector: {done.stderr[-500:]}")

    def load(self, base: np.ndarray) -> None:
        fields = ", ".join(f"{field} text" for field in FILTERS)
        self.psql("-c", f"CREATE TABLE items (n int PRIMARY KEY, {fields}, v vector({base.shape[1]}))", "-c", "ALTER TABLE items ALTER v SET STORAGE PLAIN")
        rows = self.folder / "rows.tsv"
        with open(rows, "w") as out:
            for n, vector in enumerate(base.tolist()):
                out.write("\t".join([str(n), *keywords(n).values(), json.dumps(vector)]) + "\n")
        with open(rows, "rb") as data:
            self.psql("-c", "COPY items FROM STDIN", stdin=data)
        rows.unlink()
        indexes = [part for field in FILTERS for part in ("-c", f"CREATE INDEX ON items ({field})")]
        self.psql("-c", "SET maintenance_work_mem = '2GB'; SET max_parallel_maintenance_workers = 1; CREATE INDEX ON items USING hnsw (v vector_cosine_ops) WITH (m = 16, ef_construction = 200)",
                  *indexes, "-c", "VACUUM ANALYZE items")

    def measure(self, queries: np.ndarray, effort: int, clients: int, seconds: float, field: str | None) -> tuple[dict, list[list[int] | None]]:
        parameters, replies = self.folder / "parameters", self.folder / "replies"
        parameters.write_text("".join(json.dumps(query.tolist()) + "\n" for query in queries))
        where = f"WHERE {field} = 'in' " if field else ""
        command = [BIN / "bench-pg-load", self.ready["uri"], f"SET hnsw.ef_search = {effort}", f"SELECT n FROM items {where}ORDER BY v <=> $1::vector LIMIT {K}",
                   str(clients), str(seconds), parameters, replies]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"pgvector: {done.stderr[-500:]}")
        return json.loads(done.stdout), [json.loads(reply) if reply else None for reply in read_replies(replies)]


class Lance(Child):
    name, script, efforts = "lancedb", "lance_load.py", [5, 10, 20, 40, 80, 160]
    about = "IVF_PQ with re-scoring of 10 times k; in-process calls from Python threads, no HTTP between"

    def load(self, base: np.ndarray) -> None:
        np.save(self.folder / "base.npy", base)
        np.savez(self.folder / "filters.npz", **{field: is_in(np.arange(len(base)), field) for field in FILTERS})
        self.ask(do="load", base=str(self.folder / "base.npy"), filters=str(self.folder / "filters.npz"))

    def measure(self, queries: np.ndarray, effort: int, clients: int, seconds: float, field: str | None) -> tuple[dict, list[list[int] | None]]:
        np.save(self.folder / "queries.npy", queries)
        answer = self.ask(do="search", queries=str(self.folder / "queries.npy"), effort=effort, clients=clients, seconds=seconds, field=field)
        return answer["report"], answer["ids"]


SERVED: dict[str, type[Served]] = {peer.name: peer for peer in (Quarry, Weaviate, Chroma, PgVector, Lance)}
