"""Planning: builds the job for the queue from a request and its picture's header."""

from __future__ import annotations

from typing import NamedTuple

from images.header import ImageHeader
from images.limits import Limits, fitting_size
from images.memory import check_memory
from jobs.errors import InvalidRequest, ModelNotTrained, OutputTooLarge, UnknownModel, UnknownWidth
from jobs.formats import WRITTEN, ImageFormat
from jobs.job import JobRequest
from models.catalog import Catalog, ModelEntry
from models.geometry import output_size
from models.strength import strength_of_quality
from scheduling.request import AUTO, UpscaleRequest, shown


class Budgets(NamedTuple):
    """Latency budgets in milliseconds."""

    default_ms: float
    """Budget of a request that names none."""
    largest_ms: float


def build_job(
    job_id: str,
    wanted: UpscaleRequest,
    header: ImageHeader,
    catalog: Catalog,
    limits: Limits,
    budgets: Budgets,
    traceparent: str | None = None,
    source_bytes: int | None = None,
) -> JobRequest:
    """Return the job without its costs, which admission adds. Without a model and a pinned width,
    the service chooses among all models. `traceparent` is that of the request's trace,
    `source_bytes` the size of the picture's file; None where there is none.

    Raises UnknownModel, ModelNotTrained, UnknownWidth, InvalidRequest (a scale or budget out of
    range), OutputTooLarge and ImageTooLarge.
    """
    model = chosen_model(wanted, catalog)
    free = wanted.model is None and wanted.anysr_width is None
    width, height = output_pixels(wanted, header.width, header.height, model)
    output_format = output_format_of(wanted, header)
    _check_output(header, width, height, output_format, limits.output_pixels)
    lossless = _lossless(wanted, header, output_format)
    check_memory(header, width, height, output_format, limits.job_bytes, lossless=lossless)
    return JobRequest(
        id=job_id,
        source_width=header.width,
        source_height=header.height,
        output_width=width,
        output_height=height,
        output_format=output_format,
        quality=wanted.quality if output_format.lossy else None,
        metadata=wanted.metadata,
        lossless=lossless,
        frame=wanted.frame,
        background=wanted.background,
        model=None if free else model.name,
        pinned_width=pinned_width(wanted, model),
        on_miss=wanted.on_miss,
        budget_ms=_budget(wanted, budgets),
        min_db=wanted.min_db,
        min_width=wanted.min_width,
        strength=strength_of(wanted, header),
        source_format=header.format,
        source_bytes=source_bytes,
        traceparent=traceparent,
    )


def output_format_of(wanted: UpscaleRequest, header: ImageHeader) -> ImageFormat:
    """Return the requested format, or the picture's own (`ImageFormat.own_output`). `auto` is the
    gateway's to resolve, by the caller's Accept header; where there is none, it is the picture's
    own as well."""
    return header.format.own_output if wanted.format in (None, AUTO) else wanted.format


def _lossless(wanted: UpscaleRequest, header: ImageHeader, output_format: ImageFormat) -> bool:
    """Return whether the output is to be stored without loss, in a format with and without it.

    Raises InvalidRequest where that is asked of a format that cannot.
    """
    if wanted.lossless and not output_format.can_lossless:
        able = " or ".join(f.value for f in WRITTEN if f.can_lossless)
        raise InvalidRequest(
            f"{output_format.label} has no lossless form; leave out lossless, or ask for the "
            f"format {able}."
        )
    if not output_format.facts.can_lossless or wanted.lossless is not None:
        return bool(wanted.lossless) and output_format.facts.can_lossless
    stays = header.format is output_format and header.jpeg_quality is None
    return stays and wanted.quality is None


def strength_of(wanted: UpscaleRequest, header: ImageHeader) -> float:
    """Return the strength for a picture, 0 to 1: the caller's, or that of the compression in its
    header, rounded to two decimals."""
    if wanted.strength is not None:
        return wanted.strength
    quality = header.jpeg_quality
    return 0.0 if quality is None else round(strength_of_quality(quality), 2)


