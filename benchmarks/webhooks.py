"""Webhooks of a real service whose receiver is down while gateway and worker restart."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_bytes
from socket import create_server

import httpx
from PIL import Image
from standardwebhooks import Webhook, WebhookVerificationError

from benchmarks.hook_receiver import receiver
from benchmarks.local_service import running_service
from jobs.embedded_redis import embedded_redis

SIDE = 16
"""Pixels of a picture."""
PATIENCE_S = 1800.0
"""How long deliveries are waited for, from the receiver's return."""
POLL_S = 0.2
RETRIED = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)

Progress = Callable[[int], None]


@dataclass
class Receipts:
    """What the receiver got."""

    verifier: Webhook
    by_job: Counter[str] = field(default_factory=Counter)
    """Messages with a right signature, by job."""
    wrong: int = 0
    """Messages whose signature is not right by the standard's public library."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        """Verify and count a message."""
        with self.lock:
            try:
                content = self.verifier.verify(body, headers)
            except WebhookVerificationError:
                self.wrong += 1
            else:
                self.by_job[content["data"]["id"]] += 1


@dataclass(frozen=True)
class Report:
    """What became of the webhooks."""

    jobs: int
    delivered: int
    """Jobs whose end arrived at least once."""
    repeated: int
    """Messages beyond the first of a job."""
    wrong: int
    last_s: float
    """From the receiver's return to the last first message."""

    @property
    def passed(self) -> bool:
        """Whether all arrived, with right signatures."""
        return self.delivered == self.jobs and not self.wrong


def run(minutes: float, jobs: int, progress: Progress) -> Report:
    """Submit half of the jobs, restart gateway and worker, submit the other half, and start the
    receiver `minutes` after the first job. `progress` gets the number of delivered ones.

    Raises RuntimeError for a job that the service does not take, and the errors of
    `running_service`.
    """
    secret = "whsec_" + b64encode(token_bytes(32)).decode()
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    receipts, hook = Receipts(Webhook(secret)), f"http://127.0.0.1:{port}/hook"
    with embedded_redis() as redis_url, contextlib.ExitStack() as receiving:
        settings = {
            "ANYSR_REDIS_URL": redis_url,
            "ANYSR_WEBHOOK_SECRETS": secret,
            "ANYSR_OUTBOUND_ALLOW_PRIVATE": "127.0.0.0/8",
            "ANYSR_OUTBOUND_PORTS": str(port),
        }
        with running_service(1, **settings) as url:
            began = time.monotonic()
            submitted = _submit(url, hook, jobs // 2)
            _sleep_until(began + 30.0 * minutes)
        with running_service(1, **settings) as url:
            submitted |= _submit(url, hook, jobs - jobs // 2)
            _sleep_until(began + 60.0 * minutes)
            receiving.enter_context(receiver(port, receipts.take))
            last_s = _wait(receipts, submitted, progress)
    found = {job: n for job, n in receipts.by_job.items() if job in submitted}
    repeated = sum(found.values()) - len(found)
    return Report(jobs, len(found), repeated, receipts.wrong, last_s)


def _submit(url: str, hook: str, jobs: int) -> set[str]:
    """Submit jobs, and return their ids."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((SIDE, SIDE)).save(file, "png")
    with httpx.Client(base_url=url, headers={"Content-Type": "image/png"}) as client:
        return {_submitted(client, file.getvalue(), hook) for _ in range(jobs)}


def _submitted(client: httpx.Client, picture: bytes, hook: str) -> str:
    parameters = {"scale": "2", "webhook_url": hook}
    while (answer := client.post("/jobs", params=parameters, content=picture)).is_error:
        if answer.status_code not in RETRIED:
            raise RuntimeError(f"the service did not take a job: {answer.text}")
        time.sleep(float(answer.headers["retry-after"]))
    return str(answer.json()["id"])


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _wait(receipts: Receipts, submitted: set[str], progress: Progress) -> float:
    """Return after how many seconds the last job was announced, or `PATIENCE_S`."""
    began = time.monotonic()
    while (waited_s := time.monotonic() - began) < PATIENCE_S:
        delivered = len(submitted & receipts.by_job.keys())
        progress(delivered)
        if delivered == len(submitted):
            return waited_s
        time.sleep(POLL_S)
    return PATIENCE_S
