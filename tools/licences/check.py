#!/usr/bin/env python3
"""Checks docs/licences.md against what Quarry really uses; prints what is missing, one line each, and fails if anything is.

usage: check.py [FOLDER_OF_PROGRAMS]   (default: build/release/bin)
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SETUP = ROOT / "tools" / "setup"
PROGRAMS = ("quarry", "quarry-decode")
SANITIZERS = ("libasan.", "libubsan.", "libtsan.")  # of instrumented builds, which are not shipped
WHEELS = {"pyarrow": "pyarrow", "onnxruntime": "onnxruntime"}


def read_page() -> dict[str, list[str]]:
    """Name -> the other cells of its row, of every table of the page."""
    rows = {}
    for line in (ROOT / "docs" / "licences.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) > 1:
            for name in re.findall(r"`([^`]+)`", cells[0]):
                rows[normal(name)] = cells[1:]
    return rows


def normal(name: str) -> str:
    return name.lower().replace("_", "-")


def debian_packages() -> list[str]:
    lines = (SETUP / "apt-packages.txt").read_text().splitlines()
    return [line.split()[0] for line in lines if line and not line.startswith("#")]


def python_packages() -> set[str]:
    names = set()
    for path in [*SETUP.glob("requirements*.txt"), *SETUP.glob("constraints*.txt")]:
        for line in path.read_text().splitlines():
            if found := re.match(r"[A-Za-z0-9._-]+", line):
                names.add(found.group())
    return names


def corpus_licences() -> dict[str, set[str]]:
    licences: dict[str, set[str]] = {}
    for line in (ROOT / "examples" / "corpus.manifest.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            package, licence, *_ = line.split("\t")
            licences.setdefault(package, set()).add(licence)
    return licences


def bench_texts() -> list[str]:
    command = [sys.executable, "-B", ROOT / "bench" / "data" / "paragraphs.py", "--packages"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def libraries(program: pathlib.Path) -> list[pathlib.Path]:
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    paths = [pathlib.Path(path) for path in re.findall(r"=> (/\S+)", listing)]
    return [path for path in paths if not path.name.startswith(SANITIZERS)]


def owner(library: pathlib.Path) -> str:
    """The Debian package, or the Python wheel, that a library comes from; empty if neither is found."""
    real = str(library.resolve())
    for wheel, name in WHEELS.items():
        if f"/site-packages/{wheel}/" in real:
            return name
    for path in (real, real.removeprefix("/usr"), str(library)):
        found = subprocess.run(["dpkg-query", "-S", path], capture_output=True, text=True)
        if found.returncode == 0:
            return found.stdout.split(":")[0]
    return ""


def is_gpl(licence: str) -> bool:
    """Whether a licence leaves no choice but the GPL."""
    return all(re.match(r"A?GPL", choice.strip()) and "exception" not in choice for choice in licence.split(" OR "))


def check_program(program: pathlib.Path, rows: dict[str, list[str]]) -> list[str]:
    problems = []
    for library in libraries(program):
        package = owner(library)
        if normal(package) not in rows:
            problems.append(f"{program.name} loads {library} of '{package or 'unknown origin'}', which docs/licences.md lacks")
        elif program.name == "quarry" and is_gpl(rows[normal(package)][0]):
            problems.append(f"{program.name} loads {library}, which is under {rows[normal(package)][0]}")
    return problems


def check_all(programs: pathlib.Path) -> list[str]:
    rows = read_page()
    problems = []
    for name in [*debian_packages(), *sorted(python_packages()), *corpus_licences(), *bench_texts()]:
        if normal(name) not in rows:
            problems.append(f"docs/licences.md lacks {name}")
    for package, licences in corpus_licences().items():
        stated = rows.get(normal(package), [""])[0]
        problems += [f"docs/licences.md gives {package} as '{stated}', the manifest as '{x}'" for x in licences if x not in stated]
    for program in PROGRAMS:
        problems += check_program(programs / program, rows)
    return problems


def main() -> None:
    programs = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "release" / "bin"
    problems = check_all(programs)
    print("\n".join(problems) if problems else "docs/licences.md is complete")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
