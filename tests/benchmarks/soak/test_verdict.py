"""The verdict on a run, from the files of its folder."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.soak.folder import OUTCOMES, PAUSES, PROCESSES, STORES, begin
from benchmarks.soak.outcomes import Outcome, OutcomeFile
from benchmarks.soak.pauses import Pause
from benchmarks.soak.plan import RESULT_TTL_S, Plan
from benchmarks.soak.processes import ProcessSample, Role
from benchmarks.soak.samples import SampleFiles
from benchmarks.soak.stores import StoreSample
from benchmarks.soak.table import report
from benchmarks.soak.verdict import verdict_of

PLAN = Plan(minutes=100)
WORKER = ProcessSample(Role.WORKER, 7, 400_000_000, 0, 0, 18, 6, 50, cpu_s=10.0)
DECODER = replace(WORKER, role=Role.DECODER, pid=9, rss=20_000_000)
STORE = StoreSample(8, 7, 1 << 22, 20, 2, 300, 21, 0)
FINE = Outcome(0, "batch", 10.0, 12.0, "fine", fault=False, late=False)
FAULT = Outcome(1, "batch", 20.0, 30.0, "status 500, internal_error", fault=True, late=False)


def kept(
    folder: Path,
    *samples: tuple[float, list[ProcessSample]],
    outcomes: tuple[Outcome, ...] = (FINE,),
    pauses: tuple[Pause, ...] = (),
) -> Path:
    """Write the files of a run."""
    begin(folder, PLAN)
    with (
        (folder / PROCESSES).open("w") as processes,
        (folder / STORES).open("w") as stores,
        (folder / OUTCOMES).open("w") as lines,
        (folder / PAUSES).open("w") as moments,
    ):
        files, writer = SampleFiles(processes, stores), OutcomeFile(lines)
        for at_s, found in samples:
            files.add(at_s, PLAN.phase_at(at_s), found, STORE)
        for outcome in outcomes:
            writer.add(outcome)
        csv.writer(moments).writerows((pause.began, pause.ended) for pause in pauses)
    return folder


def test_a_run_that_keeps_nothing_has_passed(tmp_path: Path) -> None:
    later = replace(WORKER, cpu_s=1510.0)
    samples = [(10.0 * n, [later if n else WORKER, DECODER]) for n in range(601)]
    verdict = verdict_of(kept(tmp_path / "run", *samples))
    assert verdict.broken == []
    assert verdict.cores == pytest.approx(0.25)
    assert verdict.seconds == 6000
    assert "| worker, threads | 50 | 50 | 50 | 50 |" in report(verdict)
    assert "| worker, under load | 405 | 400.0 | +0.00 | +0.00 to +0.00 |" in report(verdict)
    assert "| worker, at rest | 13 | 400.0 | +0.00 | +0.00 to +0.00 |" in report(verdict)
    assert "| batch | 1 | 1 | 0 | 0 |" in report(verdict)


def test_a_worker_that_was_replaced_is_a_fault_and_a_decoder_is_not(tmp_path: Path) -> None:
    after = [replace(WORKER, pid=11), replace(DECODER, pid=12)]
    verdict = verdict_of(kept(tmp_path / "run", (10.0, [WORKER, DECODER]), (20.0, after)))
    assert verdict.replaced == {Role.WORKER: 1, Role.DECODER: 1}
    assert verdict.broken == ["worker was replaced"]


def test_a_wrong_answer_is_a_fault_but_not_to_a_caller_who_was_suspended(tmp_path: Path) -> None:
    sample = (10.0, [WORKER])
    seen = verdict_of(kept(tmp_path / "seen", sample, outcomes=(FINE, FAULT)))
    assert seen.broken == ["batch, request 1: status 500, internal_error"]
    pauses = (Pause(2.0, 9.0), Pause(25.0, 100.0))
    asleep = kept(tmp_path / "asleep", sample, outcomes=(FINE, FAULT), pauses=pauses)
    assert verdict_of(asleep).broken == []
    assert verdict_of(asleep).unseen == 1
    assert "suspended 2 times, for 82 s in all" in report(verdict_of(asleep))


def test_a_picture_that_its_caller_fetches_too_late_is_none_of_the_services_faults(
    tmp_path: Path,
) -> None:
    late = replace(FAULT, result="status 410, result_expired", ended=FAULT.began + RESULT_TTL_S + 1)
    soon = replace(late, number=2, ended=late.began + RESULT_TTL_S - 1)
    verdict = verdict_of(kept(tmp_path / "run", (10.0, [WORKER]), outcomes=(late, soon)))
    assert verdict.broken == ["batch, request 2: status 410, result_expired"]
    assert verdict.ways[0].refused == 1


def test_a_run_that_has_just_begun_has_a_report(tmp_path: Path) -> None:
    verdict = verdict_of(kept(tmp_path / "run", outcomes=()))
    assert verdict.broken == []
    assert report(verdict).startswith("0 of 100 minutes, seed 1: 0 requests")


def test_a_folder_has_one_run(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        begin(kept(tmp_path / "run"), PLAN)
