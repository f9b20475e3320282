"""Reads files out of Debian packages without installing them."""

import gzip
import pathlib
import subprocess
import tarfile
from typing import Callable


def unpacked(path: str, data: bytes) -> bytes:
    return gzip.decompress(data) if path.endswith(".gz") else data


def read_members(folder: pathlib.Path, package: str, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The wanted regular files of folder/package_*.deb, by path; links are left out."""
    found = sorted(folder.glob(f"{package}_*.deb"))
    if len(found) != 1:
        raise SystemExit(f"expected one {package}_*.deb in {folder}, found {len(found)}")
    members = {}
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", found[0]], stdout=subprocess.PIPE) as unpack:
        with tarfile.open(fileobj=unpack.stdout, mode="r|") as archive:
            for member in archive:
                path = member.name.removeprefix("./")
                if member.isfile() and wanted(path):
                    members[path] = archive.extractfile(member).read()
        unpack.stdout.read()
    if unpack.returncode:
        raise SystemExit(f"dpkg-deb could not unpack {found[0]}")
    return members
