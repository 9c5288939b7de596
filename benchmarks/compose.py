"""The container engine's own commands, and a Compose project that is driven by them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from benchmarks.checkout import checkout


class EngineMissing(RuntimeError):
    """No Docker engine with Compose V2 answers."""


class CommandFailed(RuntimeError):
    """A command ended with an error; the message has all that it said."""


def require_engine() -> None:
    """Raise EngineMissing where no container engine answers."""
    try:
        subprocess.run(["docker", "info"], capture_output=True, check=True, timeout=30)
        subprocess.run(["docker", "compose", "version"], capture_output=True, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineMissing(f"needs a Docker engine with Compose V2: {error}") from error


def run(
    *command: str, check: bool = True, variables: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run a command at the repository's root. Raises CommandFailed and CheckoutMissing."""
    done = subprocess.run(
        command,
        cwd=checkout("docker-compose.yml").parent,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode != 0:
        raise CommandFailed(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return done


def docker(*arguments: str, check: bool = True) -> str:
    """What a docker command says."""
    return run("docker", *arguments, check=check).stdout.strip()


def build_images(tag: str) -> dict[str, str]:
    """Build the stack's images from this tree; return the variables that name them."""
    variables = {"ANYSR_TAG": tag}
    run("docker", "compose", "build", variables=variables)
    return variables


@dataclass(frozen=True)
class ComposeProject:
    """One Compose project: `files` of the repository, `variables` that they are read with."""

    project: str
    variables: dict[str, str]
    files: tuple[str, ...] = ("docker-compose.yml",)

    @property
    def url(self) -> str:
        """The address of its gateway."""
        return f"http://127.0.0.1:{self.variables['ANYSR_PORT']}"

    def compose(self, *arguments: str, check: bool = True) -> str:
        """What a `docker compose` command says of this project."""
        files = [part for file in self.files for part in ("-f", file)]
        command = ("docker", "compose", "-p", self.project, *files, *arguments)
        return run(*command, check=check, variables=self.variables).stdout.strip()

    def up(self, *arguments: str) -> float:
        """Start what does not run yet, and return after how many seconds it was healthy."""
        started = time.monotonic()
        self.compose("up", "-d", "--wait", *arguments)
        return time.monotonic() - started

    def down(self) -> None:
        """Remove everything, volumes included."""
        self.compose("down", "--volumes", "--timeout", "10", check=False)

    def containers(self, service: str) -> list[str]:
        """The running containers of a service, by id."""
        return self.compose("ps", "--quiet", service).split()

    def inside(self, service: str, *command: str) -> str:
        """What a command says in the first container of a service."""
        return docker("exec", self.containers(service)[0], *command)
