"""Updates of the cost model by the measured times of a run."""

from __future__ import annotations

from scheduling.stages import DECODE, encode_stage, stage_of
from workers.execution import Execution
from workers.preemption import Overrun


def update_by_overrun(execution: Execution, overrun: Overrun) -> None:
    """Update the costs that a run was bound by with the times after which it was interrupted.

    They are lower bounds above what was predicted. Without them, only runs that end in time would
    be counted, and costs would be underestimated.
    """
    choice = execution.bound.choice
    option, costs = choice.decision.option, choice.costs
    costs.observe_run(option.expected_ms, overrun.run_ms)
    costs.observe(stage_of(option.rung), choice.work, overrun.network_ms)


def update_cost_model(execution: Execution, run_ms: float, uniform: bool = True) -> None:
    """Update the costs that a run was bound by with its measured times, in total and by stage.

    Time during which the run was suspended does not count. A run that was not `uniform`, because
    its width changed or a tile was interrupted, says nothing about any width's cost; neither does
    one whose picture was returned unchanged.
    """
    choice, result = execution.bound.choice, execution.result
    option, costs = choice.decision.option, choice.costs
    in_stages_ms = sum(result.stages_ms[stage] for stage in ("decode", "network", "encode"))
    costs.observe_handling(max(0.0, run_ms - result.suspended_ms - in_stages_ms))
    stages = {
        DECODE: result.stages_ms["decode"],
        encode_stage(choice.work.output_format): result.stages_ms["encode"],
    }
    if uniform and not result.untouched:
        costs.observe_run(option.expected_ms, run_ms - result.suspended_ms)
        stages[stage_of(option.rung)] = result.stages_ms["network"]
    for stage, milliseconds in stages.items():
        costs.observe(stage, choice.work, milliseconds)
