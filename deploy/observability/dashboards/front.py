"""HAProxy: what comes in, where it goes to, and what it turns away."""

from deploy.observability.dashboards.asking import rate
from deploy.observability.dashboards.page import Page, Panel, Query, Row

NODES = 'job="haproxy",node=~"$node"'
OURS = f'{NODES},proxy!~"place-.*|addresses|http_.*"'
"""Neither the tables of addresses nor the places of applications of others."""

HAPROXY = Page(
    name="haproxy",
    title="Campus: HAProxy",
    nodes_of='up{job="haproxy"}',
    rows=(
        Row(
            "Servers behind it",
            (
                Panel(
                    "Ready",
                    (
                        Query(
                            f"min by (proxy) (haproxy_backend_active_servers{{{OURS}}})",
                            "{{proxy}}",
                        ),
                    ),
                    "Servers of each backend that take work.",
                ),
                Panel(
                    "Failed checks",
                    (
                        Query(
                            rate(
                                f'haproxy_server_check_failures_total{{{NODES},proxy!~"place-.*"}}', "proxy", "server"
                            ),
                            "{{proxy}} {{server}}",
                        ),
                    ),
                    "A node that is restarted has some.",
                    unit="ops",
                ),
                Panel(
                    "Queued",
                    (Query(f"sum by (proxy) (haproxy_backend_current_queue{{{OURS}}})", "{{proxy}}"),),
                    "Requests that wait for a server.",
                ),
            ),
        ),
        Row(
            "What comes in",
            (
                Panel(
                    "Connections",
                    (
                        Query(f"sum by (proxy) (haproxy_frontend_current_sessions{{{NODES}}})", "{{proxy}}"),
                        Query(f"sum(haproxy_process_max_connections{{{NODES}}})", "most of all"),
                    ),
                    "Open now.",
                ),
                Panel(
                    "New connections",
                    (Query(rate(f"haproxy_frontend_connections_total{{{NODES}}}", "proxy"), "{{proxy}}"),),
                    "A second.",
                    unit="cps",
                ),
                Panel(
                    "Bytes",
                    (
                        Query(rate(f"haproxy_frontend_bytes_in_total{{{NODES}}}", "proxy"), "{{proxy}} in"),
                        Query(rate(f"haproxy_frontend_bytes_out_total{{{NODES}}}", "proxy"), "{{proxy}} out"),
                    ),
                    "A second.",
                    unit="Bps",
                ),
                Panel(
                    "Answers over HTTP",
                    (
                        Query(
                            rate(f'haproxy_frontend_http_responses_total{{{NODES},proxy="http"}}', "code"), "{{code}}"
                        ),
                    ),
                    "By class of status.",
                    unit="reqps",
                ),
                Panel(
                    "Turned away",
                    (
                        Query(
                            rate(f"haproxy_frontend_denied_connections_total{{{NODES}}}", "proxy"),
                            "{{proxy}} connections",
                        ),
                        Query(
                            rate(f"haproxy_frontend_requests_denied_total{{{NODES}}}", "proxy"), "{{proxy}} requests"
                        ),
                        Query(rate(f"haproxy_frontend_request_errors_total{{{NODES}}}", "proxy"), "{{proxy}} errors"),
                    ),
                    "By the shares of an address, and by what is no MQTT or HTTP.",
                    unit="ops",
                ),
                Panel(
                    "Certificate",
                    (Query('min by (node) (probe_ssl_earliest_cert_expiry{job="certificate"}) - time()', "{{node}}"),),
                    "Until it ends.",
                    unit="s",
                ),
            ),
        ),
    ),
)
