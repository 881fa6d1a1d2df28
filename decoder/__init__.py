"""The decoder: what brokers accepted becomes documents and occupancy, in three stages with a backlog each."""
