#!/usr/bin/env python3
"""Fills the tables of docs/performance.md, and draws docs/performance/growth.svg, from the results in docs/performance/*.json.

usage: page.py [--check]. A table stands between the lines `<!-- table FILE BENCH -->` and `<!-- end -->`; FILE is a result without its
.json. ./run bench NAME --json docs/performance/FILE.json makes a result. --check writes nothing and fails if the page is not what the
results say.
"""

from __future__ import annotations

import json
import math
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/performance.md"
RESULTS = ROOT / "docs/performance"
TABLE = re.compile(r"(<!-- table (\S+) (\S+) -->\n).*?(<!-- end -->)", re.S)
COMMON = ("set", "rows", "dimension", "errors", "about", "samples", "rows_before", "seconds")  # told once, or only in the JSON
WIDTH, HEIGHT, EDGE = 720, 300, 56


def number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def details(row: dict) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in row["settings"].items() if key not in COMMON)


def table(rows: list[dict]) -> str:
    lines = ["| what | clients | measured | of or beside | ratio | load | more |", "|---|---|---|---|---|---|---|"]
    many_sizes = len({r["settings"].get("rows") for r in rows}) > 1
    for r in rows:
        what = r["metric"] + (f", {r['settings']['rows']:,} rows" if many_sizes else "")
        ratio = "" if r["ratio"] is None else f"{r['ratio']:.2f}"
        lines.append(f"| {what} | {r['clients']} | {number(r['value'])} {r['unit']} | {r['peer']} | {ratio} | {r['load']} | {details(r)} |")
    return "\n".join(lines) + "\n"


def read_rows(name: str, bench: str) -> list[dict]:
    file = RESULTS / f"{name}.json"
    if not file.exists():
        raise SystemExit(f"docs/performance.md has a table of {file.relative_to(ROOT)}, which is absent")
    return [r for r in json.loads(file.read_text()) if r["bench"] == bench]


def filled(page: str) -> str:
    return TABLE.sub(lambda found: found[1] + table(read_rows(found[2], found[3])) + found[4], page)


def on_scale(value: float, low: float, high: float, length: float) -> float:
    return length * (math.log(value) - math.log(low)) / max(math.log(high) - math.log(low), 1e-9)


def curve(rows: list[dict], metric: str, colour: str, place: int) -> str:
    points = [(r["settings"]["rows"], r["value"]) for r in rows if r["metric"] == metric and r["value"] > 0]
    unit = next(r["unit"] for r in rows if r["metric"] == metric)
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    inner_width, inner_height = WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE
    at = [(EDGE + on_scale(x, min(xs), max(xs), inner_width), HEIGHT - EDGE - on_scale(y, min(ys), max(ys), inner_height)) for x, y in points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    labels = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/><text x="{x:.1f}" y="{y - 7:.1f}" fill="{colour}" text-anchor="middle">{number(v)}</text>' for (x, y), v in zip(at, ys))
    legend = f'<text x="{EDGE + 220 * place}" y="20" fill="{colour}">{metric}, {unit}</text>'
    return f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>{labels}{legend}'


def plot(rows: list[dict]) -> str:
    sizes = sorted({r["settings"]["rows"] for r in rows})
    ticks = "".join(f'<text x="{EDGE + on_scale(n, sizes[0], sizes[-1], WIDTH - 2 * EDGE):.1f}" y="{HEIGHT - EDGE + 22}" text-anchor="middle">{n:,}</text>' for n in sizes)
    curves = "".join(curve(rows, *what) for what in (("vector search", "#1b6ac9", 0), ("vector search, p99", "#c9541b", 1), ("anonymous memory", "#2a8a3e", 2)))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11">'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>{ticks}<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">rows (both axes logarithmic, each curve on its own scale)</text>{curves}</svg>\n')


def main() -> None:
    wanted = {PAGE: filled(PAGE.read_text())}
    if grown := re.search(r"<!-- table (\S+) growth -->", wanted[PAGE]):
        wanted[RESULTS / "growth.svg"] = plot(read_rows(grown[1], "growth"))
    if "--check" in sys.argv[1:]:
        stale = [str(path.relative_to(ROOT)) for path, text in wanted.items() if not path.exists() or path.read_text() != text]
        sys.exit(f"not what the results say: {', '.join(stale)}; run bench/page.py" if stale else 0)
    for path, text in wanted.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
