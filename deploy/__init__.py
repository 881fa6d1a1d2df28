"""How the system is started: on a laptop."""
