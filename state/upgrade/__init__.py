"""The way from the layout of the version before to that of this one (`python -m state migrate`)."""
