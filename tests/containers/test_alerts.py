"""One alert on the stack. `anysr bench alerts --compose` has all, and normal load."""

from __future__ import annotations

from benchmarks.alert_scenes import SCENES
from benchmarks.alerts import watch
from benchmarks.monitored.stack import run_stack


def test_only_the_alert_of_the_created_condition_fires_on_the_stack(built, say, tmp_path):
    name = "AnysrRedisMemoryHigh"
    with run_stack(tmp_path, {}, every_s=0.5, hurry=60, images=built) as service:
        found = watch(service, name, SCENES[name])
        assert found.after_s is not None
        say(f"{name} fired after {found.after_s:.1f} s")
        assert service.firing() == {name}
