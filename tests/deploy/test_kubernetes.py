"""The Kubernetes objects: valid, hardened, and with equal names and ports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from scheduling.simulation.autoscaling import SCRAPE_MS, Autoscaler, Signal
from studies.autoscaling import CHOSEN, MOST, START_S

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
SCHEMA = json.loads((Path(__file__).parent / "keda-scaled-object.schema.json").read_text())


def objects() -> list[dict[str, Any]]:
    """Every object of the files that the kustomization names."""
    files = (FOLDER / name for name in KUSTOMIZATION["resources"])
    return [found for file in files for found in yaml.safe_load_all(file.read_text())]


def of_kind(*kinds: str) -> dict[str, dict[str, Any]]:
    """Return the objects of some kinds, by name."""
    return {o["metadata"]["name"]: o for o in objects() if o["kind"] in kinds}


def validated(text: str, folder: Path) -> None:
    """Run kubernetes-validate --strict on all but the KEDA object, for which it has no schema."""
    plain = [o for o in yaml.safe_load_all(text) if o["kind"] != "ScaledObject"]
    assert len(plain) >= len(objects()) - 1
    file = folder / "objects.yaml"
    file.write_text(yaml.safe_dump_all(plain))
    command = [str(Path(sys.executable).parent / "kubernetes-validate"), "--strict", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count(" passed ") == len(plain)


def test_every_file_of_the_folder_is_applied():
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert files == set(KUSTOMIZATION["resources"])


def test_the_objects_are_valid(tmp_path):
    validated(yaml.safe_dump_all(objects()), tmp_path)


def test_the_output_of_kustomize_is_valid_and_keeps_its_links(tmp_path):
    tools = (("kustomize", "build"), ("kubectl", "kustomize"))
    tool = next((tool for tool in tools if shutil.which(tool[0])), None)
    if tool is None:
        pytest.skip("needs kustomize or kubectl on PATH")
    done = subprocess.run([*tool, str(FOLDER)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    validated(done.stdout, tmp_path)
    made = list(yaml.safe_load_all(done.stdout))
    assert {o["metadata"].get("namespace") for o in made} == {"anysr", None}
    (gateway,) = [o for o in made if o["kind"] == "Deployment" and "gateway" in str(o["metadata"])]
    source = gateway["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]
    assert re.fullmatch(r"anysr-\w+", source["configMapRef"]["name"])


def test_the_scaled_object_is_valid_and_an_invalid_one_is_refused():
    (scaled,) = of_kind("ScaledObject").values()
    jsonschema.validate(scaled, SCHEMA)
    wrong = json.loads(json.dumps(scaled))
    wrong["spec"]["triggers"][0]["metadata"]["treshold"] = "1"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


def test_workers_follow_a_metric_that_the_gateway_has():
    (scaled,) = of_kind("ScaledObject").values()
    assert scaled["spec"]["scaleTargetRef"]["name"] in of_kind("Deployment")
    assert "replicas" not in of_kind("Deployment")["worker"]["spec"]
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    (metric,) = re.findall(r"anysr_\w+", query)
    assert f'"{metric}"' in (ROOT / "service" / "metrics.py").read_text()


def test_workers_are_scaled_by_the_rule_that_the_study_chose():
    (scaled,) = of_kind("ScaledObject").values()
    signal, target, fewest = CHOSEN
    rule, spec = Autoscaler(signal, target, START_S[0]), scaled["spec"]
    (trigger,) = spec["triggers"]
    assert signal is Signal.RUNNING
    window = f"[{rule.window_ms / 6e4:g}m:{SCRAPE_MS / 1e3:g}s]"
    query = f"max(avg_over_time((anysr_queue_running >= 0){window}))"
    assert trigger["metadata"]["query"] == query
    assert float(trigger["metadata"]["threshold"]) == target
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (fewest, MOST)
    assert spec["pollingInterval"] == SCRAPE_MS / 1e3
    assert spec["cooldownPeriod"] == rule.cooldown_ms / 1e3
    down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] == rule.stabilisation_ms / 1e3


@pytest.mark.parametrize("name", ["redis", "gateway", "worker"])
def test_a_pod_is_hardened_and_probed(name):
    pod = of_kind("Deployment", "StatefulSet")[name]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    assert container["resources"]["requests"]
    assert container["resources"]["limits"]["memory"]


def test_names_and_ports_are_those_of_the_images():
    dockerfile = (ROOT / "Dockerfile").read_text()
    workloads = of_kind("Deployment")
    for name, port in (("gateway", 8000), ("worker", 9100)):
        (container,) = workloads[name]["spec"]["template"]["spec"]["containers"]
        assert container["ports"][0]["containerPort"] == port
        assert f"EXPOSE {port}" in dockerfile
        assert container["image"] in {image["name"] for image in KUSTOMIZATION["images"]}
        assert workloads[name]["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == 10001
    for budget in of_kind("PodDisruptionBudget").values():
        (label,) = budget["spec"]["selector"]["matchLabels"].values()
        assert label in workloads


def test_only_prometheus_reaches_metrics_and_state():
    (container,) = of_kind("Deployment")["gateway"]["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {"name": "ANYSR_METRICS_PORT", "value": str(ports["metrics"])} in container["env"]
    metadata = of_kind("Deployment")["gateway"]["spec"]["template"]["metadata"]
    assert metadata["annotations"]["prometheus.io/port"] == str(ports["metrics"])
    (published,) = of_kind("Service")["gateway"]["spec"]["ports"]
    assert published["targetPort"] == "http"
    for rule in of_kind("NetworkPolicy")["gateway"]["spec"]["ingress"]:
        names = {port["port"] for port in rule["ports"]}
        assert ("from" in rule) == ("metrics" in names)


def test_redis_is_the_same_everywhere():
    assert (FOLDER / "redis.conf").read_text() == (ROOT / "deploy" / "redis.conf").read_text()
