"""Does a system that was just deployed do its job? One position goes in over MQTT, and must come out over HTTP."""
