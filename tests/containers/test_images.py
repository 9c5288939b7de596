"""The images: small, without tools, and with the needed packages only."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks.checkout import checkout
from benchmarks.compose import docker
from tests.containers.stack import inspect

LIMITS_MB = {"gateway": 350, "worker": 600}
TOOLS = ("pip", "apt-get", "dpkg", "perl", "gcc", "make", "curl", "git")

LOOK = """
import errno, importlib.metadata, json, os, shutil, sys
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
def refusal(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return errno.errorcode[error.errno]
print(json.dumps({
    "uid": os.getuid(), "gid": os.getgid(),
    "capabilities": [status[name].strip() for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "writes": {path: refusal(path) for path in ("/x", "/opt/anysr/x", "/etc/x", "/tmp/x")},
    "tools": [tool for tool in sys.argv[1].split(",") if shutil.which(tool)],
    "installed": {d.name: d.version for d in importlib.metadata.distributions()},
}))
"""

SERVE = """
import importlib.util, json, pathlib, tempfile
from models.catalog import SHIPPED
from workers.settings import WorkerSettings
from workers.loaded_model import load_models
seen = {"telemetry": importlib.util.find_spec("openvino_telemetry") is not None}
with tempfile.TemporaryDirectory() as folder:
    kept = pathlib.Path(folder)
    for precision in ("auto", "float32"):
        settings = WorkerSettings(runtime="openvino", precision=precision, worker_threads=2)
        for start in ("first", "second"):
            served = load_models(SHIPPED, settings, only="anysr-s", cache=kept)["anysr-s"]
            seen[f"{precision}, {start}"] = [str(served.backend), dict(served.refused)]
    seen["compiled"] = len(list(kept.glob("openvino/*.blob")))
print(json.dumps(seen))
"""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", LIMITS_MB)
def test_an_image_is_small(built, say, name):
    megabytes = inspect(f"anysr-{name}:{built['ANYSR_TAG']}")["Size"] / 1e6
    say(f"anysr-{name}: {megabytes:.0f} MB (limit {LIMITS_MB[name]})")
    assert megabytes < LIMITS_MB[name]


@pytest.mark.parametrize("name", LIMITS_MB)
def test_an_image_has_labels_a_health_check_and_a_stop_signal(built, name):
    config = inspect(f"anysr-{name}:{built['ANYSR_TAG']}")["Config"]
    assert config["User"] == "10001:10001"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"][:5] == ["CMD", "python", "-P", "-m", "cli.health"]
    labels = config["Labels"]
    for label in ("title", "description", "licenses", "version"):
        assert labels[f"org.opencontainers.image.{label}"]


@pytest.mark.parametrize("name", LIMITS_MB)
def test_a_container_has_no_rights_and_no_tools(stack, say, name):
    seen = json.loads(stack.inside(name, "python", "-c", LOOK, ",".join(TOOLS)))
    say(f"{name}: { ({key: seen[key] for key in list(seen) if key != 'installed'}) }")
    assert (seen["uid"], seen["gid"]) == (10001, 10001)
    assert {int(mask, 16) for mask in seen["capabilities"]} == {0}
    assert seen["no_new_privileges"] == "1"
    assert seen["writes"].pop("/tmp/x") is None
    assert set(seen["writes"].values()) == {"EROFS"}
    assert seen["tools"] == []


@pytest.mark.parametrize("name", LIMITS_MB)
def test_exactly_the_locked_packages_are_installed(stack, name):
    seen = json.loads(stack.inside(name, "python", "-c", LOOK, ""))
    lock = checkout("deploy", "requirements", f"{name}.txt").read_text()
    locked = {normal(n): v for n, v in re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE)}
    installed = {normal(n): v for n, v in seen["installed"].items()}
    assert installed.pop("anysr-serve")
    assert installed == locked


def test_a_worker_runs_openvino_without_telemetry(stack, say):
    """Runs the fastest precision and float32, with correct pictures (`workers.backends.check`); a
    second start reads the compiled graphs of the first."""
    seen = json.loads(stack.inside("worker", "python", "-c", SERVE))
    say(f"worker: {seen}")
    assert seen.pop("telemetry") is False
    assert seen.pop("compiled") > 0
    for backend, refused in seen.values():
        assert backend.startswith("openvino ")
        assert refused == {}
    assert seen["auto, first"] == seen["auto, second"]
    assert seen["float32, second"][0] == "openvino float32"


def test_every_container_is_read_only_without_capabilities(stack, say):
    for service in ("redis", "gateway", "worker", "prometheus"):
        host = inspect(stack.containers(service)[0])["HostConfig"]
        facts = {key: host[key] for key in ("ReadonlyRootfs", "CapDrop", "CapAdd", "SecurityOpt")}
        say(f"{service}: {facts}")
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert host["Memory"] > 0
        assert host["NanoCpus"] > 0
        assert not host["Privileged"]


def test_only_the_gateway_has_a_port_on_the_machine(stack):
    ports = docker(
        "ps",
        "--filter",
        f"label=com.docker.compose.project={stack.project}",
        "--format",
        "{{.Names}} {{.Ports}}",
    )
    published = [line.split()[0] for line in ports.splitlines() if "->" in line]
    assert published == [f"{stack.project}-gateway-1"]
