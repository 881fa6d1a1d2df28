"""Redis, the document store, the time-series store, and the disks below them."""

from deploy.observability.dashboards.asking import quantile, rate
from deploy.observability.dashboards.page import Page, Panel, Query, Row

SERVICES = 'job=~"broker|decoder|api"'
REAL = 'job="node",fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660"'

STORES = Page(
    name="stores",
    title="Campus: stores",
    rows=(
        Row(
            "Redis, as services see it",
            (
                Panel(
                    "Reached, and persisting",
                    (
                        Query(f"min(redis_up{{{SERVICES}}})", "reached by all"),
                        Query(f"min(redis_persistence_ok{{{SERVICES}}})", "its last write to disk went well"),
                    ),
                    "1 is well.",
                    number=True,
                    columns=6,
                ),
                Panel(
                    "Memory",
                    (Query(f"max(redis_memory_share{{{SERVICES}}})", "share of maxmemory"),),
                    "From 0.8 on somebody should look.",
                    unit="percentunit",
                    number=True,
                    columns=6,
                ),
                Panel(
                    "Memory in bytes",
                    (
                        Query(f"max(redis_memory_used_bytes{{{SERVICES}}})", "used"),
                        Query(f"max(redis_memory_max_bytes{{{SERVICES}}})", "maxmemory"),
                    ),
                    "Of a cluster that of the fullest master; a maxmemory of 0 is none.",
                    unit="bytes",
                    columns=12,
                ),
            ),
        ),
        Row(
            "Redis, by its exporter",
            (
                Panel(
                    "Commands",
                    (Query('sum by (cmd) (rate(redis_commands_total{job="redis"}[$__rate_interval]))', "{{cmd}}"),),
                    "By command.",
                    unit="ops",
                ),
                Panel(
                    "Clients",
                    (
                        Query('sum(redis_connected_clients{job="redis"})', "connected"),
                        Query('sum(redis_blocked_clients{job="redis"})', "that wait for an entry"),
                    ),
                    "Connections.",
                ),
                Panel(
                    "Errors",
                    (
                        Query(
                            'sum by (cmd) (rate(redis_commands_failed_calls_total{job="redis"}[$__rate_interval]))',
                            "{{cmd}}",
                        ),
                    ),
                    "Commands that failed.",
                    unit="ops",
                ),
            ),
        ),
        Row(
            "Stores, as decoders use them",
            (
                Panel(
                    "An attempt (p95)",
                    (
                        Query(
                            quantile(0.95, "decoder_store_seconds", 'job="decoder"', "store", "operation"),
                            "{{store}} {{operation}}",
                        ),
                    ),
                    "Without the waits between attempts.",
                    unit="s",
                ),
                Panel(
                    "Attempts that failed",
                    (
                        Query(
                            rate('decoder_store_failures_total{job="decoder"}', "store", "operation"),
                            "{{store}} {{operation}}",
                        ),
                    ),
                    "Not now, said the store.",
                    unit="ops",
                ),
                Panel(
                    "Refused for good",
                    (Query(rate('decoder_refused_points_total{job="decoder"}'), "points"),),
                    "Most are of windows that the store keeps no more.",
                    unit="ops",
                ),
            ),
        ),
        Row(
            "InfluxDB",
            (
                Panel(
                    "Requests",
                    (
                        Query(
                            rate('http_api_requests_total{job="influxdb",path=~"/api/v2/.*"}', "path", "response_code"),
                            "{{path}} {{response_code}}",
                        ),
                    ),
                    "By path and answer.",
                    unit="reqps",
                ),
                Panel(
                    "Memory",
                    (Query('go_memstats_sys_bytes{job="influxdb"}', "from the system"),),
                    "What it has asked the system for. Its container has 256 MB.",
                    unit="bytes",
                ),
                Panel(
                    "Series",
                    (Query('sum by (bucket) (storage_bucket_series_num{job="influxdb"})', "{{bucket}}"),),
                    "By bucket.",
                ),
            ),
        ),
        Row(
            "CouchDB",
            (
                Panel(
                    "Requests",
                    (
                        Query(
                            'sum by (method) (rate(couchdb_httpd_request_methods{job="couchdb"}[$__rate_interval]))',
                            "{{method}}",
                        ),
                    ),
                    "By method.",
                    unit="reqps",
                ),
                Panel(
                    "Answers",
                    (
                        Query(
                            'sum by (code) (rate(couchdb_httpd_status_codes{job="couchdb"}[$__rate_interval]))',
                            "{{code}}",
                        ),
                    ),
                    "By status.",
                    unit="reqps",
                ),
            ),
        ),
        Row(
            "Disks",
            (
                Panel(
                    "Free",
                    (
                        Query(
                            f"min by (device) (node_filesystem_avail_bytes{{{REAL}}}"
                            f" / node_filesystem_size_bytes{{{REAL}}})",
                            "{{device}}",
                        ),
                    ),
                    "Share of each disk of the machine.",
                    unit="percentunit",
                    columns=12,
                ),
                Panel(
                    "Free on the disk of Redis",
                    (Query('min(redis_disk_free_bytes{job="broker"})', "free"),),
                    "As brokers see it, where a reserve is kept (`make run`).",
                    unit="bytes",
                    columns=12,
                ),
            ),
        ),
    ),
)
