"""Version 1: who is there now, in a sentence."""
