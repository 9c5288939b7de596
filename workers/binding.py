"""A job's binding to a rung: chosen by the catalog at the claim, then by its decoded picture.

At the claim only the catalog's mean quality of each rung is known. The decoded picture gives an
expectation of its own (`models.expectation`), which is reported to the caller and compared with
`min_db`.
"""

from __future__ import annotations

from dataclasses import replace

from images.picture import Picture
from jobs.errors import QualityInfeasible
from jobs.job import JobRequest
from models.expectation import Expectation, expectation_of
from scheduling.cost_model import CostModel
from scheduling.load import Load
from scheduling.options import Option, options_of, scale_of
from scheduling.rungs import FLOOR
from workers.features import features_of
from workers.loaded_model import ModelsByName
from workers.rung_choice import RungChoice, choose_rung
from workers.upscale import Engine


class Binding:
    """A job, bound at once, and again by `refine`. Raises as `choose_rung` does."""

    def __init__(
        self, job: JobRequest, models: ModelsByName, costs: CostModel, slack_ms: float, load: Load
    ) -> None:
        self._job = job
        self._models = models
        self._costs = costs
        self._slack_ms = slack_ms
        self._load = load
        self.expectation: Expectation | None = None
        """None before `refine`."""
        self.choice = self._chosen()

    @property
    def option(self) -> Option:
        """The chosen way to make the picture."""
        return self.choice.decision.option

    @property
    def engine(self) -> Engine | None:
        """The engine of that option, None for plain resampling."""
        return self.choice.engine

    def refine(self, picture: Picture) -> None:
        """Update the expected quality by the decoded picture. Takes one or two milliseconds.

        For a job with `min_db` the option is chosen again, as if this expectation had been known
        at the claim. Raises QualityInfeasible where no network is expected to reach `min_db`, and
        DeadlineExceeded as `choose_rung` does.
        """
        job = self._job
        self.expectation = expectation_of(features_of(picture), scale_of(job), job.strength)
        if job.min_db is None:
            self.choice = self._with_quality(self.expectation)
        else:
            self._require(job.min_db)
            self.choice = self._chosen()

    def expected_range(self, db: float | None) -> tuple[float, float] | None:
        """Return the interval that contains four of five pictures whose expected quality is `db`;
        None before `refine`."""
        return None if self.expectation is None else self.expectation.range(db)

    def _chosen(self) -> RungChoice:
        return choose_rung(
            self._job, self._models, self._costs, self._slack_ms, self._load, self.expectation
        )

    def _with_quality(self, expectation: Expectation) -> RungChoice:
        """Return the same choice with the quality that is expected of this picture."""
        decision = self.choice.decision
        rung = decision.option.rung
        if rung == FLOOR:
            db: float | None = expectation.resampled_db
        else:
            db = expectation.db(self._models[rung.model].as_run, rung.width)
        option = replace(decision.option, db=db)
        return replace(self.choice, decision=replace(decision, option=option))

    def _require(self, min_db: float) -> None:
        """Raise QualityInfeasible where none of the job's options is expected to reach `min_db`."""
        models = {name: served.as_run for name, served in self._models.items()}
        job = replace(self._job, min_db=0.0)
        options = options_of(job, models, self.choice.costs, self.expectation)
        most = max((option.db for option in options if option.db is not None), default=0.0)
        if most < min_db:
            raise QualityInfeasible(
                f"No network is expected to reach {min_db:g} dB for this picture, "
                f"but {most:g} dB at most.",
                largest_feasible_db=most,
            )
