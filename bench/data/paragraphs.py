#!/usr/bin/env python3
"""Paragraphs of real text out of Debian's documentation packages: paragraphs.py FOLDER_OF_DEBS OUT.jsonl [--packages].

A paragraph has 20 to 120 words of English prose and occurs once, letters compared. The order is that of the texts' digests: as good as
random, and any prefix of the file is a fair sample. One JSON object a line: package, path, text.
"""

from __future__ import annotations

import hashlib
import html
import json
import pathlib
import re
import sys
from typing import Iterator

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "corpus"))

from debs import read_members, unpacked  # noqa: E402

# Package -> pattern of the files that hold its prose, each text in one form only.
SOURCES = {
    "apache2-doc": r"\.html\.en$|/en/.*\.html$",
    "debian-policy": r"\.html$",
    "debian-reference-en": r"\.html$",
    "developers-reference": r"\.html$",
    "git-doc": r"\.html$",
    "gnome-user-docs": r"/C/.*\.page$",
    "linux-doc-6.1": r"\.html$",
    "perl-doc": r"\.pod$",
    "postgresql-doc-15": r"\.html$",
    "python-django-doc": r"\.html$",
    "python3.11-doc": r"\.html$",
    "sqlite3-doc": r"\.html$",
}
WANTED = 101_000
LEAST_WORDS, MOST_WORDS = 20, 120
LEAST_LETTERS, LEAST_COMMON = 0.7, 0.2  # of the characters; of the words: below that it is a table, a signature or code
COMMON = frozenset("the a an of to in is and that for it be this with on are as or not by can which from if when".split())

BLOCK = re.compile(
    r"<(?:p|li|dd)\b[^>]*>(.*?)"
    r"(?=</?(?:p|li|dd|dt|dl|ul|ol|table|tr|td|pre|div|section|blockquote|h[1-6]|item|note|steps|media|screen)\b)",
    re.S | re.I,
)
TAG = re.compile(r"<[^>]+>")
POD_WIDE_CODE = re.compile(r"[BCEFILSX]<<+\s(.*?)\s>>+", re.S)  # C<< $a->b >>
POD_CODE = re.compile(r"[BCEFILSX]<([^<>]*)>")
POD_DEPTH = 4


def markup_blocks(text: str) -> Iterator[str]:
    for block in BLOCK.findall(text):
        yield html.unescape(TAG.sub("", block)).replace("¶", " ")


def pod_blocks(text: str) -> Iterator[str]:
    """Ordinary paragraphs of perlpod; those that begin with a space are code, with '=' commands."""
    for block in text.split("\n\n"):
        if block and block[0] not in " \t=":
            block = POD_WIDE_CODE.sub(r"\1", block)
            for _ in range(POD_DEPTH):
                block = POD_CODE.sub(r"\1", block)
            yield block


def is_prose(text: str) -> bool:
    words = text.lower().split()
    if not LEAST_WORDS <= len(words) <= MOST_WORDS:
        return False
    return sum(map(str.isalpha, text)) >= LEAST_LETTERS * len(text) and sum(w in COMMON for w in words) >= LEAST_COMMON * len(words)


def letters_digest(text: str) -> bytes:
    return hashlib.sha256(re.sub(r"[^a-z]", "", text.lower()).encode()).digest()


def paragraphs(debs: pathlib.Path) -> dict[bytes, dict[str, str]]:
    found: dict[bytes, dict[str, str]] = {}
    for package, pattern in SOURCES.items():
        wanted = re.compile(pattern)
        members = read_members(debs, package, lambda path: wanted.search(path.removesuffix(".gz")) is not None)
        blocks = pod_blocks if package == "perl-doc" else markup_blocks
        before = len(found)
        for path in sorted(members):
            for block in blocks(unpacked(path, members[path]).decode("utf-8", "replace")):
                text = " ".join(block.split())
                if is_prose(text):
                    found.setdefault(letters_digest(text), {"package": package, "path": path, "text": text})
        print(f"{package}: {len(found) - before} paragraphs", flush=True)
    return found


def main() -> None:
    if sys.argv[1:] == ["--packages"]:
        print("\n".join(SOURCES))
        return
    debs, out = map(pathlib.Path, sys.argv[1:])
    found = paragraphs(debs)
    if len(found) < WANTED:
        raise SystemExit(f"{len(found)} paragraphs, {WANTED} are wanted")
    part = out.with_suffix(".part")
    with open(part, "w") as lines:
        for digest in sorted(found)[:WANTED]:
            lines.write(json.dumps(found[digest], ensure_ascii=False) + "\n")
    part.rename(out)
    print(f"{WANTED} of {len(found)} paragraphs")


if __name__ == "__main__":
    main()
