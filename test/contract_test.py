"""api/openapi.json against the facts of the REST contract that clients were written for (api/contract_facts.json).

Whatever the contract states must be in the document: operations, parameters, bodies, replies, fields, types, enums, bounds, defaults.
What the document adds or changes is listed, with the reason, in api/contract_changes.json; an unlisted difference fails, and so does a listed one that is gone.

A fact is written short: a type is its name ("string"), "any" is no constraint, "@Name" a schema; all else is an object with the keys of KEYS.
"""
import json
import pathlib
import re

API = pathlib.Path(__file__).resolve().parent.parent / "api"
KEYS = {
    "type": "t", "format": "f", "enum": "e", "minimum": "min", "maximum": "max", "minLength": "minl", "maxLength": "maxl", "minItems": "mini",
    "maxItems": "maxi", "pattern": "re", "default": "d",
}
PROSE = {"description", "title", "summary", "example", "examples"}
EXTENSIONS = {"x-aliases", "x-known-values"}
ANNOTATED = {"$ref", "properties", "required", "additionalProperties", "items", "anyOf"}


def schema_fact(schema):
    """The short form of a JSON schema; raises on a keyword that neither this test nor the server knows."""
    if "$ref" in schema:
        return "@" + schema["$ref"].rsplit("/", 1)[1]
    unknown = set(schema) - set(KEYS) - PROSE - EXTENSIONS - ANNOTATED
    assert not unknown, f"unknown schema keywords {sorted(unknown)}"
    fact = {short: schema[key] for key, short in KEYS.items() if key in schema}
    if "properties" in schema:
        fact["p"] = {name: schema_fact(value) for name, value in schema["properties"].items()}
    if schema.get("required"):
        fact["r"] = sorted(schema["required"])
    if "additionalProperties" in schema:
        extra = schema["additionalProperties"]
        fact["x"] = extra if isinstance(extra, bool) else schema_fact(extra)
    if "items" in schema:
        fact["i"] = schema_fact(schema["items"])
    if "anyOf" in schema:
        fact["o"] = [schema_fact(branch) for branch in schema["anyOf"]]
    if not fact:
        return "any"
    return fact["t"] if set(fact) == {"t"} and isinstance(fact["t"], str) else fact


def content_fact(content):
    """{media type: schema} of a body or reply; None if it has none."""
    return {media: schema_fact(body.get("schema", {})) for media, body in content.items()} if content else None


def operation_fact(method, path, operation):
    parameters = {
        f"{p['in']} {p['name']}": [bool(p.get("required")), schema_fact(p["schema"])] for p in operation.get("parameters", [])
    }
    body = operation.get("requestBody")
    return {
        "at": f"{method.upper()} {path}",
        "tag": operation["tags"][0],
        "in": parameters,
        "body": None if body is None else [bool(body.get("required")), content_fact(body.get("content"))],
        "out": {status: content_fact(reply.get("content")) for status, reply in operation["responses"].items() if "$ref" not in reply},
    }


def document_facts(document):
    operations = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["operationId"] not in operations, f"{operation['operationId']} twice"
            operations[operation["operationId"]] = operation_fact(method, path, operation)
    schemas = {name: schema_fact(schema) for name, schema in document["components"]["schemas"].items()}
    return {"operations": operations, "schemas": schemas}


def differences(fact, found, where):
    """Yields "place: what" for each difference; "+" begins what was added."""
    if fact == found:
        return
    if isinstance(fact, dict) and isinstance(found, dict):
        for key in sorted(set(fact) | set(found)):
            if key not in found:
                yield f"{where}/{key}: gone"
            elif key not in fact:
                yield f"{where}/{key}: +"
            else:
                yield from differences(fact[key], found[key], f"{where}/{key}")
    elif isinstance(fact, list) and isinstance(found, list) and len(fact) == len(found):
        for index, (a, b) in enumerate(zip(fact, found)):
            yield from differences(a, b, f"{where}/{index}")
    else:
        yield f"{where}: changed"


def load(name):
    return json.loads((API / name).read_text())


