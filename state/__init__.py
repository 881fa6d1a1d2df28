"""The hot state: what is in Redis, one module for each kind of thing. It owns its keys, its scripts and its formats."""
