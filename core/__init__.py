"""The vocabulary that every service shares: messages, windows, names, errors, the clock."""
