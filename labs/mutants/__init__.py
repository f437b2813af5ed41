"""Do a lab's cases see a small change of a right kernel? What stands behind `python -m labs mutate`."""
