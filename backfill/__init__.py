"""Windows computed again from the position documents, as a continuous query does when it is created, or seeded."""
