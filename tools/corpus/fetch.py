#!/usr/bin/env python3
"""Lays out the sample corpus from downloaded Debian packages: fetch.py FOLDER_OF_DEBS CORPUS_FOLDER.

apt has checked the packages' signatures. A file that differs from the manifest comes from a newer version of its package: it
is taken and reported; one that is gone is left out and reported. `--packages` prints the packages to download.
"""

import collections
import hashlib
import pathlib
import sys

from debs import read_members, unpacked

MANIFEST = pathlib.Path(__file__).resolve().parents[2] / "examples" / "corpus.manifest.tsv"
LEAST = {"texts": 200, "pdfs": 5, "images": 20, "sounds": 5, "videos": 2}


def read_manifest() -> list[list[str]]:
    lines = MANIFEST.read_text().splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def lay_out(rows: list[list[str]], debs: pathlib.Path, corpus: pathlib.Path) -> collections.Counter:
    counts: collections.Counter = collections.Counter()
    for package in sorted({row[0] for row in rows}):
        mine = {row[2]: row for row in rows if row[0] == package}
        members = read_members(debs, package, mine.__contains__)
        for path, (_, _, _, target, digest, _) in mine.items():
            if path not in members:
                print(f"gone from {package}: {path}")
                continue
            data = unpacked(path, members[path])
            if hashlib.sha256(data).hexdigest() != digest:
                print(f"differs from the manifest (newer {package}): {path}")
                counts["changed"] += 1
            place = corpus / target
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
            counts[target.split("/")[0]] += 1
    return counts


def main() -> None:
    rows = read_manifest()
    if sys.argv[1:] == ["--packages"]:
        print("\n".join(sorted({row[0] for row in rows})))
        return
    counts = lay_out(rows, pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
    short = [f"{kind}: {counts[kind]} of {least}" for kind, least in LEAST.items() if counts[kind] < least]
    if short:
        raise SystemExit("the corpus is too small now: " + ", ".join(short))
    print(", ".join(f"{counts[kind]} {kind}" for kind in LEAST))


if __name__ == "__main__":
    main()
