"""The GPU's side: records replayed on lent memory, under one lock, and timed."""
