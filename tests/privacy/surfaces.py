"""Everything that tells a number to somebody, and why it tells nothing of one device where PRIVACY is not open."""

from collections.abc import Mapping
from enum import StrEnum


class How(StrEnum):
    """Why."""

    RELEASED = "made of released counts"
    SLOT = "a time of the slot, or of what was asked, whatever devices do"
    SILENT = "says the same whatever devices do"
    WITHHELD = "withheld"
    NO_DEVICES = "follows from no device"
    WITH_A_KEY = "personal data or means to it, for keys with a scope alone"
    SERVICES = "for services that log in alone"
    OPERATORS = "on a port of those who run it, and by no zone and no device"


ROUTES: Mapping[str, How] = {
    "GET /v1/occupancy": How.RELEASED,
    "GET /v1/zones/{zone}/occupancy": How.RELEASED,
    "GET /v1/zones": How.NO_DEVICES,
    "GET /v1/zones/{zone}": How.NO_DEVICES,
    "PUT /v1/zones/{zone}": How.WITH_A_KEY,
    "PATCH /v1/zones/{zone}": How.WITH_A_KEY,
    "DELETE /v1/zones/{zone}": How.WITH_A_KEY,
    "GET /v1/zones/{zone}/versions": How.WITH_A_KEY,
    "GET /v1/events": How.RELEASED,
    "GET /v1/zones/{zone}/occupancy/history": How.RELEASED,
    "GET /v1/occupancy/history": How.RELEASED,
    "GET /v1/zones/{zone}/occupancy/summary": How.RELEASED,
    "GET /v1/zones/{zone}/forecast": How.RELEASED,
    "GET /v1/zones/{zone}/visits": How.WITHHELD,
    "GET /v1/zones/{zone}/anomaly": How.RELEASED,
    "GET /v1/flows": How.WITHHELD,
    "GET /v1/positions": How.WITH_A_KEY,
    "POST /v1/positions": How.WITH_A_KEY,
    "POST /v1/positions/search": How.WITH_A_KEY,
    "DELETE /v1/devices/{device_id}/positions": How.WITH_A_KEY,
    "GET /v1/apps": How.WITH_A_KEY,
    "GET /v1/apps/{app}": How.WITH_A_KEY,
    "GET /v1/apps/{app}/route": How.WITH_A_KEY,
    "PUT /v1/apps/{app}/route": How.WITH_A_KEY,
    "DELETE /v1/apps/{app}/route": How.WITH_A_KEY,
    "POST /v1/apps/{app}/route/undo": How.WITH_A_KEY,
    "GET /v1/apps/{app}/changes": How.WITH_A_KEY,
    "POST /v1/apps/{app}/canary": How.WITH_A_KEY,
    "GET /v1/apps/{app}/canary": How.WITH_A_KEY,
    "DELETE /v1/apps/{app}/canary": How.WITH_A_KEY,
    "GET /v1/faults": How.WITH_A_KEY,
    "PUT /v1/faults": How.WITH_A_KEY,
    "DELETE /v1/faults": How.WITH_A_KEY,
    "GET /healthz": How.NO_DEVICES,
}
"""Those of the OpenAPI document."""

