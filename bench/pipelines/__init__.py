"""Whole pipelines beside one another: from PUBLISH to a document in a store, by this system and by its peers."""
