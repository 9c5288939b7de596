"""What callers ask of the service: drawn from a seed, one after the other."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from jobs.formats import WRITTEN
from models.catalog import SHIPPED, Catalog, read_catalog


class Way(StrEnum):
    """How something is asked, and how the caller learns what became of it."""

    BODY = "answer to a body"
    FORM = "answer to a form"
    AGAIN = "the same twice, for the cache"
    REPEAT = "job submitted twice with one key"
    LEAVE = "caller leaves"
    POLL = "job, polled"
    EVENTS = "job, by its events"
    CANCEL = "job, withdrawn"
    WEBHOOK = "job with a webhook"
    DELIVERY = "job whose picture is put to a URL"
    ADDRESS = "picture by its address"
    INFERENCE = "inference, version 2"
    BATCH = "batch"
    WITHDRAWN_BATCH = "batch, withdrawn"
    DAMAGED = "damaged picture"
    PAGES = "pages, metrics and estimates"


WEIGHTS = {
    Way.BODY: 12,
    Way.FORM: 6,
    Way.AGAIN: 4,
    Way.REPEAT: 3,
    Way.LEAVE: 6,
    Way.POLL: 6,
    Way.EVENTS: 6,
    Way.CANCEL: 6,
    Way.WEBHOOK: 6,
    Way.DELIVERY: 4,
    Way.ADDRESS: 5,
    Way.INFERENCE: 5,
    Way.BATCH: 2,
    Way.WITHDRAWN_BATCH: 1,
    Way.DAMAGED: 4,
    Way.PAGES: 6,
}
LAYOUTS = (
    *(("jpeg", "RGB"), ("jpeg", "RGB"), ("jpeg", "L"), ("png", "RGB"), ("png", "RGBA")),
    *(("png", "P"), ("png", "I;16"), ("webp", "RGB"), ("webp", "RGBA"), ("avif", "RGB")),
    *(("tiff", "RGB"), ("gif", "P"), ("bmp", "RGB")),
)
"""Formats of the sources with Pillow's name of the samples."""
ON_DEMAND = (
    *("anysr-edsr-liif", "anysr-edsr-metasr", "anysr-edsr-srno", "defian-s-x2", "defian-s-x3"),
    *("fpen-pica-liif", "gidrn-x2"),
)
"""Models that are loaded with their first request."""
SMALLEST, LARGEST = 24, 512
"""Pixels of a side."""
LARGEST_ON_DEMAND = 80
"""The same of a model on demand, which takes many times as long."""
HUGE = (1200, 1800)
HUGE_PART = 0.02
LEAST_SCALE, MOST_SCALE = 1.1, 4.0
LONGEST_PATIENCE_S = 1.0
"""Before a job is withdrawn, or its caller leaves."""
SOURCES = (3, 10)
"""Pictures of a batch."""

Parameters = dict[str, str]


@dataclass(frozen=True)
class Drawing:
    """A picture to draw."""

    format: str
    mode: str
    """Pillow's name of its samples."""
    width: int
    height: int
    seed: int


@dataclass(frozen=True)
class Ask:
    """One request, or what belongs together."""

    number: int
    way: Way
    drawings: tuple[Drawing, ...]
    """One, or those of a batch."""
    scale: float
    parameters: Parameters
    patience_s: float

    @property
    def drawing(self) -> Drawing:
        """The only picture, or the first."""
        return self.drawings[0]


def asks(seed: int) -> Iterator[Ask]:
    """Yield what is asked, without end."""
    drawn, catalog = random.Random(seed), read_catalog(SHIPPED)
    ways, weights = list(WEIGHTS), list(WEIGHTS.values())
    number = 0
    while True:
        yield _ask(drawn, number, drawn.choices(ways, weights)[0], catalog)
        number += 1


def _ask(drawn: random.Random, number: int, way: Way, catalog: Catalog) -> Ask:
    model = _model(drawn, catalog)
    most = MOST_SCALE if model is None else min(MOST_SCALE, catalog.get(model).max_scale)
    scale = round(drawn.uniform(LEAST_SCALE, most), 2)
    largest = LARGEST_ON_DEMAND if model in ON_DEMAND else LARGEST
    count = drawn.randint(*SOURCES) if way in (Way.BATCH, Way.WITHDRAWN_BATCH) else 1
    drawings = [_drawing(drawn, largest) for _ in range(count)]
    if model is None and count == 1 and drawn.random() < HUGE_PART:
        side = drawn.randint(*HUGE)
        drawings, scale = [Drawing("jpeg", "RGB", side, side, number)], 1.5
    parameters = {"scale": f"{scale:g}", **_wishes(drawn)}
    if model is not None:
        parameters["model"] = model
    patience_s = drawn.uniform(0.0, LONGEST_PATIENCE_S)
    return Ask(number, way, tuple(drawings), scale, parameters, patience_s)


def _model(drawn: random.Random, catalog: Catalog) -> str | None:
    """Return a name; None where the service chooses."""
    part = drawn.random()
    if part < 0.6:
        return None
    if part < 0.8:
        return drawn.choice([entry.name for entry in catalog.models if entry.in_ladder])
    return drawn.choice(ON_DEMAND)


def _drawing(drawn: random.Random, largest: int) -> Drawing:
    """Draw sides whose logarithms are evenly spread, so that most pictures are small."""
    image_format, mode = drawn.choice(LAYOUTS)
    width, height = (
        round(SMALLEST * (largest / SMALLEST) ** drawn.random()) for _ in ("width", "height")
    )
    return Drawing(image_format, mode, width, height, drawn.getrandbits(32))


def _wishes(drawn: random.Random) -> Parameters:
    wishes: Parameters = {}
    if drawn.random() < 0.6:
        wishes["format"] = drawn.choice([image_format.value for image_format in WRITTEN])
    if drawn.random() < 0.6:
        wishes["latency_budget_ms"] = str(drawn.choice((2_000, 10_000, 60_000)))
    if drawn.random() < 0.2:
        wishes["metadata"] = drawn.choice(("keep", "copyright", "none"))
    return wishes
