"""Everything that can be asked of the service, as flows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

from anysr_client.answers import Estimate, JobState, Models, Place
from anysr_client.calls import Answer, Call, Plain, Submission
from anysr_client.errors import Conflict, UnexpectedAnswer
from anysr_client.exchange import Terms, answered
from anysr_client.options import EstimateOptions, JobOptions, Options, query_of
from anysr_client.reading import read_json
from anysr_client.retries import Retries
from anysr_client.steps import Flow
from anysr_client.uploads import Picture, Uploaded, Url, text_of, upload_of
from anysr_client.upscaled import Upscaled, upscaled_of
from anysr_client.watching import job_of, state_of, watched

T = TypeVar("T")
UNFINISHED = "job_not_finished"


@dataclass(frozen=True)
class Wish:
    """A picture, and what is wanted of it."""

    picture: Picture
    options: Options | JobOptions
    terms: Terms
    key: str | None = None
    """The caller's idempotency key."""

    def query(self, kind: type) -> dict[str, str]:
        """Return the query of a request, whose options are of this kind. Raises TypeError for a
        name that is none of them."""
        place = {}
        if isinstance(self.picture, Url):
            place = {"image_url": self.picture.text}
        elif isinstance(self.picture, Uploaded):
            place = {"upload": self.picture.id}
        return query_of(self.options, kind) | place


@dataclass
class Operations:
    """What a client does; it remembers the service's largest budget."""

    retries: Retries
    _most_budget_s: float | None = field(default=None, init=False)

    def upscale(self, wish: Wish) -> Flow[Upscaled]:
        """Return the upscaled picture.

        Only a caller's own key is sent. The service ends a job without one when the connection
        breaks, and keeps no picture that it has delivered; a key would forbid both.
        """
        answer = yield from self._submitted("/upscale", Options, wish, keyed=False)
        return upscaled_of(answer.headers, answer.body)

    def submit(self, wish: Wish) -> Flow[JobState]:
        """Return the job that makes the picture."""
        answer = yield from self._submitted("/jobs", JobOptions, wish, keyed=True)
        return read_json(JobState, answer.body)

    def upload(self, picture: Picture, terms: Terms) -> Flow[Uploaded]:
        """Write a picture into the service's store. Raises TypeError for an address."""
        body = upload_of(picture)
        if body is None:
            raise TypeError("only a picture itself can be uploaded")
        wanted = text_of(json.dumps({"bytes": body.size}))
        sized = {"Content-Type": "application/json", "Content-Length": str(wanted.size)}
        call = Call("POST", "/uploads", headers=sized, upload=wanted)
        place = yield from read(Place, call, terms)
        put = Call(place.method, place.url, {}, place.headers, body, elsewhere=True)
        try:
            yield from answered(Plain(put), terms)
        except UnexpectedAnswer as error:
            # A second PUT is refused: the first one has arrived, although its answer was lost.
            if error.status != HTTPStatus.PRECONDITION_FAILED:
                raise
        return Uploaded(place.id)

    def state(self, job_id: str, terms: Terms) -> Flow[JobState]:
        """Return a job as it is now."""
        return state_of(job_of(job_id), terms)

    def watch(self, job_id: str, terms: Terms) -> Flow[JobState]:
        """Show a job until it has ended, and return it."""
        return watched(job_of(job_id), terms)

    def cancel(self, job_id: str, terms: Terms) -> Flow[JobState]:
        """Cancel a job, and return it."""
        return read(JobState, Call("DELETE", job_of(job_id).path), terms)

    def result(self, job_id: str, terms: Terms) -> Flow[Upscaled]:
        """Return a job's picture, once it has ended, from the service or from where that leads.
        Raises the error with which it did."""
        request = Plain(Call("GET", f"{job_of(job_id).path}/result", follows=True))
        try:
            answer = yield from answered(request, terms)
        except Conflict as error:
            if error.code != UNFINISHED:
                raise
            yield from watched(job_of(job_id), terms)
            answer = yield from answered(request, terms)
        return upscaled_of(answer.headers, answer.body)

    def estimate(self, options: EstimateOptions, terms: Terms) -> Flow[Estimate]:
        """Return the options for a picture that is described instead of sent."""
        call = Call("GET", "/estimate", query_of(options, EstimateOptions))
        return read(Estimate, call, terms)

    def models(self, terms: Terms) -> Flow[Models]:
        """Return the models of the service, and its limits."""
        return read(Models, Call("GET", "/models"), terms)

    def _submitted(self, path: str, kind: type, wish: Wish, *, keyed: bool) -> Flow[Answer]:
        query, budget_s = wish.query(kind), wish.options.get("budget")
        upload = upload_of(wish.picture)
        most_s = None
        if wish.terms.deadline is not None and budget_s is None and wish.key is None:
            # A deadline may be further away than any budget that the service accepts.
            most_s = yield from self._largest_budget(wish.terms)
        request = Submission(path, query, upload, budget_s, most_s, wish.key, keyed)
        return (yield from answered(request, wish.terms))

    def _largest_budget(self, terms: Terms) -> Flow[float]:
        if self._most_budget_s is None:
            found = yield from self.models(terms)
            self._most_budget_s = found.limits.max_budget_ms / 1e3
        return self._most_budget_s


def read(kind: type[T], call: Call, terms: Terms) -> Flow[T]:
    """Return the answer to a request without a picture, read as this kind."""
    answer = yield from answered(Plain(call), terms)
    return read_json(kind, answer.body)
