"""Who wants what, here and elsewhere."""
