"""The kinds of panel of the dashboards."""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
HEIGHT = 8
HALF, THIRD, QUARTER = 12, 8, 6
"""Widths of panels; a row has 24."""

Panel = timeseries.Panel | stat.Panel | heatmap.Panel


@dataclass(frozen=True)
class Query:
    """A PromQL expression, and the names of its series."""

    expr: str
    legend: str = ""
    exemplars: bool = False
    """Whether the traces behind a histogram are shown as points."""


def lines(
    title: str,
    unit: str,
    *queries: Query,
    about: str,
    span: int = HALF,
    stacked: bool = False,
    limits: tuple[float, ...] = (),
) -> timeseries.Panel:
    """Return a panel of lines over time, with `limits` drawn across."""
    panel = timeseries.Panel().title(title).description(about).unit(unit).datasource(SOURCE)
    panel = panel.span(span).height(HEIGHT).line_width(1).fill_opacity(30 if stacked else 5)
    panel = panel.legend(
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(common_models.LegendDisplayMode.TABLE)
        .placement(common_models.LegendPlacement.BOTTOM)
        .calcs(["lastNotNull", "max"])
    )
    if stacked:
        mode = common_models.StackingMode.NORMAL
        panel = panel.stacking(common.StackingConfig().mode(mode).group("A"))
    if limits:
        panel = panel.thresholds(_steps(limits)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.LINE)
        )
    for number, query in enumerate(queries):
        panel = panel.with_target(_target(query, number))
    return panel


def number(
    title: str, unit: str, query: Query, about: str, limits: tuple[float, ...] = ()
) -> stat.Panel:
    """Return a panel of one number, coloured by the number of limits that it exceeds."""
    panel = stat.Panel().title(title).description(about).unit(unit).datasource(SOURCE)
    panel = panel.span(QUARTER).height(HEIGHT // 2).thresholds(_steps(limits))
    return panel.with_target(_target(query, 0))


def spread(title: str, unit: str, query: Query, about: str, span: int = HALF) -> heatmap.Panel:
    """Return a heat map of a histogram's buckets over time."""
    panel = heatmap.Panel().title(title).description(about).datasource(SOURCE)
    panel = panel.span(span).height(HEIGHT).unit(unit).calculate(False)
    return panel.with_target(_target(query, 0).format(PromQueryFormat.HEATMAP))


def board(uid: str, title: str, about: str, *panels: Panel) -> dashboard.Dashboard:
    """Return a dashboard; its panels flow from left to right."""
    made = dashboard.Dashboard(title).uid(uid).description(about).tags(["anysr"])
    made = made.readonly().refresh("10s").time("now-1h", "now").timezone("browser")
    made = made.tooltip(models.DashboardCursorSync.CROSSHAIR)
    made = made.with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
    link = dashboard.DashboardLink("AnySR").type(models.DashboardLinkType.DASHBOARDS)
    made = made.link(link.tags(["anysr"]).as_dropdown(False).keep_time(True))
    for panel in panels:
        made = made.with_panel(panel)
    return made


def _target(query: Query, number: int) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expr).ref_id(chr(ord("A") + number)).range()
    return target.legend_format(query.legend).exemplar(query.exemplars)


def _steps(limits: tuple[float, ...]) -> dashboard.ThresholdsConfig:
    colours = ("green", "orange", "red")
    steps = [models.Threshold(value=None, color=colours[0])]
    steps += [models.Threshold(value=v, color=c) for v, c in zip(limits, colours[1:], strict=False)]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)
