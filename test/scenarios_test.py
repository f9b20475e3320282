"""Every file under test/scenarios against a live server."""

import pathlib

import pytest

from support.flow import unique
from support.scenario import Scenario
from support.server import Client

FILES = sorted((pathlib.Path(__file__).parent / "scenarios").glob("**/*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_scenario(path: pathlib.Path, client: Client) -> None:
    made = client.ok("POST", "/v1/namespaces", {"namespace_name": unique(f"scenario-{path.stem}".replace("_", "-"))[:60]})
    inside = client.within(made["namespace_id"])
    Scenario(path, inside, {"NS": made["namespace_id"], "NS_NAME": made["namespace_name"], "UNIQUE": unique("u")}).run()
