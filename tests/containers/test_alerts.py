"""The proof of the alerts on the stack; all of them, and ten quiet minutes: anysr bench alerts."""

from __future__ import annotations

from benchmarks.alert_scenes import SCENES
from benchmarks.alerts import watch
from benchmarks.monitored.stack import run_stack


def test_an_alert_fires_on_the_stack_when_it_is_made_real_and_only_that_one(built, say, tmp_path):
    name = "AnysrRedisMemoryHigh"
    with run_stack(tmp_path, {}, every_s=0.5, hurry=60, images=built) as service:
        found = watch(service, name, SCENES[name])
        assert found.after_s is not None
        say(f"{name} fired after {found.after_s:.1f} s")
        assert service.firing() == {name}
