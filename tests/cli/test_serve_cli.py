"""`anysr serve` as a user runs it: one command, real HTTP, a real network."""

import io
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from images.decode import decode
from models.catalog import read_catalog
from models.expectation import expectation_of
from service.leaving import INTERRUPTED, SENTENCE
from tests.support.service import running_service
from workers.features import features_of

HEADERS = (
    "Server-Timing",
    "X-Request-ID",
    "X-AnySR-Model",
    "X-AnySR-Width",
    "X-AnySR-Scale",
    "X-AnySR-Predicted-Ms",
    "X-AnySR-Elapsed-Ms",
    "X-AnySR-Deadline",
    "X-AnySR-Expected-Db",
    "X-AnySR-Expected-Db-Range",
    "X-AnySR-Strength",
    "X-AnySR-Reason",
)


ADMIN_KEY = "a key of 25 characters..."

pytestmark = pytest.mark.usefixtures("cached_costs")


@pytest.fixture(scope="module")
def service(cached_costs):  # noqa: ARG001 - written before the start
    with running_service(ANYSR_LEASE_SECONDS="1", ANYSR_ADMIN_KEY=ADMIN_KEY) as url:
        yield url


def picture(width: int, height: int, image_format: str = "PNG") -> bytes:
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 100 * np.sin(x / (5 + c)) * np.cos(y / 7) for c in range(3)]
    buffer = io.BytesIO()
    Image.fromarray(np.stack(planes, -1).astype(np.uint8)).save(buffer, image_format)
    return buffer.getvalue()


