"""Devices without devices: recorded tracks, published over MQTT and a crowd that is made up."""
