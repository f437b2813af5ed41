"""One case: its inputs drawn, its memory laid out, its outcome judged."""