def chosen_model(wanted: UpscaleRequest, catalog: Catalog) -> ModelEntry:
    """Return the requested model, or the catalog's default. The default stands for all models where
    the request names none: for the limits on scales, and for the meaning of a pinned width.

    Raises UnknownModel if there is none of this name, and ModelNotTrained for a network without
    weights.
    """
    name = wanted.model if wanted.model is not None else catalog.default
    if name in catalog.untrained:
        raise ModelNotTrained(
            f"The network {name} is known, but has no weights here. Train it (anysr train --network"
            f" {name}), export it into the model folder and reload; GET /models lists what has."
        )
    try:
        return catalog.get(name)
    except KeyError:
        raise UnknownModel(
            f"There is no model {shown(name)}; there are {', '.join(catalog.names)}."
        ) from None


def pinned_width(wanted: UpscaleRequest, model: ModelEntry) -> float | None:
    """Return the catalog's value of the pinned width; None where none is pinned.

    Raises UnknownWidth if the model does not have it.
    """
    if wanted.anysr_width is None:
        return None
    try:
        return model.at(wanted.anysr_width).width
    except KeyError:
        widths = ", ".join(f"{entry.width:g}" for entry in model.widths)
        raise UnknownWidth(
            f"{model.name} has no width {wanted.anysr_width:g}; it has {widths}."
        ) from None


def output_pixels(
    wanted: UpscaleRequest, width: int, height: int, model: ModelEntry
) -> tuple[int, int]:
    """Return (width, height) in pixels of the output of a `width` x `height` picture.

    Raises InvalidRequest for a scale that the model does not offer, and for a smaller output.
    """
    scale_w, scale_h = _scales(wanted, width, height)
    for scale in (scale_w, scale_h):
        _check_scale(scale, model)
    out_width = wanted.width or output_size(width, scale_w)
    out_height = wanted.height or output_size(height, scale_h)
    if out_width < width or out_height < height:
        raise InvalidRequest(
            f"The output would be {out_width} x {out_height}, smaller than the input's "
            f"{width} x {height}; ask for at least the input's size."
        )
    return out_width, out_height


def _check_output(
    header: ImageHeader, width: int, height: int, output_format: ImageFormat, max_pixels: int
) -> None:
    if width * height > max_pixels:
        fitting = fitting_size(width, height, max_pixels)
        enlarges = fitting[0] >= header.width and fitting[1] >= header.height
        remedy = "Ask for at most {} x {}." if enlarges else "Send a smaller image."
        raise OutputTooLarge(
            f"The output would be {width} x {height} pixels; at most {max_pixels} in all are "
            f"made. {remedy.format(*fitting)}",
            max_pixels=max_pixels,
        )
    longest, limit = max(width, height), output_format.max_side
    if longest > limit:
        formats = " or ".join(f.value for f in WRITTEN if f.max_side >= longest)
        raise OutputTooLarge(
            f"The output would be {width} x {height} pixels; {output_format.value} holds at most "
            f"{limit} a side. Ask for a smaller scale, or for the format {formats}.",
            max_side=limit,
        )


def _scales(wanted: UpscaleRequest, width: int, height: int) -> tuple[float, float]:
    if wanted.scale is not None:
        return wanted.scale, wanted.scale
    if wanted.scale_w is not None and wanted.scale_h is not None:
        return wanted.scale_w, wanted.scale_h
    by_width = wanted.width / width if wanted.width else None
    by_height = wanted.height / height if wanted.height else None
    scale_w, scale_h = by_width or by_height, by_height or by_width
    if scale_w is None or scale_h is None:
        raise InvalidRequest("give scale, scale_h + scale_w, or width and/or height.")
    return scale_w, scale_h


def _check_scale(scale: float, model: ModelEntry) -> None:
    if not model.min_scale <= scale <= model.max_scale:
        raise InvalidRequest(
            f"The scale must be from {model.min_scale:g} to {model.max_scale:g} on each axis "
            f"for {model.name}; this request asks for {scale:.6g}."
        )


def _budget(wanted: UpscaleRequest, budgets: Budgets) -> float:
    if wanted.latency_budget_ms is None:
        return min(*budgets)
    if wanted.latency_budget_ms > budgets.largest_ms:
        raise InvalidRequest(
            f"latency_budget_ms may be at most {budgets.largest_ms:g}, "
            f"got {wanted.latency_budget_ms:g}."
        )
    return wanted.latency_budget_ms
