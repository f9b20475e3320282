#!/usr/bin/env python3
"""Writes src/extract/models/wordpiece_tables.inc: what BERT's uncased normaliser and pre-tokenizer do to each code point.

Needs the package `tokenizers`, the reference whose behaviour is asked for code point by code point; its Unicode tables are older than
ICU's, so that nothing but asking it gives the same tokens. Run by hand when the reference changes:
    pip install tokenizers && tools/tokenizer/make_tables.py > src/extract/models/wordpiece_tables.inc
"""

import sys

from tokenizers import normalizers, pre_tokenizers

NORMALIZER = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
SPLITTER = pre_tokenizers.BertPreTokenizer()
HANGUL = range(0xAC00, 0xD7A4)  # decomposed by arithmetic


def code_points():
    return (c for c in range(0x110000) if not 0xD800 <= c < 0xE000)


def is_isolated(text: str) -> bool:
    return [part[0] for part in SPLITTER.pre_tokenize_str(f"x{text}y")] == ["x", text, "y"]


def classify(c: int) -> tuple[str, str]:
    """(kind, what the code point becomes)"""
    ch = chr(c)
    raw = NORMALIZER.normalize_str(f"x{ch}x")[1:-1]
    out = raw.strip(" ")
    if not out:
        return ("kSpace" if raw else "kDrop"), ""
    isolated = raw != out or is_isolated(out)
    if out == ch:
        return ("kIsolated" if isolated else "kWord"), ch
    assert not isolated or len(out) == 1, hex(c)
    return ("mapped_isolated" if isolated else "mapped"), out


def ranges(kind_of: dict[int, str], kind: str):
    start = previous = None
    for c in code_points():
        if kind_of[c] != kind:
            continue
        if start is None:
            start = c
        elif c != previous + 1:
            yield start, previous
            start = c
        previous = c
    if start is not None:
        yield start, previous


def wrapped(items, width=140):
    line = " "
    for item in items:
        if len(line) + len(item) + 1 > width:
            print(line)
            line = " "
        line += " " + item
    print(line)



def main() -> None:
    found = {c: classify(c) for c in code_points()}
    kind_of = {c: kind for c, (kind, _) in found.items()}
    print("// Made by tools/tokenizer/make_tables.py; do not edit.")
    print("constexpr CodePointRange kRanges[] = {")
    for kind in ("kDrop", "kSpace", "kIsolated"):
        wrapped(f"{{0x{a:X}, 0x{b:X}, Kind::{kind}}}," for a, b in ranges(kind_of, kind))
    print("};")
    print("// source, target code points; zeros fill up")
    print("constexpr Mapping kMappings[] = {")
    mapped = [(c, out) for c, (kind, out) in found.items() if kind.startswith("mapped") and c not in HANGUL]
    assert max(len(out) for _, out in mapped) <= 3
    wrapped("{0x%X, {%s}}," % (c, ", ".join(f"0x{ord(ch):X}" for ch in out)) for c, out in mapped)
    print("};")
    print(f"{len(mapped)} mappings", file=sys.stderr)


if __name__ == "__main__":
    main()
