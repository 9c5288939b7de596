"""Other deployments: secrets from files, and Docker Swarm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.compose import docker, run
from tests.containers.conftest import PORT
from tests.containers.stack import FETCH, STATE_URL, Stack, eventually, photograph, size_of

SWARM = "anysr-swarm-test"
SWARM_PORT = str(int(PORT) + 2)
ADMIN_KEY = "a-drawn-key-of-some-length"


@pytest.mark.parametrize(
    "files",
    [
        ("docker-compose.yml",),
        ("docker-compose.yml", "deploy/gpu.compose.yml"),
        ("docker-compose.yml", "deploy/secrets.compose.yml"),
    ],
)
def test_compose_reads_the_files_without_warnings(files):
    arguments = [part for file in files for part in ("-f", file)]
    done = run("docker", "compose", *arguments, "--profile", "*", "config", "--quiet")
    assert done.stdout + done.stderr == ""


@pytest.fixture
def secret_stack(built: dict[str, str], tmp_path: Path) -> Iterator[Stack]:
    (tmp_path / "redis_conf").write_text("requirepass a-drawn-password\n")
    (tmp_path / "anysr_redis_url").write_text("redis://:a-drawn-password@redis:6379/0\n")
    (tmp_path / "anysr_admin_key").write_text(f"{ADMIN_KEY}\n")
    variables = {**built, "ANYSR_PORT": str(int(PORT) + 1), "SECRETS_FOLDER": str(tmp_path)}
    files = ("docker-compose.yml", "deploy/secrets.compose.yml")
    stack = Stack("anysr-secrets-test", variables, files)
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    yield stack
    stack.down()


def test_secrets_come_from_files_and_redis_requires_its_password(secret_stack):
    secret_stack.up("redis", "gateway", "worker")
    assert "NOAUTH" in secret_stack.inside("redis", "redis-cli", "ping")
    environment = secret_stack.inside("gateway", "python", "-c", "import os; print(*os.environ)")
    assert "ANYSR_REDIS_URL" not in environment
    answer = secret_stack.upscale(photograph(64, 48), scale=2)
    assert answer.status_code == 200
    assert size_of(answer.content) == (128, 96)
    reload = f"{secret_stack.url}/admin/reload"
    assert httpx.post(reload).status_code == 401
    key = {"Authorization": f"Bearer {ADMIN_KEY}"}
    assert httpx.post(reload, headers=key).status_code == 202


def warm_on_swarm() -> int:
    """Return the number of warm workers that the gateway of this machine sees."""
    name = f"label=com.docker.swarm.service.name={SWARM}_gateway"
    gateway = docker("ps", "--quiet", "--filter", name)
    page = docker("exec", gateway, "python", "-c", FETCH, f"{STATE_URL}/health/ready")
    return sum(worker["ready"] for worker in json.loads(page).get("workers", ()))


def test_the_stack_runs_on_swarm(built, swarm, say):
    docker("node", "update", "--label-add", "anysr.redis=true", swarm)
    variables = {**built, "ANYSR_PORT": SWARM_PORT}
    deploy = ("docker", "stack", "deploy", "--resolve-image", "never")
    try:
        run(*deploy, "--compose-file", "deploy/stack.yml", SWARM, variables=variables)
        here = Stack(SWARM, variables)
        eventually(lambda: warm_on_swarm() == 2, "two warm workers on Swarm")
        answer = here.upscale(photograph(64, 48), scale=2)
        assert answer.status_code == 200
        assert size_of(answer.content) == (128, 96)
        listed = ("stack", "services", SWARM, "--format", "{{.Name}} {{.Replicas}}")
        eventually(lambda: "_worker 2/2" in docker(*listed), "two healthy workers")
        say(f"Swarm: {' '.join(docker(*listed).split())}")
    finally:
        docker("stack", "rm", SWARM)
        mine = ("ps", "--all", "--quiet", "--filter", f"label=com.docker.stack.namespace={SWARM}")
        eventually(lambda: not docker(*mine), "the stack's end")
        for volume in docker("volume", "ls", "--quiet").split():
            if volume.startswith(f"{SWARM}_"):
                docker("volume", "rm", volume)
