"""A dashboard as data: rows of panels, each of which asks Prometheus something. `build` makes what Grafana reads."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, TooltipDisplayMode, VisibilityMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    GridPos,
    VariableRefresh,
)

WIDTH = 24
"""Columns of a page, as Grafana counts them."""
HEIGHT = 8
SHORT = 4
DATA_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")


@dataclass(frozen=True, slots=True)
class Query:
    """One question in PromQL, and what each series of its answer is called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: a line for each series, or, where `number` is true, one large number for each."""

    title: str
    queries: Sequence[Query]
    about: str
    """What to read from it, in a sentence or two; shown beside the title."""
    unit: str = "short"
    """By Grafana's names: `s`, `bytes`, `percentunit`, `ops`, ..."""
    columns: int = 8
    number: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Page:
    """One dashboard."""

    name: str
    """Of its file and in its address."""
    title: str
    rows: Sequence[Row]
    nodes_of: str = ""
    """PromQL of the series that its variable `node` lists; empty where it has no such variable."""
    jobs: bool = False
    """Whether it has the variable `job`."""


def build(page: Page) -> str:
    """The JSON of a dashboard; the same for the same page, byte by byte."""
    builder = (
        dashboard.Dashboard(page.title)
        .uid(f"campus-{page.name}")
        .tags(["campus"])
        .timezone("browser")
        .refresh("30s")
        .time("now-1h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("data source").type("prometheus"))
    )
    if page.jobs:
        builder = builder.with_variable(_variable("job", "up"))
    if page.nodes_of:
        builder = builder.with_variable(_variable("node", page.nodes_of))
    number, top = 0, 0
    for row in page.rows:
        builder = builder.with_row(dashboard.Row(row.title).id(1000 + top).grid_pos(GridPos(h=1, w=WIDTH, x=0, y=top)))
        top += 1
        left = height = 0
        for panel in row.panels:
            if left + panel.columns > WIDTH:
                top, left, height = top + height, 0, 0
            number += 1
            tall = SHORT if panel.number else HEIGHT
            place = GridPos(h=tall, w=panel.columns, x=left, y=top)
            builder = builder.with_panel(
                _numbers(panel, number, place) if panel.number else _lines(panel, number, place)
            )
            left, height = left + panel.columns, max(height, tall)
        top += height
    return JSONEncoder(sort_keys=True, indent=1).encode(builder.build()) + "\n"


def _variable(name: str, series: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(name)
        .datasource(DATA_SOURCE)
        .query(f"label_values({series}, {name})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
    )


def _lines(panel: Panel, number: int, place: GridPos) -> timeseries.Panel:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    made = (
        timeseries.Panel()
        .id(number)
        .title(panel.title)
        .description(panel.about)
        .datasource(DATA_SOURCE)
        .grid_pos(place)
        .unit(panel.unit)
        .min(0)
        .fill_opacity(10)
        .show_points(VisibilityMode.NEVER)
        .legend(legend.show_legend(show_legend=True))
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    for query, name in _named(panel):
        made = made.with_target(_target(query, name))
    return made


def _numbers(panel: Panel, number: int, place: GridPos) -> stat.Panel:
    made = (
        stat.Panel()
        .id(number)
        .title(panel.title)
        .description(panel.about)
        .datasource(DATA_SOURCE)
        .grid_pos(place)
        .unit(panel.unit)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    for query, name in _named(panel):
        made = made.with_target(_target(query, name))
    return made


def _named(panel: Panel) -> Sequence[tuple[Query, str]]:
    return [(query, chr(ord("A") + number)) for number, query in enumerate(panel.queries)]


def _target(query: Query, name: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(name).expr(query.expr).legend_format(query.legend or "__auto").range()