MEMBERS: Mapping[str, Mapping[str, How]] = {
    "Anomalies": {"computed_at": How.SLOT, "protected": How.NO_DEVICES},
    "Anomaly": {
        "start": How.RELEASED,
        "end": How.RELEASED,
        "devices": How.RELEASED,
        "value": How.RELEASED,
        "low": How.RELEASED,
        "high": How.RELEASED,
    },
    "BusiestHour": {"hour": How.RELEASED, "devices": How.RELEASED, "weeks": How.SILENT},
    "Dwell": {"first_quartile": How.WITHHELD, "median": How.WITHHELD, "third_quartile": How.WITHHELD},
    "Flow": {"count": How.WITHHELD, "hours": How.WITHHELD},
    "Flows": {
        "start": How.WITHHELD,
        "end": How.WITHHELD,
        "data_begin": How.WITHHELD,
        "data_end": How.WITHHELD,
        "computed_at": How.WITHHELD,
        "recorded_minutes": How.WITHHELD,
    },
    "Forecast": {
        "mase": How.RELEASED,
        "baseline_mase": How.RELEASED,
        "served": How.RELEASED,
        "data_begin": How.SILENT,
        "data_end": How.SILENT,
        "computed_at": How.SLOT,
        "recorded_minutes": How.SILENT,
        "protected": How.NO_DEVICES,
    },
    "ForecastPoint": {
        "start": How.SLOT,
        "end": How.SLOT,
        "value": How.RELEASED,
        "low": How.RELEASED,
        "high": How.RELEASED,
        "suppressed": How.RELEASED,
    },
    "History": {
        "start": How.SLOT,
        "end": How.SLOT,
        "first": How.SILENT,
        "last": How.SILENT,
        "kept_since": How.NO_DEVICES,
        "protected": How.NO_DEVICES,
    },
    "HistoryOfSeveral": {
        "start": How.SLOT,
        "end": How.SLOT,
        "kept_since": How.NO_DEVICES,
        "protected": How.NO_DEVICES,
    },
    "NewestInput": {"car": How.SILENT, "mobile": How.SILENT},
    "Occupancy": {
        "car": How.RELEASED,
        "mobile": How.RELEASED,
        "total": How.RELEASED,
        "capacity": How.NO_DEVICES,
        "percentage": How.RELEASED,
        "suppressed": How.RELEASED,
        "observed_at": How.SILENT,
        "last_updated": How.SLOT,
        "ttl": How.SLOT,
        "lag_seconds": How.SILENT,
    },
    "OccupancyOfAll": {"last_updated": How.SLOT, "ttl": How.SLOT, "lag_seconds": How.SILENT},
    "Peak": {"start": How.RELEASED, "end": How.RELEASED, "devices": How.RELEASED},
    "Point": {"start": How.SLOT, "end": How.SLOT, "devices": How.RELEASED, "suppressed": How.RELEASED},
    "PopularHour": {
        "hour": How.NO_DEVICES,
        "devices": How.RELEASED,
        "suppressed": How.RELEASED,
        "weeks": How.SILENT,
    },
    "Summary": {
        "start": How.SLOT,
        "end": How.SLOT,
        "first": How.SILENT,
        "last": How.SILENT,
        "kept_since": How.NO_DEVICES,
        "hours": How.SILENT,
        "recorded_minutes": How.SILENT,
        "suppressed": How.RELEASED,
        "mean": How.RELEASED,
        "weeks": How.SILENT,
        "protected": How.NO_DEVICES,
    },
    "TimeRange": {"start": How.SILENT, "end": How.SILENT},
    "VisitsOfHour": {
        "start": How.WITHHELD,
        "end": How.WITHHELD,
        "entries": How.WITHHELD,
        "exits": How.WITHHELD,
        "visits": How.WITHHELD,
        "devices": How.WITHHELD,
        "recorded_minutes": How.WITHHELD,
        "suppressed": How.WITHHELD,
    },
    "ZoneCollection": {"numberMatched": How.NO_DEVICES, "numberReturned": How.NO_DEVICES},
    "ZoneProperties": {"capacity": How.NO_DEVICES},
    "ZoneVisits": {
        "start": How.WITHHELD,
        "end": How.WITHHELD,
        "data_begin": How.WITHHELD,
        "data_end": How.WITHHELD,
        "computed_at": How.WITHHELD,
        "recorded_minutes": How.WITHHELD,
    },
}
"""Numbers, times and truth values of what is answered without a key, by schema and member."""

COLUMNS: Mapping[str, How] = {
    "zone": How.NO_DEVICES,
    "kind": How.NO_DEVICES,
    "window": How.SLOT,
    "start": How.SLOT,
    "end": How.SLOT,
    "devices": How.RELEASED,
    "suppressed": How.RELEASED,
    "recorded": How.SILENT,
}
"""Of history as CSV."""

