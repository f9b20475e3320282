#!/usr/bin/env python3
"""Runs the gtest binaries of one build and the pytest suites, a line each, and sums up.

The last line is `N passed, N failed`, with `, N skipped` if any; the exit status is 0 only if nothing failed and something ran.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]
TAIL_LINES = 60  # of the log of a suite that died
FAILURE_LINES = 120  # of one failed case
SUITE_LIMIT_S = 3600  # a suite that hangs is ended and counts as failed
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": f"halt_on_error=0:second_deadlock_stack=1:suppressions={ROOT}/test/tsan.suppressions",
}


@dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: "Counts") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")


def count_cases(report: pathlib.Path) -> Counts:
    """JUnit XML as both gtest and pytest write it; disabled and filtered-out gtest cases are not counted."""
    counts = Counts()
    for case in xml.parse(report).iter("testcase"):
        if case.get("status") == "notrun":
            continue
        if case.find("failure") is not None or case.find("error") is not None:
            counts.failed += 1
        elif case.find("skipped") is not None:
            counts.skipped += 1
        else:
            counts.passed += 1
    return counts


def run_logged(command: list[str], environment: dict[str, str], log: pathlib.Path) -> int:
    with open(log, "wb") as out:
        try:
            done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=SUITE_LIMIT_S)
            return done.returncode
        except subprocess.TimeoutExpired:
            out.write(f"\nended after {SUITE_LIMIT_S} s\n".encode())
            return -9


def run_suite(name: str, command: list[str], report: pathlib.Path, environment: dict[str, str], empty_status: int) -> Counts:
    report.unlink(missing_ok=True)
    log = report.with_suffix(".log")
    began = time.monotonic()
    status = run_logged(command, environment, log)
    try:
        counts = count_cases(report)
    except (OSError, xml.ParseError):
        counts = Counts()
    if status == empty_status and counts.passed + counts.failed + counts.skipped == 0:
        return counts
    if status != 0 and counts.failed == 0:  # it died, or failed outside of a test
        counts.failed += 1
    print(f"{name:<28} {time.monotonic() - began:7.1f} s  {counts}", flush=True)
    if counts.failed:
        print_indented(failures_of(report) or last_lines_of(log))
        print(f"  exit status {status}; the whole log: {log.relative_to(ROOT)}", flush=True)
    return counts


def failures_of(report: pathlib.Path) -> list[str]:
    """What each failed case said, cut in the middle where it is long; nothing where the suite died before it wrote its report."""
    out: list[str] = []
    try:
        cases = list(xml.parse(report).iter("testcase"))
    except (OSError, xml.ParseError):
        return out
    for case in cases:
        found = [*case.findall("failure"), *case.findall("error")]
        said = "\n".join(each.text or each.get("message", "") for each in found).splitlines()
        if len(said) > FAILURE_LINES:
            half = FAILURE_LINES // 2
            said[half:-half] = [f"... {len(said) - 2 * half} lines left out ..."]
        if found:
            out += [f"{case.get('classname')}.{case.get('name')}", *(f"  {line}" for line in said)]
    return out


def last_lines_of(log: pathlib.Path) -> list[str]:
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if not line.startswith(("[ RUN ", "[       OK", "[-----"))][-TAIL_LINES:]


def print_indented(lines: list[str]) -> None:
    for line in lines:
        print(f"  | {line}")


def gtest_suites(arguments: argparse.Namespace, reports: pathlib.Path, environment: dict[str, str]) -> Counts:
    total = Counts()
    for binary in sorted((ROOT / "build" / arguments.preset / "bin").glob("*_test")):
        report = reports / f"{binary.name}.xml"
        command = [str(binary), f"--gtest_output=xml:{report}", "--gtest_color=no"]
        if arguments.filter:
            command.append(f"--gtest_filter=*{arguments.filter}*")
        total.add(run_suite(binary.name, command, report, environment, empty_status=0))
    return total


def pytest_suite(arguments: argparse.Namespace, reports: pathlib.Path, environment: dict[str, str]) -> Counts:
    report = reports / "pytest.xml"
    command = [sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}", "--durations=10", "test"]
    command += ["-k", arguments.filter] if arguments.filter else []
    command += ["--long"] if arguments.long else []
    return run_suite("pytest", command, report, environment, empty_status=5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset")
    parser.add_argument("--filter")
    parser.add_argument("--long", action="store_true")
    arguments = parser.parse_args()
    reports = ROOT / "build" / "logs" / f"test-{arguments.preset}"
    reports.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ, QUARRY_BIN=str(ROOT / "build" / arguments.preset / "bin"), **SANITIZERS)
    if arguments.preset != "release":  # Arrow's own allocator hands memory from thread to thread where no sanitizer sees it
        environment["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    environment.pop("QUARRY_API_KEY", None)
    environment["QUARRY_TEST_S3_SERVER"] = str(ROOT / ".deps" / "s3" / "versitygw")
    if arguments.long:
        environment["QUARRY_TEST_LONG"] = "1"
    total = gtest_suites(arguments, reports, environment)
    total.add(pytest_suite(arguments, reports, environment))
    print(total)
    sys.exit(0 if total.failed == 0 and total.passed > 0 else 1)


if __name__ == "__main__":
    main()
