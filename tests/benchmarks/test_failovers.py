"""What the trial of failovers says when a step does not come, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.durability import sentinel_group
from benchmarks.durability.failovers import _outage_s
from benchmarks.durability.sentinel_group import SentinelGroup
from benchmarks.durability.server import TrialSentinel, TrialServer, Watch
from benchmarks.durability.server_log import ServerLog
from cli.main import app

ABORTED = "# -failover-abort-no-good-slave master trial 127.0.0.1 6379"


async def test_a_step_that_does_not_come_ends_with_the_reason_of_each_sentinel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentinel_group, "STEP_TIMEOUT_S", 0.1)
    servers = tuple(TrialServer("none", tmp_path / name, {}) for name in "ab")
    sentinels = [
        TrialSentinel("none", tmp_path / name, "trial", servers[0].port, Watch()) for name in "cd"
    ]
    for sentinel in sentinels:
        with sentinel.log.begin() as log:
            log.write(f"{ABORTED}\n* Sentinel new configuration saved on disk\n".encode())
    group = SentinelGroup((servers[0], servers[1]), sentinels)
    with pytest.raises(TimeoutError) as raised:
        await group.in_step()
    said = [f"sentinel {sentinel.port}: {ABORTED}" for sentinel in sentinels]
    assert str(raised.value).splitlines()[1:] == said


def test_a_log_keeps_earlier_starts_and_reads_the_last_one(tmp_path: Path) -> None:
    log = ServerLog(tmp_path / "a.log")
    for line in (b"# error of the first start\n", b"Ready\nDone\n"):
        with log.begin() as file:
            file.write(line)
    assert log.lines == ["Ready", "Done"]
    assert log.last_line == "Done"
    assert log.path.read_text().startswith("# error")


@pytest.mark.parametrize(
    ("accepted", "kill", "outage"),
    [
        ([1.0, 2.0, 5.0, 5.5], 2.1, 3.0),
        ([1.0, 9.0, 9.5, 9.6], 9.2, 0.5),  # the gap before the kill is none of its outage
        ([1.0, 2.0], 2.1, float("inf")),
    ],
)
def test_the_outage_is_the_longest_gap_that_ends_after_the_kill(
    accepted: list[float], kill: float, outage: float
) -> None:
    assert _outage_s(accepted, kill) == pytest.approx(outage)


def test_a_silence_that_no_ping_could_break_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1500"):
        Watch(down_after_ms=1000)
    given = ["bench", "durability", "failovers", "--down-after", "1000"]
    assert CliRunner().invoke(app, given).exit_code == 2
