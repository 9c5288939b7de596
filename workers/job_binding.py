"""What a job's picture, once it is decoded, changes of what was decided at the claim.

At the claim the catalog's means are all that is known. The picture itself tells what is expected of
each rung for it (`models.expectation`): that is what its caller hears, and what `min_db` is held
against.
"""

from __future__ import annotations

from dataclasses import replace

from images.picture import Picture
from jobs.errors import QualityInfeasible
from jobs.job import JobRequest
from models.expectation import Expectation, expectation_of
from scheduling.backlog import Load
from scheduling.cost_model import CostModel
from scheduling.options import options_of, scale_of
from scheduling.rungs import FLOOR
from workers.binding import Binding, bind_job
from workers.features import features_of
from workers.loaded_model import Zoo


class JobBinding:
    """A job's binding: at the claim, and then by what is seen of its picture.

    Raises what `bind_job` does.
    """

    def __init__(
        self, job: JobRequest, zoo: Zoo, costs: CostModel, slack_ms: float, load: Load
    ) -> None:
        self._job = job
        self._zoo = zoo
        self._costs = costs
        self._slack_ms = slack_ms
        self._load = load
        self.expectation: Expectation | None = None
        """None before the picture was seen."""
        self.binding = self._bound()

    def look(self, picture: Picture) -> bool:
        """Take in a picture, and return whether it will be made in another way than was decided at
        the claim. That is so only where its caller insists on a quality: then it is made as if it
        had been known there. Takes one or two milliseconds.

        Raises QualityInfeasible where no network is expected to reach that quality, and
        DeadlineExceeded as `bind_job` does.
        """
        job, rung = self._job, self.binding.decision.option.rung
        self.expectation = expectation_of(features_of(picture), scale_of(job), job.strength)
        if job.min_db is None:
            self.binding = self._told(self.expectation)
            return False
        self._require(job.min_db)
        self.binding = self._bound()
        return self.binding.decision.option.rung != rung

    def range(self, db: float | None) -> tuple[float, float] | None:
        """Return between what two values four of five pictures come out of which `db` is
        expected; None before the picture was seen."""
        return None if self.expectation is None else self.expectation.range(db)

    def _bound(self) -> Binding:
        seen = self.expectation
        return bind_job(self._job, self._zoo, self._costs, self._slack_ms, self._load, seen)

    def _told(self, expectation: Expectation) -> Binding:
        """Return the binding with what is expected of this picture."""
        decision = self.binding.decision
        rung = decision.option.rung
        if rung == FLOOR:
            db: float | None = expectation.resampled_db
        else:
            db = expectation.db(self._zoo[rung.model].as_run, rung.width)
        option = replace(decision.option, db=db)
        return replace(self.binding, decision=replace(decision, option=option))

    def _require(self, min_db: float) -> None:
        """Raise QualityInfeasible where nothing that the job may run on is expected to reach so
        much."""
        models = {name: served.as_run for name, served in self._zoo.items()}
        job = replace(self._job, min_db=0.0)
        options = options_of(job, models, self.binding.costs, self.expectation)
        most = max((option.db for option in options if option.db is not None), default=0.0)
        if most < min_db:
            raise QualityInfeasible(
                f"No network is expected to reach {min_db:g} dB for this picture, "
                f"but {most:g} dB at most.",
                largest_feasible_db=most,
            )
