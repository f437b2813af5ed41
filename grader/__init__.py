"""The grader: runs a submission where it can do no harm and says what it is worth."""
