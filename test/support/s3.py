"""Real S3 servers on free ports of 127.0.0.1, started and ended by the tests."""

from __future__ import annotations

import os
import pathlib
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field

from .server import ROOT

VERSITYGW = pathlib.Path(os.environ.get("QUARRY_TEST_S3_SERVER", ROOT / ".deps/s3/versitygw"))
S3RVER = ROOT / ".deps/s3rver/node_modules/s3rver/bin/s3rver.js"
ACCESS_KEY, SECRET_KEY = "quarry-test", "quarry-test-secret/with+odd=characters"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@dataclass
class S3Server:
    """versitygw over a folder: each folder in it is a bucket."""

    root: pathlib.Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen | None = None
    keep_alive: bool = False  # connections stay open between requests, as those of S3 do

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        kept = ["--keep-alive"] if self.keep_alive else []
        return [str(VERSITYGW), "--quiet", *kept, "--access", ACCESS_KEY, "--secret", SECRET_KEY, "--port", f"127.0.0.1:{self.port}", "posix", str(self.root)]

    def make_bucket(self, name: str) -> pathlib.Path:
        (self.root / name).mkdir(parents=True)
        return self.root / name

    def settings(self, url: str) -> dict[str, str]:
        """Variables of a Quarry that uses this store."""
        return {
            "QUARRY_OBJECTS_URL": url,
            "QUARRY_OBJECTS_ENDPOINT": self.endpoint,
            "QUARRY_OBJECTS_ACCESS_KEY_ID": ACCESS_KEY,
            "QUARRY_OBJECTS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def __enter__(self) -> "S3Server":
        self.root.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return self
            except OSError:
                assert self.process.poll() is None, f"{self.command()[0]} ended with {self.process.returncode}"
                assert time.monotonic() < deadline, f"{self.command()[0]} takes no connections"
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)


class HeedlessS3Server(S3Server):
    """s3rver, which takes a PUT whatever its If-None-Match says."""

    def command(self) -> list[str]:
        return [shutil.which("node"), str(S3RVER), "-d", str(self.root), "-a", "127.0.0.1", "-p", str(self.port), "--configure-bucket", "depot"]

    def settings(self, url: str) -> dict[str, str]:
        return super().settings(url) | {"QUARRY_OBJECTS_ACCESS_KEY_ID": "S3RVER", "QUARRY_OBJECTS_SECRET_ACCESS_KEY": "S3RVER"}
