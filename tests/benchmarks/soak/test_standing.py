"""What stands after a rest: more at the end than after the first quarter has leaked."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.soak.plan import Plan
from benchmarks.soak.processes import ProcessSample, Role
from benchmarks.soak.samples import Moment
from benchmarks.soak.standing import REDIS_NOISE, Standing, standing_of
from benchmarks.soak.stores import StoreSample

PLAN = Plan(minutes=100)
PROCESS = ProcessSample(Role.GATEWAY, 7, 100, 90, 80, files=40, sockets=30, threads=9, cpu_s=1.0)
STORE = StoreSample(8, 7, 1 << 22, 20, 2, 300, 21, 0)
FIRST_S, LAST_S = 1495.0, 5995.0
UNDER_LOAD_S = 700.0


def leaks(before: StoreSample, after: StoreSample) -> list[str]:
    """Return what has leaked, of what was counted after the first rest and after the last."""
    moments = [Moment(FIRST_S, "settled", before), Moment(LAST_S, "settled", after)]
    return [one.what for one in standing_of(PLAN, [], moments) if one.leaked]


def test_what_is_as_before_has_not_leaked() -> None:
    assert leaks(STORE, STORE) == []
    assert leaks(STORE, replace(STORE, keys=7)) == []


def test_one_key_connection_or_file_more_has_leaked() -> None:
    assert leaks(STORE, replace(STORE, keys=9)) == ["keys in Redis"]
    assert leaks(STORE, replace(STORE, lasting_keys=8)) == ["of which never expire"]
    assert leaks(STORE, replace(STORE, connections=21)) == ["connections to Redis"]
    assert leaks(STORE, replace(STORE, temporary_files=3)) == ["temporary files"]


def test_a_little_more_of_redis_is_its_own_noise() -> None:
    noise = STORE.redis_bytes + REDIS_NOISE
    assert leaks(STORE, replace(STORE, redis_bytes=noise)) == []
    assert leaks(STORE, replace(STORE, redis_bytes=noise + 1)) == ["bytes of Redis"]


def test_shared_memory_is_that_of_the_whole_machine_and_only_shown() -> None:
    assert leaks(STORE, replace(STORE, shared_memory=5)) == []


def test_processes_of_a_role_count_together_and_load_does_not_count() -> None:
    busy = replace(PROCESS, files=900)
    moments = [
        Moment(UNDER_LOAD_S, "load", busy),
        Moment(FIRST_S, "settled", PROCESS),
        Moment(LAST_S, "settled", PROCESS),
        Moment(LAST_S, "settled", replace(PROCESS, pid=8)),
    ]
    found = {one.what: one for one in standing_of(PLAN, moments, []) if one.role}
    assert found["open files"].counts == (40, 80)
    assert all(standing.leaked for standing in found.values())


def test_one_rest_alone_tells_of_no_leak() -> None:
    assert not Standing("", "keys in Redis", (8,), 0).leaked
    assert str(Standing("worker", "threads", (8, 9), 0)) == "worker, threads: 8, 9"