def opened(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def test_the_request_of_the_readme_returns_a_picture(service):
    answer = httpx.post(
        f"{service}/upscale",
        files={"image": ("photo.png", picture(93, 61))},
        data={"scale": "2.37", "latency_budget_ms": "20000"},
        timeout=60,
    )
    image = opened(answer)
    assert image.format == "PNG"
    assert image.size == (round(2.37 * 93), round(2.37 * 61))
    assert [name for name in HEADERS if name not in answer.headers] == []
    ran = read_catalog().get(answer.headers["X-AnySR-Model"])
    width = float(answer.headers["X-AnySR-Width"])
    seen = features_of(decode(picture(93, 61), 10**6))
    best = expectation_of(seen, math.sqrt(round(2.37 * 93) / 93 * round(2.37 * 61) / 61), 0.0)
    assert float(answer.headers["X-AnySR-Expected-Db"]) == best.db(ran, width)
    assert answer.headers["X-AnySR-Reason"] == "widest"
    assert answer.headers["X-AnySR-Deadline"] == "met"


def test_the_network_beats_bicubic_on_a_real_photograph(service):
    """scikit-image's public-domain astronaut, shrunk by bicubic and sent for x2."""
    data = pytest.importorskip("skimage.data")
    truth = Image.fromarray(data.astronaut()[:256, 120:376])
    small = truth.resize((128, 128), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    answer = httpx.post(
        f"{service}/upscale",
        params={"scale": 2, "latency_budget_ms": 60_000},
        content=buffer.getvalue(),
        timeout=60,
    )

    def psnr(image: Image.Image) -> float:
        difference = np.asarray(image, float)[4:-4, 4:-4] - np.asarray(truth, float)[4:-4, 4:-4]
        return 10 * float(np.log10(255**2 / np.mean(difference**2)))

    bicubic = small.resize((256, 256), Image.Resampling.BICUBIC)
    assert psnr(opened(answer)) > psnr(bicubic) + 1.0


def psnr(image: Image.Image, truth: Image.Image) -> float:
    sent, wanted = (np.asarray(i.convert("RGB"), np.float64) / 255 for i in (image, truth))
    return float(-10 * np.log10(np.mean((sent - wanted) ** 2)))


@pytest.mark.parametrize(("quality", "strength", "gain"), [(50, 0.77, 0.4), (75, 0.55, 0.5)])
def test_a_jpeg_is_cleaned_up_by_default(service, quality, strength, gain):
    """With only a scale, the result is above bicubic, and above that with a strength of 0."""
    data = pytest.importorskip("skimage.data")
    truth = Image.fromarray(data.astronaut()[:256, 120:376])
    buffer = io.BytesIO()
    truth.resize((128, 128), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=quality)
    ways = "scale=2&format=png&latency_budget_ms=60000"
    chosen, clean = (
        httpx.post(f"{service}/upscale?{ways}{more}", content=buffer.getvalue(), timeout=90)
        for more in ("", "&strength=0")
    )
    assert float(chosen.headers["X-AnySR-Strength"]) == strength
    assert float(clean.headers["X-AnySR-Strength"]) == 0
    bicubic = Image.open(buffer).convert("RGB").resize(truth.size, Image.Resampling.BICUBIC)
    assert psnr(opened(chosen), truth) > psnr(bicubic, truth) + gain
    assert psnr(opened(chosen), truth) > psnr(opened(clean), truth)


def test_every_width_can_be_pinned(service):
    models = httpx.get(f"{service}/models").json()
    widths = next(m for m in models["models"] if m["name"] == "anysr-s")["widths"]
    assert len(widths) >= 4
    for entry in widths:
        width = entry["width"] if isinstance(entry, dict) else entry
        answer = httpx.post(
            f"{service}/upscale",
            params={"scale_h": 1.5, "scale_w": 2.2, "anysr_width": width},
            content=picture(40, 30, "JPEG"),
            timeout=60,
        )
        assert opened(answer).size == (88, 45)
        assert float(answer.headers["X-AnySR-Width"]) == width
        assert answer.headers["X-AnySR-Reason"] == "pinned"


def test_a_too_small_budget_is_refused_with_the_smallest_feasible_one(service):
    data = picture(300, 300)
    answer = httpx.post(
        f"{service}/upscale", params={"scale": 4, "latency_budget_ms": 1}, content=data
    )
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "budget_infeasible"
    assert problem["smallest_feasible_ms"] > 1


def workers_of(service: str) -> list[int]:
    """Return the process ids of the workers, which are the ends of their ids."""
    workers = httpx.get(f"{service}/health/ready").json()["workers"]
    return [int(worker["id"].split("-")[-2]) for worker in workers]


def test_a_worker_does_not_inherit_the_keys_of_the_gateway(service):
    authorised = {"Authorization": f"Bearer {ADMIN_KEY}"}
    assert httpx.post(f"{service}/admin/reload", headers=authorised).is_success
    for worker in map(psutil.Process, workers_of(service)):
        for process in (worker, *worker.children(recursive=True)):
            assert ADMIN_KEY not in process.environ().values()


def test_a_job_survives_the_kill_of_its_worker(service):
    created = httpx.post(
        f"{service}/jobs",
        params={"scale": 3, "anysr_width": 1, "latency_budget_ms": 60_000},
        content=picture(900, 700, "JPEG"),
    )
    assert created.status_code == 202
    job = f"{service}/jobs/{created.json()['id']}"
    wait_for(lambda: httpx.get(job).json()["status"] == "running", 20)
    (victim,) = workers_of(service)
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: httpx.get(job).json()["status"] in ("succeeded", "failed"), 90)
    assert opened(httpx.get(f"{job}/result", timeout=30)).size == (2700, 2100)
    assert workers_of(service) != [victim]


def redis_of(service: str) -> psutil.Process:
    """Return the process of the private Redis."""
    (worker,) = workers_of(service)
    family = psutil.Process(worker).parent().children(recursive=True)
    (server,) = (one for one in family if one.name() in ("valkey-server", "redis-server"))
    return server


def test_a_killed_redis_is_restarted_and_waiting_callers_get_an_error(service):
    answers: list[httpx.Response] = []
    ways = {"scale": 3, "anysr_width": 1, "latency_budget_ms": 60_000}
    large = picture(900, 700, "JPEG")
    request = threading.Thread(
        target=lambda: answers.append(
            httpx.post(f"{service}/upscale", params=ways, content=large, timeout=90)
        )
    )
    request.start()
    wait_for(lambda: httpx.get(f"{service}/health/ready").json()["queue"]["running"] == 1, 20)
    killed = redis_of(service)
    killed.kill()
    request.join(20)
    assert answers[0].status_code == 503
    assert answers[0].json()["code"] == "not_ready"
    assert "Retry-After" in answers[0].headers
    small, wanted = picture(40, 30), f"{service}/upscale?scale=2"
    # The new server knows no worker before a heartbeat.
    wait_for(lambda: httpx.post(wanted, content=small, timeout=60).is_success, 20)
    wait_for(lambda: workers_of(service), 20)
    assert redis_of(service).pid != killed.pid


def wait_for(condition, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "took too long"
        time.sleep(0.1)


def test_sigterm_ends_the_service_its_workers_and_its_redis():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "cli.main", "serve", "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: _ready(url), 180)
        pids = workers_of(url)
        answers: list[httpx.Response] = []
        request = threading.Thread(
            target=lambda: answers.append(
                httpx.post(
                    f"{url}/upscale",
                    params={"scale": 2, "anysr_width": 1, "latency_budget_ms": 60_000},
                    content=picture(900, 800, "JPEG"),
                    timeout=60,
                )
            )
        )
        request.start()
        wait_for(lambda: httpx.get(f"{url}/health/ready").json()["queue"]["running"] == 1, 20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) in (0, -signal.SIGTERM)
        request.join()
        assert opened(answers[0]).size == (1800, 1600)  # the current job was finished
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
    finally:
        process.kill()
        process.wait()


def test_a_second_ctrl_c_ends_the_service_at_once_with_one_line():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "cli.main", "serve", "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: _lives(port), 60)
        children = psutil.Process(process.pid).children(recursive=True)
        with socket.create_connection(("127.0.0.1", port)) as caller:
            # A request that is not over, for which the service waits.
            head = f"POST /upscale?scale=2 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            caller.sendall(
                f"{head}Content-Type: image/png\r\nContent-Length: 9000\r\n\r\n".encode()
            )
            caller.sendall(b"\x89PNG\r\n\x1a\n")
            process.send_signal(signal.SIGINT)
            wait_for(lambda: not _lives(port), 20)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)
        assert process.returncode == INTERRUPTED
        lines = said.splitlines(keepends=True)
        assert lines[-1] == SENTENCE
        assert b"Traceback" not in said
        _, alive = psutil.wait_procs(children, timeout=20)
        assert not alive
    finally:
        process.kill()
        process.wait()


def _lives(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/live").is_success
    except httpx.HTTPError:
        return False


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready").status_code == 200
    except httpx.HTTPError:
        return False


def test_a_used_port_is_an_error_and_no_process_remains():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "cli.main", "serve", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "address already in use" in done.stderr


@pytest.mark.parametrize("command", ["gateway", "worker"])
def test_single_parts_require_a_shared_redis(command):
    environment = {k: v for k, v in os.environ.items() if k != "ANYSR_REDIS_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "ANYSR_REDIS_URL" in done.stderr