def test_document_covers_the_contract():
    facts, document = load("contract_facts.json"), document_facts(load("openapi.json"))
    listed = {place: reason for reason, places in load("contract_changes.json").items() for place in places}
    found = set(differences(facts, document, ""))
    unlisted = sorted(found - set(listed))
    assert not unlisted, "differences not listed in api/contract_changes.json:\n" + "\n".join(unlisted[:50])
    stale = sorted(set(listed) - found)
    assert not stale, "listed in api/contract_changes.json, but no longer there:\n" + "\n".join(stale[:50])


def test_a_lost_fact_would_be_noticed():
    document = load("openapi.json")
    schemas = document["components"]["schemas"]
    del schemas["BucketCreateRequest"]["properties"]["bucket_name"]
    schemas["FilterOperator"]["enum"].remove("regex")
    document["paths"]["/v1/buckets"]["get"]["parameters"].pop()
    found = set(differences(load("contract_facts.json"), document_facts(document), ""))
    assert "/schemas/BucketCreateRequest/p/bucket_name: gone" in found
    assert "/schemas/FilterOperator/e: changed" in found
    assert any(place.startswith("/operations/list_buckets_get/in/") for place in found)


def test_contract_counts():
    facts = load("contract_facts.json")
    assert len(facts["operations"]) == 417
    assert len(facts["schemas"]) == 1129


def operations():
    for path, methods in load("openapi.json")["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_operation_has_prose_and_admission():
    summaries = {}
    for path, method, operation in operations():
        name = operation["operationId"]
        assert re.fullmatch(r"[a-z0-9_]+", name)
        assert 3 <= len(operation["summary"]) <= 60, name
        assert not operation["summary"].endswith("."), name
        assert operation["description"].endswith("."), name
        assert operation["summary"] not in summaries, f"{name} and {summaries.get(operation['summary'])} share a summary"
        summaries[operation["summary"]] = name
        quarry = operation["x-quarry"]
        assert set(quarry) <= {"scope", "permission", "inline"}, name
        assert quarry["scope"] in {"public", "organization", "namespace"}, name
        assert quarry["permission"] in {"read", "write", "delete", "admin"}, name
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), f"{name}: {parameter['name']}"


def test_admission_makes_sense():
    for path, method, operation in operations():
        scope, permission = operation["x-quarry"]["scope"], operation["x-quarry"]["permission"]
        where = f"{method} {path}"
        if method == "get":
            assert permission == "read", where
        if method == "delete":
            assert permission in {"delete", "admin"}, where
        if scope == "public":
            assert path.startswith(("/v1/health", "/v1/public/", "/v1/presigned")), where
        if path.startswith("/v1/organizations") and method != "get" and not path.endswith("/list") and "alerts" not in path:
            assert permission == "admin", where
        if operation["x-quarry"].get("inline"):
            assert scope == "public" and method == "get", where


def test_path_parameters_are_declared():
    for path, method, operation in operations():
        named = set(re.findall(r"{([^}]+)}", path))
        declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert named == declared, f"{method} {path}"
        every = [(p["in"], p["name"]) for p in operation.get("parameters", [])]
        assert len(every) == len(set(every)), f"{method} {path}"


def test_every_reference_resolves_and_every_alias_has_a_target():
    document = load("openapi.json")
    schemas = document["components"]["schemas"]
    for name in re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', (API / "openapi.json").read_text()):
        assert name in schemas, name
    for name, schema in schemas.items():
        for alias, target in schema.get("x-aliases", {}).items():
            assert target in schema["properties"] and alias not in schema["properties"], f"{name}: {alias}"


def test_tags_are_described_and_used():
    document = load("openapi.json")
    described = [tag["name"] for tag in document["tags"] if tag["description"].endswith(".")]
    assert len(described) == len(set(described)) == len(document["tags"])
    assert set(described) == {operation["tags"][0] for _, _, operation in operations()}


def test_the_document_stands_alone():
    text = (API / "openapi.json").read_text()
    for word in ("/work/", "../shared", "mixpeek.com", "docs.mixpeek"):
        assert word not in text
    prose = re.findall(r'"(?:description|summary|title)": "((?:[^"\\]|\\.)*)"', text)
    for sentence in prose:
        assert "ixpeek" not in sentence.replace("mixpeek://", ""), sentence
