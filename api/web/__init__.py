"""The live map, and what its page needs."""
