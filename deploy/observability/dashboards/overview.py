"""Is the campus served? What somebody looks at first."""

from deploy.observability.dashboards.asking import quantile, rate
from deploy.observability.dashboards.page import Page, Panel, Query, Row

OVERVIEW = Page(
    name="overview",
    title="Campus: overview",
    jobs=True,
    nodes_of='up{job=~"$job"}',
    rows=(
        Row(
            "Now",
            (
                Panel(
                    "Alerts that fire",
                    (Query('sum(ALERTS{alertstate="firing"}) or vector(0)', "alerts"),),
                    "Each has a section in docs/operating.md.",
                    columns=4,
                    number=True,
                ),
                Panel(
                    "Processes that answer",
                    (Query("sum by (job) (up)", "{{job}}"),),
                    "By service. One that has ended is not there any more.",
                    columns=12,
                    number=True,
                ),
                Panel(
                    "Devices and clients",
                    (Query('sum(broker_clients{job="broker"})', "logged in"),),
                    "MQTT clients of all nodes.",
                    columns=4,
                    number=True,
                ),
                Panel(
                    "Newest input",
                    (Query('min(api_newest_input_age_seconds{job="api"})', "age"),),
                    "Since any device has sent anything.",
                    unit="s",
                    columns=4,
                    number=True,
                ),
            ),
        ),
        Row(
            "Traffic",
            (
                Panel(
                    "Messages",
                    (
                        Query(rate('broker_received_messages_total{job="broker"}'), "received"),
                        Query(rate('decoder_messages_total{job="decoder"}'), "decoded"),
                        Query(rate('decoder_positions_total{job="decoder"}'), "positions on the campus"),
                    ),
                    "Received includes the mirror. If decoded stays below what devices send, counts get late.",
                    unit="ops",
                ),
                Panel(
                    "From broker to count, document, window (p95)",
                    (Query(quantile(0.95, "decoder_freshness_seconds", 'job="decoder"', "stage"), "{{stage}}"),),
                    "How long a position takes from its broker to the end of each stage.",
                    unit="s",
                ),
                Panel(
                    "Acknowledgements (p99)",
                    (Query(quantile(0.99, "broker_acknowledgement_seconds", 'job="broker"'), "p99"),),
                    "What a device waits for.",
                    unit="s",
                ),
                Panel(
                    "Answers of the API",
                    (Query(rate('api_responses_total{job="api"}', "class"), "{{class}}"),),
                    "By class of status.",
                    unit="reqps",
                ),
                Panel(
                    "Dead letters",
                    (Query(rate('decoder_dead_letters_total{job="decoder"}', "reason"), "{{reason}}"),),
                    "What could not be used, by reason.",
                    unit="ops",
                ),
                Panel(
                    "Memory of Redis",
                    (Query('max(redis_memory_share{job=~"broker|decoder|api"})', "used"),),
                    "Share of maxmemory. From 0.9 on brokers take nothing new.",
                    unit="percentunit",
                ),
            ),
        ),
        Row(
            "Processes",
            (
                Panel(
                    "Processor",
                    (
                        Query(
                            rate('process_cpu_seconds_total{job=~"$job",node=~"$node"}', "job", "node", "instance"),
                            "{{job}} {{node}}",
                        ),
                    ),
                    "1 is one core.",
                    unit="none",
                ),
                Panel(
                    "Memory",
                    (
                        Query(
                            'sum by (job, node, instance) (process_resident_memory_bytes{job=~"$job",node=~"$node"})',
                            "{{job}} {{node}}",
                        ),
                    ),
                    "Resident.",
                    unit="bytes",
                ),
                Panel(
                    "What runs",
                    (
                        Query(
                            'count by (service, version, revision) (campus_build_info{job=~"$job"})',
                            "{{service}} {{version}} {{revision}}",
                        ),
                    ),
                    "Processes of each build.",
                ),
            ),
        ),
    ),
)
