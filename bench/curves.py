"""From measured points of a recall curve to figures at one recall; pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

FIGURES = ("qps", "p50_us", "p99_us", "cpu_us")


def bracket(recalls: Sequence[float], target: float) -> list[int]:
    """Places in a list of recalls, by rising effort: of the first that reaches the target and of the one before; empty if none does."""
    reached = next((i for i, recall in enumerate(recalls) if recall >= target), None)
    return [] if reached is None else list(range(max(0, reached - 1), reached + 1))


def needed_efforts(efforts: Sequence[int], recall_of: Callable[[int], float], targets: Sequence[float]) -> dict[int, float]:
    """Effort -> recall, of the efforts that the targets lie between; stops trying once the highest target is reached."""
    recalls: list[float] = []
    for effort in efforts:
        recalls.append(recall_of(effort))
        if recalls[-1] >= max(targets):
            break
    places = sorted({place for target in targets for place in bracket(recalls, target)} or {len(recalls) - 1})
    return {efforts[place]: recalls[place] for place in places}


def at_recall(points: Sequence[dict], target: float) -> dict | None:
    """The figures where the curve meets the target: between two efforts on a logarithmic scale; those of the least effort if that is
    above the target already; None if no effort reaches it."""
    points = sorted(points, key=lambda point: point["effort"])
    places = bracket([point["recall"] for point in points], target)
    if not places:
        return None
    low, high = points[places[0]], points[places[-1]]
    rise = high["recall"] - low["recall"]
    share = 1.0 if rise <= 0 else (target - low["recall"]) / rise
    return {f: math.exp((1 - share) * math.log(low[f]) + share * math.log(high[f])) for f in FIGURES if low.get(f) and high.get(f)}


def medians(rounds: Sequence[Sequence[dict]]) -> list[dict]:
    """One point per effort, each figure the median over the rounds."""
    efforts: dict[int, list[dict]] = {}
    for points in rounds:
        for point in points:
            efforts.setdefault(point["effort"], []).append(point)
    return [{"effort": effort, **{f: statistics.median(p[f] for p in same) for f in ("recall", *FIGURES) if all(f in p for p in same)}}
            for effort, same in sorted(efforts.items())]
