"""Answer of GET /estimate."""

from __future__ import annotations

from pydantic import BaseModel, Field

from scheduling.options import Option
from service.admission import Assessment


class RungAnswer(BaseModel):
    """One option for a picture. Times are milliseconds."""

    model: str = Field(description="`lanczos` for plain resampling.", examples=["anysr-m"])
    width: float = Field(description="0 for plain resampling.", examples=[0.5])
    expected_ms: float = Field(description="Predicted, from the claim to the encoded picture.")
    safe_ms: float = Field(description="Time that forty-nine of fifty such runs stay below.")
    budget_ms: int = Field(
        description="Smallest budget with which an idle service can choose it: `safe_ms`, the "
        "overhead of gateway and queue, and a little more."
    )
    expected_db: float | None = Field(
        description="Measured mean PSNR-Y over photographs at this width, scale and strength, in "
        "dB; null where it is not known, as for plain resampling."
    )


class EstimateAnswer(BaseModel):
    """Options and budgets for a picture. Times are milliseconds."""

    rungs: list[RungAnswer] = Field(
        description="The options, cheapest first, each better than all before it."
    )
    wait_ms: float = Field(
        description="Time until its run would begin if it were sent now with the default budget."
    )
    smallest_budget_ms: int = Field(
        description="The smallest budget that an idle service could meet."
    )
    default_budget_ms: float = Field(
        description="The budget that `POST /upscale` would use now if the request names none."
    )
    output_width: int
    output_height: int


def estimate_answer(assessment: Assessment) -> EstimateAnswer:
    """Return the answer for an assessment."""
    job = assessment.job
    return EstimateAnswer(
        rungs=[_rung(option, assessment.budget_for(option)) for option in assessment.options],
        wait_ms=round(assessment.wait_ms, 2),
        smallest_budget_ms=assessment.smallest_budget_ms,
        default_budget_ms=job.budget_ms,
        output_width=job.output_width,
        output_height=job.output_height,
    )


def _rung(option: Option, budget_ms: int) -> RungAnswer:
    return RungAnswer(
        model=option.rung.model,
        width=option.rung.width,
        expected_ms=round(option.expected_ms, 2),
        safe_ms=round(option.safe_ms, 2),
        budget_ms=budget_ms,
        expected_db=option.db,
    )
