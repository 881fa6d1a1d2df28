"""Devices that do what devices must not, on demand, and what the system answers to each.

All of it is seen from outside: on the wire, over REST, and in the metrics; never in Redis.
"""
