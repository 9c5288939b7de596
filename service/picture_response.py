"""Response with a picture, and its headers: what was promised and how the job ran."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus

from starlette.responses import Response

from jobs.job import JobRequest, JobView, Reason, RunFacts
from service.sliced_response import SlicedResponse

BUDGET_HEADER = "X-AnySR-Budget-Ms"

PICTURE_HEADERS: Mapping[str, str] = {
    "X-Request-ID": "The job's id.",
    "X-AnySR-Model": "The model that ran; `lanczos` for plain resampling.",
    "X-AnySR-Width": "The network width that ran; `0` for plain resampling.",
    "X-AnySR-Scale": "`2.37`, or `2x3` (height x width) where they differ.",
    BUDGET_HEADER: "The latency budget of the request, or the default one for this picture.",
    "X-AnySR-Predicted-Ms": "Time of the run, predicted when a worker claimed the job.",
    "X-AnySR-Elapsed-Ms": "Time from the end of the upload to the finished answer.",
    "X-AnySR-Deadline": "`met` or `missed`.",
    "X-AnySR-Expected-Db": "Expected PSNR-Y of this picture in dB, where known.",
    "X-AnySR-Expected-Db-Range": "`31.9-34.8`: interval that holds four of five such pictures.",
    "X-AnySR-Strength": "How much compression damage was cleaned up, from `0` to `1`.",
    "X-AnySR-Colours": "`converted` where the output could not state the colours of the input.",
    "X-AnySR-Reason": "Reason for the width: " + ", ".join(f"`{r}`" for r in Reason) + ".",
    "X-AnySR-Cache": "`hit` for a picture that was made before, `miss` for one made now; absent "
    "where no results are kept.",
    "Age": "Seconds since a cached picture was made.",
    "Server-Timing": "`upload`, `queue`, `decode`, `network`, `encode`, `total` in ms.",
}
STAGES = ("queue", "decode", "load", "network", "yielded", "encode")


def picture_response(
    view: JobView,
    picture: bytes,
    elapsed_ms: float,
    upload_ms: float | None = None,
    *,
    on_sent: Callable[[], None] = lambda: None,
    on_end: Callable[[], None] = lambda: None,
) -> Response:
    """Return the response for a job that succeeded. `on_sent` is called once the caller has taken
    all of it, `on_end` at its end in any case."""
    headers = picture_headers(view, elapsed_ms, upload_ms)
    media_type = view.job.output_format.media_type
    return SlicedResponse(picture, headers, media_type, on_sent, on_end)


def picture_elsewhere(view: JobView, url: str) -> Response:
    """Return the response that leads to the picture of a job that succeeded. Nobody on the way may
    keep the URL, which is as good as the picture."""
    headers = picture_headers(view, view.elapsed_ms) | {"Location": url}
    return Response(status_code=HTTPStatus.SEE_OTHER, headers=headers)


def picture_headers(
    view: JobView, elapsed_ms: float, upload_ms: float | None = None
) -> dict[str, str]:
    """Return the headers of the answer with a job's picture."""
    headers = {
        "X-Request-ID": view.job.id,
        "X-AnySR-Scale": scale_text(view.job),
        BUDGET_HEADER: budget_text(view.job),
        "X-AnySR-Elapsed-Ms": f"{elapsed_ms:.1f}",
        "X-AnySR-Deadline": deadline_text(view.job, elapsed_ms),
        "Cache-Control": "no-store",
    }
    if view.facts is not None:
        headers |= _run_headers(view.facts, elapsed_ms, upload_ms)
    return headers


def scale_text(job: JobRequest) -> str:
    """Return `2.37`, or `2x3` (height x width) where they differ in two decimals."""
    rows, columns = f"{round(job.scale_h, 2):g}", f"{round(job.scale_w, 2):g}"
    return rows if rows == columns else f"{rows}x{columns}"


def budget_text(job: JobRequest) -> str:
    """Return the budget in ms, with one decimal."""
    return f"{job.budget_ms:.1f}"


def deadline_text(job: JobRequest, elapsed_ms: float) -> str:
    """Return `met` or `missed`."""
    return "missed" if job.is_late(elapsed_ms) else "met"


def _run_headers(facts: RunFacts, elapsed_ms: float, upload_ms: float | None) -> dict[str, str]:
    headers = {
        "X-AnySR-Model": facts.model,
        "X-AnySR-Width": f"{facts.width:g}",
        "X-AnySR-Predicted-Ms": f"{facts.predicted_ms:.1f}",
        "X-AnySR-Strength": f"{facts.strength:g}",
        "X-AnySR-Reason": facts.reason.value,
        "Server-Timing": _server_timing(facts, elapsed_ms, upload_ms),
    }
    if facts.expected_db is not None:
        headers["X-AnySR-Expected-Db"] = f"{facts.expected_db:.2f}"
    if facts.expected_db_range is not None:
        least, most = facts.expected_db_range
        headers["X-AnySR-Expected-Db-Range"] = f"{least:.1f}-{most:.1f}"
    if facts.converted:
        headers["X-AnySR-Colours"] = "converted"
    return headers


def _server_timing(facts: RunFacts, elapsed_ms: float, upload_ms: float | None) -> str:
    spans = {name: facts.stages_ms[name] for name in STAGES if name in facts.stages_ms}
    if upload_ms is not None:
        spans = {"upload": upload_ms} | spans
    spans["total"] = elapsed_ms
    return ", ".join(f"{name};dur={ms:.1f}" for name, ms in spans.items())
