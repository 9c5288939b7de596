"""What a run teaches the cost model that it was bound by."""

from __future__ import annotations

from scheduling.cost_model import DECODE, encode_stage, stage_of
from workers.binding import Binding
from workers.pipeline import PipelineResult
from workers.preemption import PreemptibleRun


def update_cost_model(
    binding: Binding, made: PipelineResult, run_ms: float, preemptible: PreemptibleRun | None = None
) -> None:
    """Let the costs that a run was bound by take it in, as a whole and by its stages.

    Time for which it was set aside is not its own; what was finished narrower than it was begun,
    or interrupted, tells nothing of any width, nor does what was not run at all.
    """
    option, costs = binding.decision.option, binding.costs
    in_stages_ms = sum(made.stages_ms[stage] for stage in ("decode", "network", "encode"))
    costs.observe_handling(max(0.0, run_ms - made.away_ms - in_stages_ms))
    stages = {
        DECODE: made.stages_ms["decode"],
        encode_stage(binding.work.output_format): made.stages_ms["encode"],
    }
    if not made.untouched and (preemptible is None or preemptible.straight):
        costs.observe_run(option.expected_ms, run_ms - made.away_ms)
        stages[stage_of(option.rung)] = made.stages_ms["network"]
    for stage, milliseconds in stages.items():
        costs.observe(stage, binding.work, milliseconds)
