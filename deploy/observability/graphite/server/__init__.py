"""Graphite of an image of ours: its settings."""
