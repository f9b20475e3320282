"""The archive of ./run package, started in a root that holds glibc and nothing else."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

import pytest

from support.flow import add_texts, new_bucket, new_namespace, new_text_collection, process, search_body
from support.server import KEY, ROOT, Client


@pytest.fixture(scope="module")
def archive() -> pathlib.Path:
    subprocess.run([ROOT / "run", "package"], check=True, cwd=ROOT, stdin=subprocess.DEVNULL)
    return max((ROOT / "dist").glob("quarry-*.tar.gz"), key=lambda p: p.stat().st_mtime)


def copy_glibc(root: pathlib.Path) -> None:
    files = subprocess.run(["dpkg", "-L", "libc6"], capture_output=True, text=True, check=True).stdout.split()
    for name in files:
        source = pathlib.Path(name)
        if ".so" in source.name and source.is_file():
            target = root / name.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    loader = pathlib.Path("/lib64/ld-linux-x86-64.so.2")
    if loader.exists():
        (root / "lib64").mkdir(exist_ok=True)
        shutil.copy(loader, root / "lib64" / loader.name)


@pytest.fixture()
def bare_root(tmp_path, archive):
    if os.geteuid() != 0:
        pytest.skip("chroot needs root")
    root = tmp_path / "root"
    for folder in ("proc", "tmp", "data", "opt"):
        (root / folder).mkdir(parents=True)
    copy_glibc(root)
    subprocess.run(["tar", "-xzf", archive, "-C", root / "opt", "--strip-components=1"], check=True)
    if subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], capture_output=True).returncode != 0:
        pytest.skip("mounting /proc is not allowed here")
    yield root
    subprocess.run(["umount", "-l", root / "proc"], check=True)


def test_runs_where_nothing_else_is(bare_root) -> None:
    command = [shutil.which("chroot"), bare_root, "/opt/bin/quarry", "serve", "--data", "/data/q", "--listen", "127.0.0.1:0"]
    server = subprocess.Popen(command, env={"QUARRY_API_KEY": KEY}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline()
        assert line.startswith("quarry ready "), server.stderr.read()
        client = new_namespace(Client(line.split()[2]))
        bucket = new_bucket(client)
        collection = new_text_collection(client, bucket)
        done = process(client, bucket, add_texts(client, bucket, ["The lighthouse keeper lit the lamp.", "Wheat prices fell."]))
        assert done["status"] == "COMPLETED", done
        found = client.ok("POST", "/v1/retrievers/execute", search_body([collection], "a light for ships"))
        assert "lighthouse" in found["results"][0]["text"]
    finally:
        server.terminate()
        assert server.wait(timeout=60) == 0


def test_holds_no_python(archive) -> None:
    names = subprocess.run(["tar", "-tzf", archive], capture_output=True, text=True, check=True).stdout
    assert ".py" not in names.replace(".pyc", ".py") and "python" not in names
    assert "share/doc/quarry/licences" in names
