"""Snapshots that come from elsewhere: downloaded from one server, laid down for another, imported there."""

from __future__ import annotations

import pathlib
import shutil

import pytest

from support.flow import add_texts, new_bucket, new_namespace, process, unique
from support.s3 import VERSITYGW, S3Server
from support.server import Client, Server, second_organization
from support.snapshots import World, everything, long_text, object_bytes, restart, restore, search, snapshot, take, verify, wait_for


def lay_down(client: Client, snapshot_id: str, folder: pathlib.Path) -> dict:
    """A download, file by file; the manifest's entry."""
    artifacts = snapshot(client, snapshot_id, "?download=true")["download"]["artifacts"]
    for artifact in artifacts:
        path = folder / artifact["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(client.pool.request("GET", artifact["url"]).data)
    return artifacts[-1]


def begin_import(client: Client, bucket: str, prefix: str, **more: object) -> dict:
    return client.ok("POST", f"/v1/namespaces/{client.namespace}/snapshots", {"import_from": {"bucket": bucket, "prefix": prefix, **more}})


def import_snapshot(client: Client, bucket: str, prefix: str, **more: object) -> str:
    begun = begin_import(client, bucket, prefix, **more)
    task = wait_for(client, begun["task_id"])
    assert task["status"] == "COMPLETED", task
    return begun["snapshot_id"]


def internal_id(client: Client) -> str:
    """As a snapshot of the organization shows it: the name of its folder in every place."""
    return snapshot(client, take(client, include_vectors=False))["internal_id"]


@pytest.fixture()
def vault(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "vault").mkdir()
    return tmp_path / "vault"


@pytest.fixture()
def second_server(tmp_path: pathlib.Path, vault: pathlib.Path):
    with Server(tmp_path / "second", env={"QUARRY_SNAPSHOTS_IMPORT_FROM": f"vault={vault}"}) as running:
        yield running


def test_from_one_server_to_another(fresh_server: Server, second_server: Server, vault: pathlib.Path) -> None:
    world = World(fresh_server.client())
    source = world.client
    long_object = long_text(source, world.bucket)
    assert process(source, world.bucket, [long_object])["status"] == "COMPLETED"
    both = [world.first, world.second]
    seen, hits = everything(source), search(source, both)
    taken = take(source, copy_s3_objects=True)
    target = new_namespace(second_server.client())
    folder = internal_id(target)
    manifest = lay_down(source, taken, vault / folder / "monday")
    fresh_server.stop()

    imported = import_snapshot(target, "vault", f"{folder}/monday", manifest_sha256=manifest["sha256"])
    shown = snapshot(target, imported)
    assert shown["status"] == "completed" and shown["snapshot_type"] == "manual" and shown["s3_objects_copied"]
    assert shown["imported_from"]["snapshot_id"] == taken and shown["imported_from"]["namespace_id"] == source.namespace
    assert shown["imported_from"]["manifest_sha256"] == manifest["sha256"]
    shutil.rmtree(vault / folder)
    checked = verify(target, imported)
    assert checked["restorable"] and checked["issues"] == [] and checked["collections_verified"] == 2

    # In place: the second server's namespace is what the first one's was, ids and scores included.
    assert wait_for(target, restore(target, imported, confirm_in_place=True)["task_id"])["status"] == "COMPLETED"
    assert everything(target) == seen
    assert search(target, both) == hits
    assert object_bytes(target, world.bucket, long_object) == 120_000
    restart(second_server, target)
    assert search(target, both) == hits and everything(target) == seen
    # It goes on living, and into another namespace as well.
    assert process(target, world.bucket, add_texts(target, world.bucket, ["A kitten dozes in the sun."]))["status"] == "COMPLETED"
    begun = restore(target, imported, target_namespace_name=unique("copy"))
    assert wait_for(target, begun["task_id"])["status"] == "COMPLETED"
    copies = [c["collection_id"] for c in target.within(begun["target_namespace_id"]).ok("POST", "/v1/collections/list", {})["results"]]
    assert sorted(h[1] for h in search(target.within(begun["target_namespace_id"]), copies)) == sorted(h[1] for h in hits)
    # What was imported is a snapshot like any other: it is downloaded, imported again, deleted.
    lay_down(target, imported, vault / folder / "again")
    assert verify(target, import_snapshot(target, "vault", f"{folder}/again"))["restorable"]
    target.ok("DELETE", f"/v1/namespaces/{target.namespace}/snapshots/{imported}")
    assert not [p for p in (second_server.data / "objects").rglob(f"{imported}/**/*") if p.is_file()]


def test_damage_on_the_way_leaves_nothing(fresh_server: Server, second_server: Server, vault: pathlib.Path) -> None:
    source = World(fresh_server.client()).client
    taken = take(source)
    target = new_namespace(second_server.client())
    folder = internal_id(target)
    lay_down(source, taken, vault / folder / "x")
    before = {p for p in (second_server.data / "objects").rglob("*") if p.is_file()}
    for path in sorted(p for p in (vault / folder / "x").rglob("*") if p.is_file()):
        whole = path.read_bytes()
        for spoilt in (whole[:-1], whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :], None):
            path.unlink() if spoilt is None else path.write_bytes(spoilt)
            reply = target("POST", f"/v1/namespaces/{target.namespace}/snapshots", {"import_from": {"bucket": "vault", "prefix": f"{folder}/x"}})
            if path.name == "manifest.json":  # a flipped byte may leave a manifest that says something else
                if reply.status == 400:
                    path.write_bytes(whole)
                    continue
            assert reply.status == 200, reply.body
            task = wait_for(target, reply.body["task_id"])
            if path.name != "manifest.json":
                assert task["status"] == "FAILED" and path.name in task["error"], (path, task)
            if task["status"] == "FAILED":
                assert snapshot(target, reply.body["snapshot_id"])["status"] == "failed"
            target.ok("DELETE", f"/v1/namespaces/{target.namespace}/snapshots/{reply.body['snapshot_id']}")
            assert {p for p in (second_server.data / "objects").rglob("*") if p.is_file()} == before
            path.write_bytes(whole)
    assert verify(target, import_snapshot(target, "vault", f"{folder}/x"))["restorable"]
    assert {p for p in vault.iterdir()} == {vault / folder}, "nothing is written into the place"


