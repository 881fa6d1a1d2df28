"""Load that is scheduled by the clock: what a server does not answer in time shows as latency, not as less load."""
