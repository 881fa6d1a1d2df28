"""What is not kept, and what was lost: the figures that should be 0, and those that may not be."""

from deploy.observability.dashboards.asking import rate, risen
from deploy.observability.dashboards.page import Page, Panel, Query, Row

BROKER = 'job="broker"'
DECODER = 'job="decoder"'

PRIVACY = Page(
    name="privacy",
    title="Campus: privacy and loss",
    rows=(
        Row(
            "Loss: should be 0",
            (
                Panel(
                    "Messages dropped",
                    (
                        Query(risen(f'broker_dropped_total{{{BROKER},reason="qos0_buffer"}}'), "QoS 0, Redis away"),
                        Query(risen(f"broker_dropped_queue_length_total{{{BROKER}}}"), "queue too long"),
                        Query(risen(f"broker_dropped_queue_age_total{{{BROKER}}}"), "queue too old"),
                        Query(risen(f"broker_dropped_queue_bytes_total{{{BROKER}}}"), "queue too large"),
                        Query(risen(f"broker_dropped_user_bytes_total{{{BROKER}}}"), "user has too much"),
                        Query(risen(f"broker_dropped_all_bytes_total{{{BROKER}}}"), "all have too much"),
                        Query(risen(f"broker_dropped_inbox_total{{{BROKER}}}"), "no room at a node"),
                        Query(risen(f"broker_refused_retained_total{{{BROKER}}}"), "not retained"),
                    ),
                    "In an hour. What a device was told is accepted is not among them.",
                    columns=12,
                ),
                Panel(
                    "Windows and points",
                    (
                        Query(risen(f"decoder_lapsed_windows_total{{{DECODER}}}"), "lapsed windows"),
                        Query(risen(f"decoder_refused_points_total{{{DECODER}}}"), "refused points"),
                        Query(f"max(decoder_dead_letters_capped_total{{{DECODER}}})", "dead letters pushed out, ever"),
                    ),
                    "In an hour. A backfill brings lapsed windows back.",
                    columns=12,
                ),
            ),
        ),
        Row(
            "What could not be used",
            (
                Panel(
                    "Dead letters by reason",
                    (Query(risen(f"decoder_dead_letters_total{{{DECODER}}}", "reason"), "{{reason}}"),),
                    "In an hour. python -m decoder dead-letters explain says more.",
                ),
                Panel(
                    "Dead letters kept",
                    (Query(f"max(decoder_dead_letters_kept{{{DECODER}}})", "letters"),),
                    "They may hold device ids: they go after DEAD_LETTERS_KEEP.",
                ),
                Panel(
                    "Senders told",
                    (
                        Query(risen(f"decoder_told_refusals_total{{{DECODER}}}"), "told"),
                        Query(risen(f"decoder_untold_refusals_total{{{DECODER}}}", "reason"), "not told: {{reason}}"),
                    ),
                    "Messages about what was refused, in an hour.",
                ),
            ),
        ),
        Row(
            "What leaves no trace",
            (
                Panel(
                    "Positions outside the campus",
                    (Query(rate(f"decoder_outside_positions_total{{{DECODER}}}"), "outside"),),
                    "This number is all that is kept of them.",
                    unit="ops",
                ),
                Panel(
                    "No positions",
                    (Query(rate(f"decoder_ignored_total{{{DECODER}}}", "what"), "{{what}}"),),
                    "What apps send beside positions.",
                    unit="ops",
                ),
                Panel(
                    "Cleared, and wills left out",
                    (Query(rate(f'broker_dropped_total{{{BROKER},reason!="qos0_buffer"}}', "reason"), "{{reason}}"),),
                    "No position is ever retained, so there is nothing to clear.",
                    unit="ops",
                ),
            ),
        ),
        Row(
            "What is hard to believe",
            (
                Panel(
                    "Implausible positions",
                    (Query(rate(f"decoder_implausible_positions_total{{{DECODER}}}"), "implausible"),),
                    "They count all the same.",
                    unit="ops",
                ),
                Panel(
                    "Marked devices",
                    (Query(f"max by (mark) (decoder_marked_devices{{{DECODER}}})", "{{mark}}"),),
                    "In the last hour that was judged; nothing where no judge runs.",
                ),
                Panel(
                    "Judged",
                    (
                        Query(risen(f"decoder_judgements_total{{{DECODER}}}"), "hours"),
                        Query(risen(f"decoder_unjudged_positions_total{{{DECODER}}}"), "positions not looked at"),
                    ),
                    "In an hour.",
                ),
            ),
        ),
    ),
)