def test_an_organization_reads_its_own_folder_alone(fresh_server: Server, tmp_path: pathlib.Path, vault: pathlib.Path) -> None:
    with Server(tmp_path / "own", env={"QUARRY_SNAPSHOTS_IMPORT_FROM": f"vault={vault}"}) as server:
        second = second_organization(server)
        owner, stranger = new_namespace(server.client()), new_namespace(server.client(key=second))
        bucket = new_bucket(owner)
        add_texts(owner, bucket, ["a secret"])
        taken = take(owner)
        mine, theirs = internal_id(stranger), internal_id(owner)
        lay_down(owner, taken, vault / theirs / "x")
        at = f"/v1/namespaces/{stranger.namespace}/snapshots"
        for place, prefix in (
            ("vault", f"{theirs}/x"), ("objects", snapshot(owner, taken)["s3_prefix"]), ("vault", f"{mine}/../{theirs}/x"), ("vault", f"{mine}/"),
            ("objects", f"{mine}x/../{theirs}"), (str(vault / theirs), "x"), ("file:///etc", mine), ("http://127.0.0.1:1/", f"{mine}/x"), ("", f"{mine}/x"),
        ):  # fmt: skip
            reply = stranger("POST", at, {"import_from": {"bucket": place, "prefix": prefix}})
            assert reply.status == 400, (place, prefix, reply.body)
            assert b"secret" not in reply.raw
        # Nor is it read from their own folder, where somebody put it.
        shutil.copytree(vault / theirs / "x", vault / mine / "stolen")
        assert stranger("POST", at, {"import_from": {"bucket": "vault", "prefix": f"{mine}/stolen"}}).status == 403
        # Nor along a link, even if it was taken on a server that nobody knows here: the same files would be taken where they are no links.
        foreign = new_namespace(fresh_server.client())
        lay_down(foreign, take(foreign, include_vectors=False), vault / theirs / "foreign")
        shutil.copytree(vault / theirs / "foreign", vault / mine / "files")
        for name, target in (("snapshot", vault / theirs / "foreign"), ("folder", vault / theirs), ("within", vault / mine / "files")):
            (vault / mine / name).symlink_to(target)
        (vault / mine / "manifest").mkdir()
        (vault / mine / "manifest" / "manifest.json").symlink_to(vault / theirs / "foreign" / "manifest.json")
        shutil.copytree(vault / theirs / "foreign", vault / mine / "rows")
        shutil.rmtree(vault / mine / "rows" / "catalog")
        (vault / mine / "rows" / "catalog").symlink_to(vault / theirs / "foreign" / "catalog")
        for prefix in ("snapshot", "folder/foreign", "within", "manifest"):
            reply = stranger("POST", at, {"import_from": {"bucket": "vault", "prefix": f"{mine}/{prefix}"}})
            assert reply.status == 400 and "no manifest.json" in str(reply.body), (prefix, reply.body)
        begun = begin_import(stranger, "vault", f"{mine}/rows")
        task = wait_for(stranger, begun["task_id"])
        assert task["status"] == "FAILED" and "is missing" in task["error"], task
        stranger.ok("DELETE", f"/v1/namespaces/{stranger.namespace}/snapshots/{begun['snapshot_id']}")
        assert [s["snapshot_id"] for s in stranger.ok("POST", f"{at}/list", {})["results"] if "imported_from" in s] == []
        assert verify(stranger, import_snapshot(stranger, "vault", f"{mine}/files"))["restorable"]
        assert verify(owner, import_snapshot(owner, "vault", f"{theirs}/x"))["restorable"]


