"""From raw to both stores: what each stage does, and what waits for it."""

from deploy.observability.dashboards.asking import quantile, rate
from deploy.observability.dashboards.page import Page, Panel, Query, Row

NODES = 'job="decoder",node=~"$node"'

PIPELINE = Page(
    name="pipeline",
    title="Campus: pipeline",
    nodes_of='up{job="decoder"}',
    rows=(
        Row(
            "How late",
            (
                Panel(
                    "From broker to the end of a stage (p95)",
                    (Query(quantile(0.95, "decoder_freshness_seconds", NODES, "stage"), "{{stage}}"),),
                    "Of the newest message of each batch.",
                    unit="s",
                ),
                Panel(
                    "Oldest entry",
                    (
                        Query(
                            'max by (stream, group) (decoder_oldest_entry_age_seconds{job="decoder"})',
                            "{{group}} {{stream}}",
                        ),
                    ),
                    "How late counts (observe) and documents (archive) are.",
                    unit="s",
                ),
                Panel(
                    "Stages that wait",
                    (Query(f"sum by (stage) (decoder_waiting{{{NODES}}})", "{{stage}}"),),
                    "/readyz says for what.",
                ),
            ),
        ),
        Row(
            "What waits",
            (
                Panel(
                    "Messages",
                    (
                        Query(
                            'max by (stream, group) (decoder_waiting_messages{job="decoder"})', "{{group}} {{stream}}"
                        ),
                    ),
                    "What each group has yet to do.",
                ),
                Panel(
                    "Entries",
                    (Query('max by (group, state) (decoder_backlog_entries{job="decoder"})', "{{group}} {{state}}"),),
                    "Undelivered, and in the hands of decoders.",
                ),
                Panel(
                    "Windows",
                    (
                        Query('max(decoder_dirty_windows{job="decoder"})', "to be written"),
                        Query('sum(decoder_held_windows{job="decoder"})', "held"),
                    ),
                    "Some always wait: an open one for ROLLUP_EVERY.",
                ),
            ),
        ),
        Row(
            "Work",
            (
                Panel(
                    "Done",
                    (
                        Query(rate(f"decoder_messages_total{{{NODES}}}"), "messages decoded"),
                        Query(rate(f"decoder_positions_total{{{NODES}}}"), "positions on the campus"),
                        Query(rate(f"decoder_archived_positions_total{{{NODES}}}"), "documents"),
                        Query(rate(f"decoder_rolled_up_windows_total{{{NODES}}}"), "windows"),
                    ),
                    "A second.",
                    unit="ops",
                ),
                Panel(
                    "A batch of observe",
                    (
                        Query(quantile(0.5, "decoder_observe_seconds", NODES), "p50"),
                        Query(quantile(0.99, "decoder_observe_seconds", NODES), "p99"),
                    ),
                    "From its read to its acknowledgement.",
                    unit="s",
                ),
                Panel(
                    "Size of batches (p95)",
                    (Query(quantile(0.95, "decoder_batch_entries", NODES, "stage"), "{{stage}}"),),
                    "Always at its limit: that stage is behind.",
                ),
                Panel(
                    "Not served",
                    (Query(rate(f"decoder_unavailable_total{{{NODES}}}", "stage"), "{{stage}}"),),
                    "Attempts that Redis or a store did not serve.",
                    unit="ops",
                ),
                Panel(
                    "Taken over",
                    (Query(rate(f"decoder_claimed_entries_total{{{NODES}}}", "stage"), "{{stage}}"),),
                    "Entries that a decoder left unfinished.",
                    unit="ops",
                ),
                Panel(
                    "Defects",
                    (Query(rate(f"decoder_stage_failures_total{{{NODES}}}", "stage"), "{{stage}}"),),
                    "The log has why.",
                    unit="ops",
                ),
            ),
        ),
    ),
)
