"""Writes the dashboards that Grafana loads: `python -m deploy.grafana.build`."""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.source.integrations import integrations
from deploy.grafana.source.overview import overview
from deploy.grafana.source.queue import queue
from deploy.grafana.source.scheduler import scheduler
from deploy.grafana.source.workers import workers

FOLDER = Path(__file__).parent / "dashboards"
BOARDS = (overview, scheduler, workers, queue, integrations)


def dashboards() -> dict[str, str]:
    """Return the JSON of each dashboard by its file name."""
    encoder = JSONEncoder(sort_keys=True, indent=2)
    built = [board().build() for board in BOARDS]
    return {f"{one.uid}.json": f"{encoder.encode(one)}\n" for one in built}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in dashboards().items():
        (FOLDER / name).write_text(text)
