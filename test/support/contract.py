"""api/openapi.json as the tests use it: operations, schema checks, least bodies."""

from __future__ import annotations

import json
import pathlib
import re
from dataclasses import dataclass
from typing import Any, Iterator

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Operation:
    id: str
    method: str
    path: str
    spec: dict

    @property
    def quarry(self) -> dict:
        return self.spec.get("x-quarry", {})


class Contract:
    def __init__(self) -> None:
        self.document = json.loads((ROOT / "api/openapi.json").read_text())
        self.schemas = self.document["components"]["schemas"]

    def operations(self) -> Iterator[Operation]:
        for path, methods in self.document["paths"].items():
            for method, spec in methods.items():
                if "operationId" in spec:
                    yield Operation(spec["operationId"], method.upper(), path, spec)

    def resolve(self, schema: dict) -> dict:
        while "$ref" in schema:
            schema = self.schemas[schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def body_schema(self, op: Operation) -> dict | None:
        return op.spec.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")

    def reply_schema(self, op: Operation, status: int) -> dict | None:
        content = op.spec["responses"].get(str(status), {}).get("content", {})
        return content.get("application/json", {}).get("schema")

    def least(self, schema: dict, depth: int = 0) -> Any:
        """The smallest value that the schema allows."""
        schema = self.resolve(schema)
        if "default" in schema and schema["default"] is not None:
            return schema["default"]
        if "enum" in schema:
            return schema["enum"][0]
        if "anyOf" in schema:
            return self.least(schema["anyOf"][0], depth + 1)
        kind = schema.get("type")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "object" or "properties" in schema:
            return {k: self.least(schema["properties"][k], depth + 1) for k in schema.get("required", []) if depth < 8}
        if kind == "array":
            return [self.least(schema.get("items", {}), depth + 1) for _ in range(schema.get("minItems", 0))]
        if kind in ("integer", "number"):
            return schema.get("minimum", 1)
        if kind == "boolean":
            return False
        if schema.get("format") == "date-time":
            return "2030-01-01T00:00:00Z"
        return "x" * max(1, schema.get("minLength", 1)) if kind == "string" else "x"

    def problem(self, schema: dict, value: Any, at: str = "", depth: int = 0) -> str:
        """Why `value` does not fit, or ''. A null member counts as absent."""
        if depth > 40:
            return ""
        schema = self.resolve(schema)
        if "anyOf" in schema:
            problems = [self.problem(s, value, at, depth + 1) for s in schema["anyOf"]]
            return "" if "" in problems else problems[0]
        if "enum" in schema and value not in schema["enum"]:
            return f"{at}: {value!r} is not one of {schema['enum']}"
        kinds = schema.get("type", [])
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if kinds and not any(_is_kind(k, value) for k in kinds):
            return f"{at}: {value!r:.80} is not {'/'.join(kinds)}"
        if isinstance(value, dict):
            return self._object_problem(schema, value, at, depth)
        if isinstance(value, list) and "items" in schema:
            return next((p for i, v in enumerate(value) if (p := self.problem(schema["items"], v, f"{at}[{i}]", depth + 1))), "")
        return ""

    def _object_problem(self, schema: dict, value: dict, at: str, depth: int) -> str:
        for name in schema.get("required", []):
            if value.get(name) is None and not (name in value and _allows_null(self.resolve(schema["properties"].get(name, {})))):
                return f"{at}.{name} is missing"
        members = schema.get("properties", {})
        extra = schema.get("additionalProperties")
        for name, v in value.items():
            if v is None:
                continue
            sub = members.get(name, extra if isinstance(extra, dict) else None)
            if sub is not None and (p := self.problem(sub, v, f"{at}.{name}", depth + 1)):
                return p
        return ""


def _allows_null(schema: dict) -> bool:
    return not schema or "null" in (schema.get("type") or []) or "type" not in schema


def _is_kind(kind: str, value: Any) -> bool:
    if kind == "null":
        return value is None
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, {"string": str, "object": dict, "array": list}[kind])


def fill(path: str, value: str) -> str:
    return re.sub(r"\{[^}]+\}", value, path)
