"""What the API takes, beside what is the least that it could: `python -m bench.api`."""
