"""What a run teaches the cost model of the worker that made it."""

from __future__ import annotations

from scheduling.cost_model import DECODE, CostModel, encode_stage, stage_of
from workers.binding import Binding
from workers.making import Made


def learn(costs: CostModel, binding: Binding, made: Made, run_ms: float) -> None:
    """Take in a finished run, as a whole and by its stages."""
    option = binding.decision.option
    costs.observe_run(option.expected_ms, run_ms)
    stages = {
        DECODE: made.stages_ms["decode"],
        stage_of(option.rung): made.stages_ms["network"],
        encode_stage(binding.work.output_format): made.stages_ms["encode"],
    }
    for stage, milliseconds in stages.items():
        costs.observe(stage, binding.work, milliseconds)
