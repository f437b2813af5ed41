"""Right or not, and worth how many points."""
