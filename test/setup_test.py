"""The entry script and the lists that it works from."""

from __future__ import annotations

import hashlib
import pathlib
import subprocess
import sys

import pytest

from support.server import ROOT

MANIFEST = ROOT / "examples" / "corpus.manifest.tsv"
CORPUS = ROOT / "examples" / "corpus"
LEAST = {"texts": 200, "pdfs": 5, "images": 20, "sounds": 5, "videos": 2}


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([ROOT / "run", *arguments], capture_output=True, text=True, timeout=60)


def manifest_rows() -> list[list[str]]:
    lines = MANIFEST.read_text().splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def test_help_names_every_command() -> None:
    shown = run("--help")
    assert shown.returncode == 0
    for command in ("serve", "demo", "test", "bench", "build", "setup", "package", "clean"):
        assert f"./run {command}" in shown.stdout


def test_unknown_command_is_refused_with_a_reason() -> None:
    refused = run("sevre")
    assert refused.returncode == 1
    assert "unknown command 'sevre'" in refused.stderr


@pytest.mark.parametrize("script", [ROOT / "run", ROOT / ".ci/run", *sorted((ROOT / "tools/setup").glob("*.sh"))], ids=lambda p: p.name)
def test_scripts_parse(script: pathlib.Path) -> None:
    assert subprocess.run(["bash", "-n", script], capture_output=True, text=True).stderr == ""


def test_package_list_is_sound() -> None:
    rows = [line.split() for line in (ROOT / "tools/setup/apt-packages.txt").read_text().splitlines() if line and not line.startswith("#")]
    names = [row[0] for row in rows]
    assert len(names) == len(set(names))
    assert all(groups and set(groups) <= {"build", "test", "long", "bench", "package"} for _, *groups in rows)


def test_manifest_is_large_enough_and_has_no_twins() -> None:
    targets = [row[3] for row in manifest_rows()]
    assert len(targets) == len(set(targets))
    assert all(".." not in target and not target.startswith("/") for target in targets)
    for kind, least in LEAST.items():
        assert sum(target.startswith(kind + "/") for target in targets) >= least


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus has not been fetched: ./run does")
def test_fetched_corpus_is_what_the_manifest_says() -> None:
    rows = manifest_rows()
    missing = [row[3] for row in rows if not (CORPUS / row[3]).is_file()]
    assert len(missing) < len(rows) // 20, missing  # a newer package may have dropped a file
    same = sum(hashlib.sha256((CORPUS / row[3]).read_bytes()).hexdigest() == row[4] for row in rows if row[3] not in missing)
    assert same >= len(rows) // 2, "most files differ from the manifest: run tools/corpus/choose.py"


def test_what_a_failed_case_said_is_shown_and_cut_in_the_middle(tmp_path: pathlib.Path) -> None:
    sys.path.insert(0, str(ROOT / "tools/setup"))
    try:
        from test_suites import failures_of
    finally:
        sys.path.pop(0)
    told = "\n".join(f"line {i}" for i in range(500))
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="Good" name="one"/>'
        f'<testcase classname="Bad" name="two"><failure message="m">{told}</failure></testcase></testsuite></testsuites>'
    )
    shown = failures_of(report)
    assert shown[0] == "Bad.two"
    assert shown[1] == "  line 0" and shown[-1] == "  line 499"
    assert 100 < len(shown) < 130 and any("380 lines left out" in line for line in shown)
    assert failures_of(tmp_path / "none.xml") == []
