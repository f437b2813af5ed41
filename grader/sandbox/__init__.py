"""The submission's process and the walls around it. Imports nothing of ours but `grader.report`, `grader.faults` and itself."""
