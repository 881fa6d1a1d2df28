"""What one arrival tells somebody who knows everybody else, and how wrong counts are for that."""
