"""What others run to look at this system: logs, metrics, alerts, dashboards. Nothing here is imported by a service."""
