"""What the versions of applications share: settings, the campus's answers, one update at a time, and serving it."""
