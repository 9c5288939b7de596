"""One running stack for all container tests, built from this tree; skipped without an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from benchmarks.compose import EngineMissing, build_images, docker, require_engine
from tests.containers.stack import Stack

PORT = "18473"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/containers/" in item.nodeid:
            item.add_marker(pytest.mark.containers)


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    """Skip without a container engine."""
    try:
        require_engine()
    except EngineMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def built() -> dict[str, str]:
    """Build the stack's images from this tree; return the variables that name them."""
    return {"ANYSR_HOST": "127.0.0.1", "ANYSR_PORT": PORT, **build_images("test")}


@pytest.fixture(scope="session")
def stack(built: dict[str, str], say: Callable[[str], None]) -> Iterator[Stack]:
    """The stack of docker-compose.yml, healthy; at least one worker is warm."""
    stack = Stack("anysr-test", built)
    stack.down()
    try:
        seconds = stack.up()
        say(f"docker compose up -d --wait: healthy in {seconds:.1f} s")
        assert seconds < 60
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="session")
def say(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Print a line to the terminal of the test run."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n  {line}", flush=True)

    return say


@pytest.fixture
def swarm() -> Iterator[str]:
    """Node id of a Swarm of this machine alone; skips if the engine is in one already."""
    if docker("info", "--format", "{{.Swarm.LocalNodeState}}") != "inactive":
        pytest.skip("the engine is part of a Swarm")
    docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377")
    try:
        yield docker("info", "--format", "{{.Swarm.NodeID}}")
    finally:
        docker("swarm", "leave", "--force")
