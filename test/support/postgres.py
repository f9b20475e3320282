"""A private PostgreSQL server over a unix socket, started and ended by the tests."""

from __future__ import annotations

import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass

PROGRAMS = pathlib.Path(os.environ.get("QUARRY_TEST_POSTGRES_BIN", "/usr/lib/postgresql/15/bin"))
READY_TIMEOUT_S = 60


def _other_user() -> dict[str, str]:
    """PostgreSQL refuses to run as root."""
    return {"user": "postgres" if any(u.pw_name == "postgres" for u in pwd.getpwall()) else "nobody"} if os.geteuid() == 0 else {}


@dataclass
class Postgres:
    folder: str = ""  # short, as a socket's path must be
    process: subprocess.Popen | None = None

    @property
    def connection(self) -> str:
        return f"host={self.folder} user=quarry dbname=postgres"

    def sql(self, text: str) -> str:
        """Runs statements; what they return comes as CSV without a header."""
        command = [PROGRAMS / "psql", self.connection, "--csv", "-t", "-q", "-v", "ON_ERROR_STOP=1"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def __enter__(self) -> "Postgres":
        self.folder = tempfile.mkdtemp(prefix="quarry-pg-")
        owner = _other_user()
        if owner:
            shutil.chown(self.folder, **owner)
        data = f"{self.folder}/data"
        init = [PROGRAMS / "initdb", "-D", data, "-U", "quarry", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
        subprocess.run(init, check=True, capture_output=True, cwd="/", **owner)
        serve = [PROGRAMS / "postgres", "-D", data, "-k", self.folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        self.process = subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **owner)
        deadline = time.monotonic() + READY_TIMEOUT_S
        while subprocess.run([PROGRAMS / "pg_isready", "-q", "-h", self.folder]).returncode != 0:
            assert self.process.poll() is None and time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)