HEADERS: Mapping[str, How] = {
    "Computed-At": How.WITHHELD,
    "Data-Begin": How.WITHHELD,
    "Data-End": How.WITHHELD,
    "ETag": How.RELEASED,
    "Kept-Since": How.NO_DEVICES,
    "Link": How.NO_DEVICES,
    "Location": How.NO_DEVICES,
    "Protected": How.NO_DEVICES,
    "Recorded-Minutes": How.WITHHELD,
    "Retry-After": How.NO_DEVICES,
    "X-Request-ID": How.NO_DEVICES,
}
"""Those that a page of another origin may read. The first three and the minutes are those of flows as CSV."""

EVENTS: Mapping[str, How] = {
    "snapshot": How.RELEASED,
    "occupancy": How.RELEASED,
    "zones": How.NO_DEVICES,
    "anomaly": How.RELEASED,
    "stale": How.SILENT,
    "fresh": How.SILENT,
}
"""Of the stream, with when they come."""

TOPICS: Mapping[str, How] = {
    "v1/zones": How.NO_DEVICES,
    "v1/zones/{zone}": How.NO_DEVICES,
    "v1/occupancy": How.RELEASED,
    "v1/zones/{zone}/occupancy": How.RELEASED,
    "v1/zones/{zone}/forecast": How.RELEASED,
    "v1/zones/{zone}/anomaly": How.RELEASED,
    "v1/zones/{zone}/visits": How.WITHHELD,
    "v1/flows": How.WITHHELD,
    "$SYS": How.SERVICES,
}
"""Over MQTT, for those who may not read what devices send."""

METRICS: Mapping[str, frozenset[str]] = {
    "api": frozenset(
        {
            "api_requests",
            "api_responses",
            "api_request_seconds",
            "api_positions_refused",
            "api_newest_input_age_seconds",
            "api_snapshot_age_seconds",
            "api_event_streams",
            "api_event_streams_refused",
            "api_event_streams_cut_off",
            "api_mirroring",
            "api_mirrored",
            "api_mirror_failures",
            "api_mirror_too_large",
            "api_mirror_over_limits",
        }
    ),
    "broker": frozenset(
        {
            "broker_acknowledgement_seconds",
            "broker_refused",
            "broker_dropped",
            "broker_logins",
            "broker_received_messages",
            "broker_sent_messages",
        }
    ),
    "decoder": frozenset(
        {
            "decoder_messages",
            "decoder_positions",
            "decoder_implausible_positions",
            "decoder_outside_positions",
            "decoder_ignored",
            "decoder_dead_letters",
            "decoder_told_refusals",
            "decoder_untold_refusals",
            "decoder_observe_seconds",
            "decoder_archived_positions",
            "decoder_rolled_up_windows",
            "decoder_refused_points",
            "decoder_judgements",
            "decoder_unjudged_positions",
            "decoder_marked_devices",
            "decoder_waiting_judgements",
            "decoder_lapsed_windows",
            "decoder_store_seconds",
            "decoder_store_failures",
            "decoder_unavailable",
            "decoder_waiting",
            "decoder_held_windows",
            "decoder_batch_entries",
            "decoder_freshness_seconds",
            "decoder_claimed_entries",
            "decoder_backlog_entries",
            "decoder_waiting_messages",
            "decoder_oldest_entry_age_seconds",
            "decoder_dirty_windows",
            "decoder_dead_letters_kept",
            "decoder_dead_letters_capped",
            "decoder_exported_records",
            "decoder_export_skipped_entries",
            "decoder_export_cut_entries",
            "decoder_lake_files",
            "decoder_lake_bytes",
            "decoder_release_due_timestamp_seconds",
            "decoder_released_slots",
        }
    ),
    "analytics": frozenset(
        {
            "analytics_runs",
            "analytics_run_seconds",
            "analytics_done_timestamp_seconds",
            "analytics_forecast_series",
            "analytics_anomalies",
        }
    ),
}
"""For operators (`How.OPERATORS`), whom no profile keeps from anything; who may ask is docs/operating.md's."""

LABELS = frozenset(
    {
        "class",
        "group",
        "job",
        "kind",
        "le",
        "mark",
        "method",
        "operation",
        "partition",
        "qos",
        "reason",
        "role",
        "route",
        "stage",
        "state",
        "status",
        "store",
        "stream",
        "target",
        "topic",
        "what",
    }
)
"""By which metrics are told: none is a zone, a device or a user."""
