"""The API: what it answers, how fast, and how new that is."""

from deploy.observability.dashboards.asking import quantile, rate
from deploy.observability.dashboards.page import Page, Panel, Query, Row

NODES = 'job="api",node=~"$node"'
NO_STREAM = f'{NODES},route!="/v1/events"'

API = Page(
    name="api",
    title="Campus: API",
    nodes_of='up{job="api"}',
    rows=(
        Row(
            "Answers",
            (
                Panel(
                    "By class of status",
                    (Query(rate(f"api_responses_total{{{NODES}}}", "class"), "{{class}}"),),
                    "5xx are ours.",
                    unit="reqps",
                ),
                Panel(
                    "By route",
                    (Query(rate(f"api_requests_total{{{NODES}}}", "route", "method"), "{{method}} {{route}}"),),
                    "A second.",
                    unit="reqps",
                ),
                Panel(
                    "Time (p50, p95, p99)",
                    (
                        Query(quantile(0.5, "api_request_seconds", NO_STREAM), "p50"),
                        Query(quantile(0.95, "api_request_seconds", NO_STREAM), "p95"),
                        Query(quantile(0.99, "api_request_seconds", NO_STREAM), "p99"),
                    ),
                    "Of all routes but the stream of events.",
                    unit="s",
                ),
                Panel(
                    "Time by route (p95)",
                    (Query(quantile(0.95, "api_request_seconds", NO_STREAM, "route"), "{{route}}"),),
                    "History and positions ask the stores.",
                    unit="s",
                    columns=12,
                ),
                Panel(
                    "Positions refused",
                    (Query(rate(f"api_positions_refused_total{{{NODES}}}", "reason"), "{{reason}}"),),
                    "Of POST /v1/positions; their senders were told.",
                    unit="ops",
                    columns=12,
                ),
            ),
        ),
        Row(
            "What it tells, and how new that is",
            (
                Panel(
                    "Age of the newest input",
                    (Query(f"min by (kind) (api_newest_input_age_seconds{{{NODES}}})", "{{kind}}"),),
                    "By kind of device.",
                    unit="s",
                ),
                Panel(
                    "Age of the snapshot",
                    (Query(f"max by (node, instance) (api_snapshot_age_seconds{{{NODES}}})", "{{node}}"),),
                    "Of the occupancy that each process answers with.",
                    unit="s",
                ),
                Panel(
                    "Streams of events",
                    (
                        Query(f"sum(api_event_streams{{{NODES}}})", "open"),
                        Query(rate(f"api_event_streams_refused_total{{{NODES}}}"), "refused a second"),
                        Query(rate(f"api_event_streams_cut_off_total{{{NODES}}}"), "cut off a second"),
                    ),
                    "GET /v1/events.",
                ),
                Panel(
                    "Who mirrors",
                    (Query(f"sum(api_mirroring{{{NODES}}})", "processes"),),
                    "One of all should.",
                ),
                Panel(
                    "Mirror",
                    (
                        Query(rate(f"api_mirrored_total{{{NODES}}}"), "retained messages published"),
                        Query(rate(f"api_mirror_failures_total{{{NODES}}}"), "connections lost"),
                    ),
                    "Topics v1/... on MQTT.",
                    unit="ops",
                ),
                Panel(
                    "What the mirror cannot hold",
                    (
                        Query(f"max(api_mirror_too_large{{{NODES}}})", "topics too large"),
                        Query(f"max(api_mirror_over_limits{{{NODES}}})", "over the limits of retained messages"),
                    ),
                    "0 is well.",
                ),
            ),
        ),
    ),
)
