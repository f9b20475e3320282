"""A live server over a real S3 server: the whole flow, restarts, and settings that can't work."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

import pytest
from deltalake import DeltaTable, QueryBuilder

from support.flow import add_texts, all_documents, new_bucket, new_namespace, new_text_collection, process, search_body, submit
from support.s3 import ACCESS_KEY, S3RVER, SECRET_KEY, VERSITYGW, HeedlessS3Server, S3Server, free_port
from support.server import BIN, Server

pytestmark = pytest.mark.skipif(not VERSITYGW.exists(), reason="no S3 server is installed: ./run test installs one")

TEXTS = ["Bees make honey from nectar.", "The train to the coast leaves at noon.", "A kiln turns clay into pots.", "Granite is cut with diamond saws."]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory):
    with S3Server(tmp_path_factory.mktemp("s3")) as running:
        yield running


def quarry(verb: str, data: pathlib.Path, env: dict[str, str]) -> subprocess.CompletedProcess:
    base = {k: v for k, v in os.environ.items() if not k.startswith(("QUARRY_", "AWS_"))}
    command = [str(BIN / "quarry"), verb, "--data", str(data), "--listen", "127.0.0.1:0", "--model.preload", "false", "--objects.attempts", "2"]
    return subprocess.run(command, env=base | env, cwd=data.parent, capture_output=True, text=True, timeout=120)


def refusal(data: pathlib.Path, env: dict[str, str]) -> str:
    """What `quarry serve` says before it ends."""
    ended = quarry("serve", data, env)
    assert ended.returncode == 1, ended
    assert ended.stdout == ""
    return ended.stderr


def upload(client, bucket: str, name: str, content: bytes) -> str:
    """A file through its presigned URL; the id of the object that it became."""
    made = client.ok("POST", f"/v1/buckets/{bucket}/uploads", {"filename": name, "content_type": "text/plain", "blob_property": "content", "blob_type": "text"})
    client.ok("PUT", made["presigned_url"], raw=content, headers={"Content-Type": "text/plain"})
    return client.ok("POST", f"/v1/buckets/{bucket}/uploads/{made['upload_id']}/confirm", {})["object_id"]


def first_hits(client, collection: str) -> list[tuple[str, float]]:
    reply = client.ok("POST", "/v1/retrievers/execute", search_body([collection], "insects and sweet food"))
    return [(d["document_id"], d["score"]) for d in reply["documents"]]


def table_urls(bucket: pathlib.Path) -> list[str]:
    return [f"s3://{bucket.name}/{log.parent.relative_to(bucket)}" for log in bucket.rglob("_delta_log")]


def read_ids(url: str, storage: dict[str, str]) -> set[str]:
    found = QueryBuilder().register("t", DeltaTable(url, storage_options=storage)).execute("SELECT document_id FROM t").read_all()
    return {str(i) for i in found["document_id"].to_pylist()}


def test_ingest_search_restart_search(s3: S3Server, tmp_path: pathlib.Path) -> None:
    bucket = s3.make_bucket("flow")
    server = Server(tmp_path / "data", env=s3.settings("s3://flow/depot one"))
    with server:
        client = new_namespace(server.client(), "flow")
        source = new_bucket(client)
        collection = new_text_collection(client, source)
        objects = add_texts(client, source, TEXTS[:-1]) + [upload(client, source, "granite.txt", TEXTS[-1].encode())]
        assert process(client, source, objects)["status"] == "COMPLETED"
        before = first_hits(client, collection)
        assert len(before) == len(TEXTS)
    stored = [p for p in (bucket / "depot one").rglob("*") if p.is_file()]
    assert any("_delta_log" in p.parts for p in stored) and any("blobs" in p.parts for p in stored)
    assert not any(p.is_file() for p in (tmp_path / "data/objects").rglob("*")), "nothing lies in the data folder"
    assert not any(".quarry-probe" in str(p) for p in stored), "the check at the start leaves nothing"

    for _ in range(2):  # with a cache that is empty, then with one that is not
        with server:
            assert first_hits(client.__class__(server.url, client.key, client.namespace), collection) == before
    assert any(p.is_file() for p in (tmp_path / "data/object-cache/blocks").rglob("*"))

    storage = {"AWS_ENDPOINT_URL": s3.endpoint, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}
    assert [read_ids(url, storage) for url in table_urls(bucket)] == [{i for i, _ in before}], "others read the table where it lies"


def test_killed_server_finishes_its_batch(s3: S3Server, tmp_path: pathlib.Path) -> None:
    s3.make_bucket("killed")
    server = Server(tmp_path / "data", env=s3.settings("s3://killed")).start()
    try:
        client = new_namespace(server.client(), "killed")
        source = new_bucket(client)
        collection = new_text_collection(client, source)
        batch = submit(client, source, add_texts(client, source, [f"{text} Number {i}." for i in range(10) for text in TEXTS]))
        server.kill()
        server.start()
        client = client.__class__(server.url, client.key, client.namespace)
        assert client.wait_for_batch(source, batch)["status"] == "COMPLETED"
        documents = all_documents(client, collection)
        assert len(documents) == len({d["root_object_id"] for d in documents}) == 40
    finally:
        server.stop()


def test_credentials_from_variables_and_profiles(s3: S3Server, tmp_path: pathlib.Path) -> None:
    s3.make_bucket("credentials")
    common = {"QUARRY_OBJECTS_URL": "s3://credentials/x", "AWS_ENDPOINT_URL_S3": s3.endpoint}
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    assert "credentials from AWS_ACCESS_KEY_ID" in quarry("doctor", tmp_path / "data", common | keys).stdout
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    (home / ".aws/credentials").write_text(f"[work]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n")
    shown = quarry("doctor", tmp_path / "data", common | {"HOME": str(home), "QUARRY_OBJECTS_PROFILE": "work"}).stdout
    assert f"credentials from profile 'work' of {home}/.aws/credentials" in shown


def test_doctor_and_config_show_the_store_without_its_secrets(s3: S3Server, tmp_path: pathlib.Path) -> None:
    s3.make_bucket("shown")
    settings = s3.settings("s3://shown/p") | {"QUARRY_OBJECTS_SESSION_TOKEN": ""}
    doctor = quarry("doctor", tmp_path / "data", settings).stdout
    line = next(line for line in doctor.splitlines() if "objects" in line)
    assert line.startswith("ok") and f"s3://shown/p at {s3.endpoint}" in line and "put-if-absent is atomic" in line
    config = quarry("config", tmp_path / "data", settings).stdout
    assert "s3://shown/p" in config
    for text in (doctor, config):
        assert SECRET_KEY not in text and ACCESS_KEY not in text
    wrong = quarry("doctor", tmp_path / "data", settings | {"QUARRY_OBJECTS_SECRET_ACCESS_KEY": "wrong"})
    assert wrong.returncode == 1 and "SignatureDoesNotMatch" in wrong.stdout


def test_settings_that_cannot_work_are_told_at_the_start(s3: S3Server, tmp_path: pathlib.Path) -> None:
    s3.make_bucket("sound")
    sound, data = s3.settings("s3://sound"), tmp_path / "data"
    assert "NoSuchBucket" in (said := refusal(data, sound | {"QUARRY_OBJECTS_URL": "s3://missing"})) and "objects.url" in said
    assert "SignatureDoesNotMatch" in (said := refusal(data, sound | {"QUARRY_OBJECTS_SECRET_ACCESS_KEY": "wrong"})) and "objects.secret_access_key" in said
    assert "objects.access_key_id" in refusal(data, sound | {"QUARRY_OBJECTS_ACCESS_KEY_ID": "nobody"})
    nobody = {k: v for k, v in sound.items() if "KEY" not in k} | {"HOME": str(tmp_path)}
    assert "needs credentials" in refusal(data, nobody)
    assert "is not s3://BUCKET" in refusal(data, sound | {"QUARRY_OBJECTS_URL": "gs://sound"})
    assert "objects.endpoint" in refusal(data, sound | {"QUARRY_OBJECTS_ENDPOINT": "localhost:9000"})
    closed = f"http://127.0.0.1:{free_port()}"
    said = refusal(data, sound | {"QUARRY_OBJECTS_ENDPOINT": closed})
    assert closed in said and "sound" in said
    assert SECRET_KEY not in said


@pytest.mark.skipif(not (S3RVER.exists() and shutil.which("node")), reason="s3rver is not installed: ./run test installs it where npm is")
def test_a_store_without_put_if_absent_is_refused(tmp_path: pathlib.Path) -> None:
    with HeedlessS3Server(tmp_path / "s3") as store:
        said = refusal(tmp_path / "data", store.settings("s3://depot"))
    assert "does not keep put-if-absent" in said and "If-None-Match" in said
