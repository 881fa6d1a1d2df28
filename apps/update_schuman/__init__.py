"""The example: an update on a building for mobile users, in two versions."""
