"""What a server must live through: stops, second servers, full disks, hostile input at the edges."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
import time

import pytest

from support.flow import add_texts, all_documents, new_bucket, new_namespace, new_text_collection, process, search_body, submit, unique
from support.server import BIN, KEY, Server


def test_second_server_is_refused(fresh_server: Server) -> None:
    other = subprocess.run([BIN / "quarry", "serve", "--data", fresh_server.data, "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=30)
    assert other.returncode != 0 and other.stdout == ""
    assert "another quarry server uses the data folder" in other.stderr
    assert fresh_server.client().ok("GET", "/v1/health")


def test_graceful_stop_loses_nothing(tmp_path) -> None:
    """SIGTERM in the middle of a batch: exit 0, and after the restart the batch ends complete."""
    server = Server(tmp_path / "data").start()
    client = new_namespace(server.client())
    bucket = new_bucket(client)
    collection = new_text_collection(client, bucket)
    ids = add_texts(client, bucket, [f"Sentence number {i} about stopping. " * 20 for i in range(200)])
    batch = submit(client, bucket, ids)
    assert server.stop() == 0
    server.start()
    client.url = server.url
    try:
        assert client.wait_for_batch(bucket, batch)["status"] == "COMPLETED"
        assert {d["root_object_id"] for d in all_documents(client, collection)} == set(ids)
    finally:
        server.stop()


def test_key_is_ignored_on_a_folder_that_has_keys(fresh_server: Server) -> None:
    fresh_server.stop()
    second = Server(fresh_server.data, key="another-key-0123456789").start()
    try:
        assert second.client(key=KEY)("GET", "/v1/namespaces").status == 200
        assert second.client(key="another-key-0123456789")("GET", "/v1/namespaces").status == 401
    finally:
        second.stop()


def test_key_reset_needs_the_folder_only(fresh_server: Server, tmp_path) -> None:
    fresh_server.stop()
    credentials = tmp_path / "credentials.json"
    made = subprocess.run([BIN / "quarry", "keys", "reset", "--data", fresh_server.data, "--credentials", credentials], capture_output=True, text=True, check=True)
    assert credentials.stat().st_mode & 0o777 == 0o600
    fresh_server.start()
    assert fresh_server.client(key=made.stdout.strip())("GET", "/v1/namespaces").status == 200


def test_newer_format_is_refused(fresh_server: Server) -> None:
    fresh_server.stop()
    (fresh_server.data / "FORMAT").write_text("quarry data folder, format 999\n")
    with pytest.raises(RuntimeError, match="use a newer Quarry"):
        fresh_server.start()


def test_foreign_folder_is_refused(tmp_path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.doc").write_text("mine")
    with pytest.raises(RuntimeError, match="not a Quarry data folder"):
        Server(tmp_path / "data").start()
    assert (tmp_path / "data" / "thesis.doc").read_text() == "mine"


@pytest.fixture()
def small_disk(tmp_path):
    """A file system of 48 MiB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(mount)], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"a small file system needs the right to mount: {made.stderr.strip()}")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def test_full_disk_refuses_writes_and_reads_go_on(small_disk) -> None:
    with Server(small_disk / "data") as server:
        client = new_namespace(server.client())
        bucket = new_bucket(client)
        collection = new_text_collection(client, bucket)
        process(client, bucket, add_texts(client, bucket, ["The ship lies in the harbour."]))
        filler = small_disk / "filler"
        with open(filler, "wb") as f:
            try:
                while True:
                    f.write(b"\0" * 65536)
                    f.flush()
            except OSError:
                pass
        refused = client("POST", f"/v1/buckets/{bucket}/objects", {"blobs": [{"property": "content", "type": "text", "data": "x" * 200_000}]})
        assert refused.status in (500, 503, 507), refused.raw
        assert "full" in refused.body["error"]["message"] or "space" in refused.body["error"]["message"], refused.raw
        found = client.ok("POST", "/v1/retrievers/execute", search_body([collection], "boats"))
        assert len(found["results"]) == 1
        filler.unlink()
        ids = add_texts(client, bucket, ["A second ship arrives."])
        assert process(client, bucket, ids)["status"] == "COMPLETED"


def raw_exchange(url: str, payload: bytes, timeout_s: float = 10) -> bytes:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=timeout_s) as s:
        s.sendall(payload)
        received = b""
        try:
            while part := s.recv(65536):
                received += part
        except TimeoutError:
            pass
        return received


def test_oversized_body_is_refused_before_it_is_read(server: Server) -> None:
    head = f"POST /v1/buckets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
    reply = raw_exchange(server.url, head.encode(), timeout_s=5)
    assert reply.startswith(b"HTTP/1.1 413") and b"PayloadTooLargeError" in reply


