"""What a store of logs must know, and when it forgets. The image `setup` has the standard library alone."""
