"""The whole system on one machine, without Docker: what `make run` starts."""
