"""The interpreter's side: an attempt graded without a GPU."""
