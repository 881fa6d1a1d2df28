"""The campus and its zones: read, and changed."""
