"""The vocabulary that every service shares: messages, Redis keys, settings, errors, clock, runtime."""
