from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from support.server import Client, Server  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="more seeds, bigger data, the slow peers")
    parser.addoption("--seed", type=int, default=None, help="repeat a seeded test with this seed")


@pytest.fixture(scope="session")
def is_long(request: pytest.FixtureRequest) -> bool:
    return request.config.getoption("--long")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory):
    """One server for all tests that leave it as they found it: each makes its own namespace."""
    with Server(tmp_path_factory.mktemp("shared") / "data") as running:
        yield running
        assert running.alive(), "the shared server died:\n" + "".join(running.log[-40:])


@pytest.fixture()
def client(server: Server) -> Client:
    return server.client()


@pytest.fixture()
def fresh_server(tmp_path: pathlib.Path):
    """A server of the test's own, to be stopped, killed or spoilt."""
    with Server(tmp_path / "data") as running:
        yield running
