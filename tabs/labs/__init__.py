"""What is handed in: the Labs tab, its report, and the museum."""
