"""The service of a run: as by default, but that what expires does so soon."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from secrets import token_bytes

from benchmarks.soak.plan import CACHE_S, JOB_TTL_S, RESULT_TTL_S

TEMPORARY, COSTS = "tmp", "costs"


def environment_of(folder: Path, port: int) -> dict[str, str]:
    """Return the variables of a service with all its files in a folder, which is made. The server
    of `neighbour` is at `port`. Sources go with their jobs, and may wait as long as these."""
    for name in (TEMPORARY, COSTS):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {
        "TMPDIR": str(folder / TEMPORARY),
        "ANYSR_CALIBRATION_FOLDER": str(folder / COSTS),
        "ANYSR_RESULT_TTL_SECONDS": str(RESULT_TTL_S),
        "ANYSR_JOB_TTL_SECONDS": str(JOB_TTL_S),
        "ANYSR_CACHE_MB": "64",
        "ANYSR_CACHE_SECONDS": str(CACHE_S),
        "ANYSR_WEBHOOK_RETRY_SECONDS": str(JOB_TTL_S),
        "ANYSR_WEBHOOK_SECRETS": "whsec_" + b64encode(token_bytes(32)).decode(),
        "ANYSR_SOURCES": "127.0.0.1",
        "ANYSR_RESULT_HOSTS": "127.0.0.1",
        "ANYSR_RESULT_HTTP": "true",
        "ANYSR_OUTBOUND_ALLOW_PRIVATE": "127.0.0.0/8",
        "ANYSR_OUTBOUND_PORTS": str(port),
    }
