"""Request and reply as text.

A scenario file is a list of steps; a blank line ends a step:

    # a comment
    POST /v1/buckets                      method and path; $name or ${name} is replaced by what an earlier step captured
    X-Some-Header: value                  headers, if any
    {"bucket_name": "photos"}             the body: JSON, over as many lines as it needs
    -> 200                                the status; `-> 200 within 30s` repeats the request until the reply matches
    < X-Request-Id: *                     a header of the reply (`*`: any value)
    {"bucket_id": "$bucket", ...}         what the reply must hold: objects match by their named members

In an expected body "$name" captures a value the first time and compares afterwards; "<any>", "<string>", "<number>", "<integer>", "<boolean>", "<time>"
match kinds; "<absent>" wants the member not there; "~text" wants a string that contains text; an array must match element by element, but `"<more>"`
as its last element allows more, and {"<each>": x} as its only element wants each to match x. Each file runs in a namespace of its own ($NS);
`as KEYNAME` on a line before the method sends the key captured as $KEYNAME instead, `as nobody` none.
"""

from __future__ import annotations

import json
import pathlib
import re
import time
from dataclasses import dataclass, field
from typing import Any

from .server import Client

_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
_NAME = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_KINDS = {
    "<any>": lambda v: True,
    "<string>": lambda v: isinstance(v, str),
    "<number>": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "<integer>": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "<boolean>": lambda v: isinstance(v, bool),
    "<time>": lambda v: isinstance(v, str) and _TIME.match(v) is not None,
}


@dataclass
class Step:
    line: int
    method: str = ""
    path: str = ""
    actor: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    status: int = 0
    within_s: float = 0
    reply_headers: dict[str, str] = field(default_factory=dict)
    expected: str = ""


class ScenarioError(AssertionError):
    pass


def parse(path: pathlib.Path) -> list[Step]:
    steps: list[Step] = []
    block: list[tuple[int, str]] = []
    for number, line in enumerate([*path.read_text().splitlines(), ""], 1):
        if line.startswith("#"):
            continue
        if line.strip():
            block.append((number, line))
        elif block:
            steps.append(_parse_step(path, block))
            block = []
    return steps


def _parse_step(path: pathlib.Path, block: list[tuple[int, str]]) -> Step:
    step = Step(line=block[0][0])
    after_arrow = False
    for number, line in block:
        if not step.method and line.startswith("as "):
            step.actor = line[3:].strip()
        elif not step.method:
            step.method, step.path = line.split(maxsplit=1)
        elif line.startswith("-> "):
            m = re.fullmatch(r"-> (\d{3})(?: within (\d+)s)?", line.strip())
            if m is None:
                raise ScenarioError(f"{path.name}:{number}: not a status line: {line}")
            step.status, step.within_s, after_arrow = int(m[1]), float(m[2] or 0), True
        elif after_arrow and line.startswith("< "):
            name, value = line[2:].split(":", 1)
            step.reply_headers[name.strip().lower()] = value.strip()
        elif after_arrow:
            step.expected += line + "\n"
        elif not step.body and re.match(r"^[A-Za-z-]+: ", line):
            name, value = line.split(":", 1)
            step.headers[name] = value.strip()
        else:
            step.body += line + "\n"
    if not step.status:
        raise ScenarioError(f"{path.name}:{step.line}: a step without '-> STATUS'")
    return step


class Scenario:
    def __init__(self, path: pathlib.Path, client: Client, variables: dict[str, Any]):
        self.path, self.client, self.variables = path, client, dict(variables)

    def run(self) -> None:
        for step in parse(self.path):
            deadline = time.monotonic() + step.within_s
            while True:
                try:
                    self._run_step(step)
                    break
                except ScenarioError:
                    if time.monotonic() >= deadline:
                        raise
                    time.sleep(0.05)

    def _fill(self, text: str) -> str:
        return _NAME.sub(lambda m: str(self.variables.get(m[1] or m[2], m[0])), text)

    def _actor(self, step: Step) -> Client:
        if not step.actor:
            return self.client
        key = None if step.actor == "nobody" else self.variables[step.actor]
        return Client(self.client.url, key, self.client.namespace)

    def _run_step(self, step: Step) -> None:
        where = f"{self.path.name}:{step.line}: {step.method} {step.path}"
        raw = self._fill(step.body).encode() if step.body else None
        reply = self._actor(step)(step.method, self._fill(step.path), raw=raw, headers={k: self._fill(v) for k, v in step.headers.items()})
        shown = reply.raw[:3000].decode(errors="replace")
        if reply.status != step.status:
            raise ScenarioError(f"{where}\n  status {reply.status}, not {step.status}: {shown}")
        for name, value in step.reply_headers.items():
            got = reply.headers.get(name)
            if got is None or (value != "*" and got != self._fill(value)):
                raise ScenarioError(f"{where}\n  header {name}: {got!r}, not {value!r}")
        if not step.expected:
            return
        captured = dict(self.variables)
        problem = self._compare(json.loads(step.expected), reply.body, "", captured)
        if problem:
            raise ScenarioError(f"{where}\n  {problem}\n  in {shown}")
        self.variables = captured

    def _compare(self, want: Any, got: Any, at: str, captured: dict[str, Any]) -> str:
        if isinstance(want, str):
            return self._compare_text(want, got, at, captured)
        if isinstance(want, dict):
            return self._compare_object(want, got, at, captured)
        if isinstance(want, list):
            return self._compare_array(want, got, at, captured)
        same = want == got and isinstance(want, bool) == isinstance(got, bool)
        return "" if same else f"{at or 'body'} is {got!r}, not {want!r}"

    def _compare_text(self, want: str, got: Any, at: str, captured: dict[str, Any]) -> str:
        if want in _KINDS:
            return "" if _KINDS[want](got) else f"{at} is {got!r}, not {want}"
        if want.startswith("~"):
            needle = self._fill(want[1:])
            return "" if isinstance(got, str) and needle in got else f"{at} is {got!r} without {needle!r}"
        if _NAME.fullmatch(want):
            expected = captured.setdefault(want[1:], got)
            return "" if expected == got else f"{at} is {got!r}, not {want} = {expected!r}"
        return "" if self._fill(want) == got else f"{at} is {got!r}, not {self._fill(want)!r}"

    def _compare_object(self, want: dict, got: Any, at: str, captured: dict[str, Any]) -> str:
        if not isinstance(got, dict):
            return f"{at or 'body'} is {got!r}, not an object"
        for key, value in want.items():
            if value == "<absent>":
                if key in got:
                    return f"{at}.{key} should be absent"
                continue
            if key not in got:
                return f"{at}.{key} is absent"
            problem = self._compare(value, got[key], f"{at}.{key}", captured)
            if problem:
                return problem
        return ""

    def _compare_array(self, want: list, got: Any, at: str, captured: dict[str, Any]) -> str:
        if not isinstance(got, list):
            return f"{at} is {got!r}, not an array"
        if len(want) == 1 and isinstance(want[0], dict) and "<each>" in want[0]:
            problems = [self._compare(want[0]["<each>"], g, f"{at}[{i}]", captured) for i, g in enumerate(got)]
            return next((p for p in problems if p), "")
        more = bool(want) and want[-1] == "<more>"
        wanted = want[:-1] if more else want
        if len(got) < len(wanted) or (len(got) > len(wanted) and not more):
            return f"{at} has {len(got)} elements, not {len(wanted)}{' or more' if more else ''}"
        problems = [self._compare(w, g, f"{at}[{i}]", captured) for i, (w, g) in enumerate(zip(wanted, got))]
        return next((p for p in problems if p), "")
