"""A real Quarry server on a free port of 127.0.0.1 and a data folder of its own, started and ended by the tests."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import urllib3

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("QUARRY_BIN", ROOT / "build/release/bin"))
KEY = "qk_test_0123456789abcdef"
READY_TIMEOUT_S = 60.0


@dataclass
class Reply:
    status: int
    body: Any
    headers: dict[str, str]
    raw: bytes

    @property
    def error_type(self) -> str:
        return self.body["error"]["type"]


class Client:
    """Plain HTTP with a key and a namespace; no retries, so that a test sees what the server said."""

    def __init__(self, url: str, key: str | None = KEY, namespace: str | None = None):
        self.url, self.key, self.namespace = url, key, namespace
        self.pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=120), maxsize=16)

    def __call__(self, method: str, path: str, body: Any = None, headers: dict | None = None, raw: bytes | None = None) -> Reply:
        sent = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        if self.namespace:
            sent["X-Namespace"] = self.namespace
        if raw is None and body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        url = path if path.startswith("http") else self.url + path
        r = self.pool.request(method, url, body=raw, headers=sent)
        is_json = r.headers.get("Content-Type", "").startswith("application/json")
        return Reply(r.status, json.loads(r.data) if is_json and r.data else None, {k.lower(): v for k, v in r.headers.items()}, r.data)

    def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        r = self(method, path, body, **more)
        assert 200 <= r.status < 300, f"{method} {path} -> {r.status} {r.raw[:2000]!r}"
        return r.body

    def within(self, namespace: str) -> "Client":
        return Client(self.url, self.key, namespace)

    def wait_for_batch(self, bucket: str, batch: str, timeout_s: float = 120) -> dict:
        return self.wait_until("GET", f"/v1/buckets/{bucket}/batches/{batch}", lambda b: b["status"] in TERMINAL, timeout_s)

    def wait_until(self, method: str, path: str, done, timeout_s: float = 60) -> dict:
        deadline = time.monotonic() + timeout_s
        while True:
            body = self.ok(method, path)
            if done(body):
                return body
            assert time.monotonic() < deadline, f"{path} after {timeout_s} s: {json.dumps(body)[:2000]}"
            time.sleep(0.05)


TERMINAL = {"COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED", "CANCELED"}


@dataclass
class Server:
    data: pathlib.Path
    env: dict[str, str] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    key: str = KEY
    process: subprocess.Popen | None = None
    url: str = ""
    log: list[str] = field(default_factory=list)

    def start(self) -> "Server":
        environment = {k: v for k, v in os.environ.items() if not k.startswith("QUARRY_")}
        environment |= {"QUARRY_API_KEY": self.key} | self.env
        command = [str(BIN / "quarry"), "serve", "--data", str(self.data), "--listen", "127.0.0.1:0", *self.flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        threading.Thread(target=self._drain, args=(self.process.stderr,), daemon=True).start()
        self.url = self._await_ready()
        return self

    def _drain(self, pipe) -> None:
        for line in pipe:
            self.log.append(line)
            del self.log[:-2000]

    def _await_ready(self) -> str:
        timer = threading.Timer(READY_TIMEOUT_S, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if not line.startswith("quarry ready http://"):
            self.process.wait(timeout=30)
            time.sleep(0.05)
            raise RuntimeError(f"the server did not start: {line!r}, exit {self.process.returncode}\n" + "".join(self.log[-40:]))
        return line.split()[2]

    def client(self, namespace: str | None = None, key: str | None = None) -> Client:
        return Client(self.url, key or self.key, namespace)

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def kill(self) -> None:
        """kill -9, as a power cut would."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.stop()


def second_organization(server: Server) -> str:
    """Made as an operator does: by the program, in the data folder, while no server uses it."""
    server.stop()
    made = subprocess.run([BIN / "quarry", "organizations", "add", "second", "--data", server.data], capture_output=True, text=True, check=True)
    server.start()
    return made.stdout.strip()
