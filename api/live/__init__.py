"""What changes, as it changes: events over HTTP, the mirror over MQTT."""
