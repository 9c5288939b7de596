"""Commands of the container engine, and a Compose project controlled by them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from benchmarks.checkout import checkout


class EngineMissing(RuntimeError):
    """No Docker engine with Compose V2 responds."""


class CommandFailed(RuntimeError):
    """A command failed; the message has all of its output."""


def require_engine() -> None:
    """Raise EngineMissing where no container engine responds."""
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
    """Return the output of a docker command."""
    return run("docker", *arguments, check=check).stdout.strip()


def build_images(tag: str) -> dict[str, str]:
    """Build the stack's images from this tree; return the variables that name them."""
    variables = {"ANYSR_TAG": tag}
    run("docker", "compose", "build", variables=variables)
    return variables


@dataclass(frozen=True)
class ComposeProject:
    """One Compose project: `files` of the repository, and the `variables` in them."""

    project: str
    variables: dict[str, str]
    files: tuple[str, ...] = ("docker-compose.yml",)

    @property
    def url(self) -> str:
        """URL of the gateway."""
        return f"http://127.0.0.1:{self.variables['ANYSR_PORT']}"

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Return the output of a `docker compose` command for this project."""
        files = [part for file in self.files for part in ("-f", file)]
        command = ("docker", "compose", "-p", self.project, *files, *arguments)
        return run(*command, check=check, variables=self.variables).stdout.strip()

    def up(self, *arguments: str) -> float:
        """Start all services, and return the seconds until they were healthy."""
        started = time.monotonic()
        self.compose("up", "-d", "--wait", *arguments)
        return time.monotonic() - started

    def down(self) -> None:
        """Remove everything, volumes included."""
        self.compose("down", "--volumes", "--timeout", "10", check=False)

    def containers(self, service: str) -> list[str]:
        """Return the ids of the running containers of a service."""
        return self.compose("ps", "--quiet", service).split()

    def inside(self, service: str, *command: str) -> str:
        """Return the output of a command in the first container of a service."""
        return docker("exec", self.containers(service)[0], *command)
