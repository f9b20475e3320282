"""What the benchmarks compute: recall curves, exact neighbours, prose out of markup, sets of vectors."""

from __future__ import annotations

import importlib
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from support.server import ROOT

sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "bench/data"), str(ROOT / "bench/peers")]

curves, gauss, page, paragraphs, served, truth, vecs = map(importlib.import_module, ("curves", "gauss", "page", "paragraphs", "served", "truth", "vecs"))
servers = importlib.import_module("servers")


def point(effort: int, recall: float, qps: float) -> dict:
    return {"effort": effort, "recall": recall, "qps": qps, "p50_us": 1e6 / qps, "p99_us": 2e6 / qps}


CURVE = [point(10, 0.8, 4000), point(40, 1.0, 500), point(20, 0.9, 1000)]


def test_a_figure_lies_between_its_neighbours_on_a_logarithmic_scale() -> None:
    found = curves.at_recall(CURVE, 0.85)
    assert found["qps"] == pytest.approx(2000)
    assert found["p50_us"] == pytest.approx(500)
    assert "cpu_us" not in found


def test_a_recall_that_no_effort_reaches_has_no_figure() -> None:
    assert curves.at_recall(CURVE[:1], 0.85) is None
    assert curves.at_recall([], 0.5) is None


def test_below_the_least_effort_its_own_figures_count() -> None:
    assert curves.at_recall(CURVE, 0.5)["qps"] == pytest.approx(4000)


def test_only_efforts_around_the_targets_are_measured() -> None:
    recalls = {10: 0.5, 20: 0.9, 30: 0.96, 40: 0.98, 50: 0.995, 60: 0.999}
    asked = []

    def recall_of(effort: int) -> float:
        asked.append(effort)
        return recalls[effort]

    assert curves.needed_efforts(list(recalls), recall_of, (0.95, 0.99)) == {20: 0.9, 30: 0.96, 40: 0.98, 50: 0.995}
    assert asked == [10, 20, 30, 40, 50]
    assert curves.needed_efforts([10, 20], recalls.get, (0.95,)) == {20: 0.9}


def test_medians_are_taken_per_effort() -> None:
    rounds = [[point(10, 0.8, qps), point(20, 0.9, qps / 2)] for qps in (100, 900, 300)]
    assert [(p["effort"], p["qps"]) for p in curves.medians(rounds)] == [(10, 300), (20, 150)]


def test_truth_is_what_brute_force_finds() -> None:
    rng = np.random.default_rng(7)
    base, queries = rng.standard_normal((3000, 24), np.float32), rng.standard_normal((20, 24), np.float32)
    base[1234] = 3 * base[17]  # the same direction: the lower number comes first
    queries[0] = base[17]
    found = truth.nearest(base, queries, 10)
    cosines = (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ (base / np.linalg.norm(base, axis=1, keepdims=True)).T
    for row, scores in zip(found[1:], cosines[1:]):
        assert row.tolist() == np.argsort(-scores)[:10].tolist()
    assert found[0][:2].tolist() == [17, 1234]


def test_vectors_come_back_from_their_file(tmp_path: pathlib.Path) -> None:
    rows = np.random.default_rng(1).standard_normal((7, 5), np.float32)
    vecs.write_vecs(tmp_path / "a.fvecs", vecs.blocks_of(rows, 3))
    assert (vecs.read_vecs(tmp_path / "a.fvecs") == rows).all()
    assert (tmp_path / "a.fvecs").stat().st_size == 7 * (4 + 5 * 4)
    (tmp_path / "torn.fvecs").write_bytes((tmp_path / "a.fvecs").read_bytes()[:-4])
    with pytest.raises(SystemExit):
        vecs.read_vecs(tmp_path / "torn.fvecs")


def test_the_mixture_is_the_same_each_time_and_not_noise() -> None:
    made = gauss.mixture(4000, 128, clusters=20)
    assert (made == gauss.mixture(4000, 128, clusters=20)).all()
    assert np.linalg.norm(made, axis=1) == pytest.approx(1, abs=1e-5)
    queries = made[-50:]
    dimension = truth.intrinsic_dimension(made[:-50], queries, truth.nearest(made[:-50], queries, 100))
    assert 4 < dimension < 30  # of noise in 128 dimensions it is above 40


def test_prose_is_told_from_code_and_lists() -> None:
    text = "The server reads the file that was given to it and answers with the rows in which the word is found, the best of them first."
    assert paragraphs.is_prose(text)
    assert not paragraphs.is_prose(text[:40])
    assert not paragraphs.is_prose("0x10 0x20 " * 20)
    assert not paragraphs.is_prose(" ".join(["alpha beta gamma delta"] * 8))


def test_blocks_come_out_of_markup_and_pod() -> None:
    page = "<p>One &amp; <b>two</b></p><ul><li>three<p>four</p></li></ul><pre>code</pre>"
    assert [block.strip() for block in paragraphs.markup_blocks(page)] == ["One & two", "three", "four"]
    assert list(paragraphs.pod_blocks("=head1 NAME\n\nUse C<< $a->b >> with B<I<care>>.\n\n  code")) == ["Use $a->b with care."]


def test_the_performance_page_is_what_the_results_say() -> None:
    done = subprocess.run([sys.executable, "-B", ROOT / "bench/page.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_typed_figure_does_not_survive(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = {"bench": "burst", "metric": "p99 idle", "value": 12.345, "unit": "ms", "peer": "", "ratio": None, "load": 2.0, "clients": 2, "settings": {"rows": 5}}
    (tmp_path / "one.json").write_text(json.dumps([result, result | {"bench": "other"}]))
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    text = "before\n<!-- table one burst -->\n| typed | 1 ms |\n<!-- end -->\nafter\n"
    filled = page.filled(text)
    assert "typed" not in filled and "| p99 idle | 2 | 12.3 ms |" in filled
    assert filled.startswith("before\n") and filled.endswith("<!-- end -->\nafter\n")
    assert page.filled(filled) == filled


def test_filters_let_their_share_of_the_rows_through() -> None:
    rows = np.arange(100_000)
    for field, thousandths in served.FILTERS.items():
        assert served.is_in(rows, field).mean() == pytest.approx(thousandths / 1000, rel=0.1)
    assert [served.keywords(n)["p500"] == "in" for n in range(50)] == served.is_in(np.arange(50), "p500").tolist()


def test_an_empty_answer_counts_against_recall_and_a_missing_one_does_not() -> None:
    truth_rows = np.array([[*range(10)], [*range(10)], [*range(10)], [1, 2] + [-1] * 8])
    assert servers.recall([[*range(5)], [], None, [1, 2]], truth_rows) == pytest.approx((0.5 + 0 + 1) / 3)
    assert servers.recall([None] * 4, truth_rows) == 0
