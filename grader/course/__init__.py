"""Who submitted what and when: queue, store, limits, archive. Nothing that it has acknowledged is ever lost."""