@pytest.mark.parametrize("junk", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST /v1/buckets HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"G" * 100_000])
def test_junk_on_the_socket(server: Server, junk: bytes) -> None:
    raw_exchange(server.url, junk, timeout_s=2)
    assert server.client().ok("GET", "/v1/health")


def test_ingest_takes_text_of_any_encoding(server: Server, tmp_path) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "latin.txt").write_bytes("Der Bäcker verkauft süße Brötchen. ".encode("latin-1") * 20)
    (folder / "utf16.txt").write_bytes("\ufeffThe train leaves at noon. ".encode("utf-16-le") * 20)
    (folder / "plain.txt").write_text("Bees make honey from nectar.")
    (folder / os.fsdecode(b"na\xefve.txt")).write_text("A file with a name of another time.")
    credentials = tmp_path / "credentials.json"
    credentials.write_text(json.dumps({"url": server.url, "api_key": server.key, "namespace": unique("letters")}))
    command = [BIN / "quarry", "ingest", folder, "--bucket", "letters", "--credentials", credentials]
    first = subprocess.run(command, capture_output=True, timeout=120)
    assert first.returncode == 0, first.stderr
    assert b"3 files added" in first.stdout and b"name is not UTF-8" in first.stderr, first
    assert b"failed" not in first.stderr, first.stderr
    again = subprocess.run(command, capture_output=True, timeout=120)
    assert again.returncode == 0 and b"0 files added" in again.stdout and b"3 unchanged" in again.stdout, again
    client = server.client(json.loads(credentials.read_text())["namespace"])
    texts = " ".join(d.get("text", "") for d in all_documents(client, "letters_text"))
    assert "süße Brötchen" in texts and "train leaves at noon" in texts and "honey" in texts


def test_ingest_tells_each_failure_once(server: Server, tmp_path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "good.txt").write_text("Bees make honey from nectar.")
    (folder / "torn.pdf").write_bytes(b"%PDF-1.4\n1 0 obj\n<</Type /Catalog")
    (folder / "empty.txt").touch()
    credentials = tmp_path / "credentials.json"
    credentials.write_text(json.dumps({"url": server.url, "api_key": server.key, "namespace": unique("mixed")}))
    done = subprocess.run([BIN / "quarry", "ingest", folder, "--credentials", credentials], capture_output=True, timeout=120)
    assert b"2 files added" in done.stdout and b"1 skipped" in done.stdout, done
    assert done.stderr.count(b"torn.pdf") == 1 and b"the PDF is truncated" in done.stderr, done.stderr
    assert done.stderr.count(b"skipped empty.txt: empty") == 1, done.stderr


def test_private_urls_are_refused(server: Server) -> None:
    client = new_namespace(server.client())
    bucket = new_bucket(client)
    new_text_collection(client, bucket)
    port = server.url.rsplit(":", 1)[1]
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254", "10.0.0.1", "2130706433", "0x7f.1"):
        reply = client("POST", f"/v1/buckets/{bucket}/objects", {"blobs": [{"property": "document", "type": "pdf", "data": f"http://{host}:{port}/v1/health"}]})
        if reply.status == 200:
            batch = process(client, bucket, [reply.body["object_id"]])
            assert batch["status"] == "FAILED", (host, batch)
            failed = client.ok("GET", f"/v1/buckets/{bucket}/batches/{batch['batch_id']}/failed-documents")
            assert "private" in str(failed) or "refused" in str(failed) or "not allowed" in str(failed), (host, failed)
        else:
            assert reply.status in (400, 422), (host, reply.raw)


def test_start_is_quick_and_idle_memory_small(tmp_path) -> None:
    """A floor against accidents; the measured figures come from ./run bench."""
    server = Server(tmp_path / "data").start()
    server.stop()
    started = time.monotonic()
    server.start()
    try:
        assert server.client().ok("GET", "/v1/health")
        assert time.monotonic() - started < 5
        rollup = pathlib.Path(f"/proc/{server.process.pid}/smaps_rollup").read_text()
        anonymous = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Anonymous:"))
        assert anonymous < 400 * 1024, f"{anonymous} KiB"
    finally:
        server.stop()


def test_stdout_holds_one_line(tmp_path) -> None:
    env = os.environ | {"QUARRY_API_KEY": KEY}
    process_ = subprocess.Popen([BIN / "quarry", "serve", "--data", tmp_path / "data", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)
    line = process_.stdout.readline()
    process_.terminate()
    rest = process_.stdout.read()
    assert process_.wait(timeout=30) == 0
    assert line.startswith("quarry ready http://127.0.0.1:") and rest == ""
