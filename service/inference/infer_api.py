"""POST /v2/models/{name}/infer: a picture within a latency budget, by the protocol."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.default_budgets import upscale_default
from service.finished_picture import finished_picture, picture_sent
from service.gateway import Gateway, GatewayDep
from service.idempotency import REPLAYED_HEADERS, Asked, idempotency_key
from service.inference.answer import answer_body, answer_bytes, inference_response, parameters_of
from service.inference.error_form import PREFIX
from service.inference.model_name import VERSIONED, ModelDep, ModelName
from service.inference.openapi import infer_answers, infer_request
from service.inference.upload import AnswerForm, read_inference
from service.negotiation import format_of_result
from service.picture_response import picture_headers
from service.result_cache.requests import cache_headers
from service.submission import Accepted, admit

router = APIRouter(prefix=f"{PREFIX}/models/{{name}}", tags=["inference"])

SUMMARY = "Upscale a picture by the Open Inference Protocol"


@router.post(
    "/versions/{version}/infer",
    summary=SUMMARY,
    name="infer_version",
    dependencies=VERSIONED,
    response_class=Response,
    responses=infer_answers(),
    openapi_extra=infer_request(),
)
@router.post(
    "/infer",
    summary=SUMMARY,
    response_class=Response,
    responses=infer_answers(),
    openapi_extra=infer_request(),
)
async def infer(request: Request, gateway: GatewayDep, model: ModelDep) -> Response:
    """Send a picture as the input `image`, or its samples as `pixels`, with the parameters of
    `POST /upscale`; the output `image` is the best picture that fits the budget. A caller that
    disconnects cancels its job, except with an Idempotency-Key."""
    form, accepted = await _accepted(request, gateway, model)
    finished = await finished_picture(request, gateway, accepted)
    try:
        parameters = parameters_of(finished.view, finished.elapsed_ms)
        picture, share = finished.picture, finished.share
        share.settle(len(picture) + answer_bytes(len(picture), form))
        body, json_bytes = await answer_body(picture, model, form, parameters)
        share.settle(len(body))
    except BaseException:
        finished.share.release()
        raise
    headers = picture_headers(finished.view, finished.elapsed_ms, accepted.upload_ms)
    headers |= cache_headers(accepted.sought, accepted.hit)
    headers |= REPLAYED_HEADERS if accepted.asked is Asked.AGAIN else {}
    sent = partial(picture_sent, gateway, finished, accepted)
    return inference_response(body, json_bytes, headers, sent, share.release)


async def _accepted(
    request: Request, gateway: Gateway, model: ModelName
) -> tuple[AnswerForm, Accepted]:
    """Return what a request says of its answer, and its job; only the queue holds its picture."""
    key = idempotency_key(request.headers)
    default = upscale_default(gateway.settings)
    request.state.span.enter("upload")
    async with gateway.uploads.held(request) as body:
        asked = await read_inference(request, body, model.chosen)
        # The Accept header also has the type of the answer, so only its image types count.
        accepted = await admit(request, gateway, asked.upload, key, default, format_of_result)
        return asked.form, accepted