def test_kills_do_not_tear_an_import(fresh_server: Server, second_server: Server, vault: pathlib.Path) -> None:
    """Killed at once after it was accepted, each time: it ends after the restart."""
    source = World(fresh_server.client()).client
    target = new_namespace(second_server.client())
    folder = internal_id(target)
    lay_down(source, take(source), vault / folder / "x")
    for _ in range(3):
        begun = begin_import(target, "vault", f"{folder}/x")
        restart(second_server, target)
        assert wait_for(target, begun["task_id"])["status"] == "COMPLETED"
        assert verify(target, begun["snapshot_id"])["restorable"]


@pytest.mark.skipif(not VERSITYGW.exists(), reason="no S3 server is installed: ./run test installs one")
def test_from_a_bucket(fresh_server: Server, tmp_path: pathlib.Path) -> None:
    world = World(fresh_server.client())
    with S3Server(tmp_path / "s3") as s3:
        s3.make_bucket("depot"), s3.make_bucket("backups")
        places = {"QUARRY_SNAPSHOTS_IMPORT_FROM": f"old=s3://backups/quarry, vault={tmp_path}"}
        with Server(tmp_path / "second", env=s3.settings("s3://depot/data") | places) as second:
            target = new_namespace(second.client())
            folder = internal_id(target)
            lay_down(world.client, take(world.client), tmp_path / "s3/backups/quarry" / folder / "x")
            imported = import_snapshot(target, "old", f"{folder}/x")
            assert verify(target, imported)["restorable"]
            assert wait_for(target, restore(target, imported, confirm_in_place=True)["task_id"])["status"] == "COMPLETED"
            assert search(target, [world.first, world.second]) == search(world.client, [world.first, world.second])
            # The own store's snapshots lie in a bucket here; they are imported by the prefix that they show.
            again = import_snapshot(target, "objects", snapshot(target, imported)["s3_prefix"])
            assert verify(target, again)["restorable"]


@pytest.mark.parametrize(
    "places,told",
    [("vault=relative/folder", "NAME=/FOLDER"), ("objects=/tmp", "own store"), ("a=/tmp,a=/tmp", "two places"), ("a=/tmp/absent-folder-of-snapshots", "no folder"), ("a", "NAME=")],
)
def test_places_that_cannot_be(places: str, told: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(RuntimeError, match=told):
        Server(tmp_path / "data", env={"QUARRY_SNAPSHOTS_IMPORT_FROM": places}).start()
