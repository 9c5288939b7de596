"""Updates of the cost model by the measured times of a run."""

from __future__ import annotations

from scheduling.cost_model import DECODE, encode_stage, stage_of
from workers.execution import Execution
from workers.preemption import Overrun


def update_by_overrun(execution: Execution, overrun: Overrun) -> None:
    """Update the costs that a run was bound by with the times after which it was interrupted.

    They are lower bounds above what was predicted. Without them, only runs that end in time would
    be counted, and costs would be underestimated.
    """
    binding = execution.bound.binding
    option, costs = binding.decision.option, binding.costs
    costs.observe_run(option.expected_ms, overrun.run_ms)
    costs.observe(stage_of(option.rung), binding.work, overrun.network_ms)


def update_cost_model(execution: Execution, run_ms: float, uniform: bool = True) -> None:
    """Update the costs that a run was bound by with its measured times, in total and by stage.

    Time during which the run was suspended does not count. A run that was not `uniform`, because
    its width changed or a tile was interrupted, says nothing about any width's cost; neither does
    one whose picture was returned unchanged.
    """
    binding, result = execution.bound.binding, execution.result
    option, costs = binding.decision.option, binding.costs
    in_stages_ms = sum(result.stages_ms.values())
    costs.observe_handling(max(0.0, run_ms - result.suspended_ms - in_stages_ms))
    stages = {
        DECODE: result.stages_ms["decode"],
        encode_stage(binding.work.output_format): result.stages_ms["encode"],
    }
    if uniform and not result.untouched:
        costs.observe_run(option.expected_ms, run_ms - result.suspended_ms)
        stages[stage_of(option.rung)] = result.stages_ms["network"]
    for stage, milliseconds in stages.items():
        costs.observe(stage, binding.work, milliseconds)
