"""How services live, and what they all need for it: settings, start and end, retry, logs, operations port, SQLite."""
