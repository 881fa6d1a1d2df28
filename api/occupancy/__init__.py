"""How many are where, now."""
