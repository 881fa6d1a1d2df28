"""Version 2: the same, and when it is usually quiet today."""
