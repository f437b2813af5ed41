"""The bug hunt: mistakes of the labs as tasks. Nothing here grades, and nothing here is sent to a learner as it stands."""
