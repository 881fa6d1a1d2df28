"""What every answer has in common: problems, limits, preconditions, forms of answers, the server."""
