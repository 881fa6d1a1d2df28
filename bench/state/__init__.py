"""What the hot state costs: memory for a device and minute, Redis and processors for a message, a look and a window."""
