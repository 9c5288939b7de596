"""Another run may go on beside decoding and encoding, and enlarging waits for its end."""

from __future__ import annotations

import threading

from tests.support.waiting import PATIENCE_S, eventually_sync
from workers.stage_gate import Stage, StageGate


def test_another_run_may_go_on_beside_decoding_and_encoding() -> None:
    gate = StageGate()
    assert gate.open()
    gate.close()
    gate.enter(Stage.ENLARGE)
    assert not gate.open()
    gate.enter(Stage.ENCODE)
    assert gate.open()


def test_enlarging_waits_for_the_run_beside_it_and_lets_no_other_in() -> None:
    gate = StageGate()
    assert gate.open()
    thread = threading.Thread(target=gate.enter, args=(Stage.ENLARGE,))
    thread.start()
    eventually_sync(lambda: gate.waits, "the wait")
    assert gate.stage is Stage.DECODE
    gate.close()
    assert not gate.open()
    thread.join(PATIENCE_S)
    assert (gate.stage, gate.waits) == (Stage.ENLARGE, False)


def test_encoding_does_not_wait() -> None:
    gate = StageGate()
    gate.enter(Stage.ENLARGE)
    gate.enter(Stage.ENCODE)
    assert gate.open()
    assert gate.stage is Stage.ENCODE
