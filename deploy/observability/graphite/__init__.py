"""Graphite, fed from Prometheus."""
