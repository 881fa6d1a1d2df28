"""Devices without devices: recorded tracks, published over MQTT as if they happened now."""
