#!/usr/bin/env python3
"""Chooses the sample corpus by the rules of selection.json and writes examples/corpus.manifest.tsv.

Run by hand when the rules change: choose.py FOLDER_OF_DEBS. `take` keeps files at even distances of the sorted list, so that
nobody picks what searches well. Columns of the manifest: package, licence, path in the package, path in the corpus, sha256,
bytes; a path that ends in .gz is stored unpacked.
"""

import fnmatch
import hashlib
import itertools
import json
import pathlib
import re
import sys

from debs import read_members, unpacked

ROOT = pathlib.Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "examples" / "corpus.manifest.tsv"


def expand(pattern: str) -> list[str]:
    parts = re.split(r"\{([^}]*)\}", pattern)
    choices = [[part] if index % 2 == 0 else part.split(",") for index, part in enumerate(parts)]
    return ["".join(choice) for choice in itertools.product(*choices)]


def matches(path: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(path, pattern) and path.count("/") == pattern.count("/")


def target(rule: dict, path: str) -> str:
    name = pathlib.PurePosixPath(path).name
    name = name.removesuffix(".gz")
    if name.endswith(".rst.txt"):
        name = name.removesuffix(".txt")
    up = rule.get("keep_folder", 0)
    folder = pathlib.PurePosixPath(path).parts[-1 - up] + "/" if up else ""
    return f"{rule['to']}/{folder}{name}{rule.get('suffix', '')}"


def thin(paths: list[str], take: int) -> list[str]:
    if len(paths) <= take:
        return paths
    return [paths[index * len(paths) // take] for index in range(take)]


def choose(rule: dict, members: dict[str, bytes]) -> list[list[str]]:
    patterns = expand(rule["files"])
    content = {path: unpacked(path, data) for path, data in members.items() if any(matches(path, p) for p in patterns)}
    least, most = rule.get("least_bytes", 1), rule.get("most_bytes", 1 << 30)
    fit = sorted(path for path, data in content.items() if least <= len(data) <= most)
    rows = []
    for path in thin(fit, rule.get("take", len(fit))):
        digest = hashlib.sha256(content[path]).hexdigest()
        rows.append([rule["package"], rule["licence"], path, target(rule, path), digest, str(len(content[path]))])
    if not rows:
        raise SystemExit(f"nothing matches {rule['files']} in {rule['package']}")
    return rows


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    rules = json.loads(pathlib.Path(__file__).with_name("selection.json").read_text())
    rows = []
    for package in sorted({rule["package"] for rule in rules}):
        members = read_members(folder, package, lambda path: True)
        for rule in rules:
            if rule["package"] == package:
                rows += choose(rule, members)
    rows.sort(key=lambda row: row[3])
    head = "# package\tlicence\tpath in the package\tpath in the corpus\tsha256\tbytes\n"
    MANIFEST.write_text(head + "".join("\t".join(row) + "\n" for row in rows))
    print(f"{len(rows)} files, {sum(int(row[5]) for row in rows) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
