"""Who may do what in Redis: a user for each service and command, with what its part of `state/` needs and no more."""
