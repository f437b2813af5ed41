"""Who starts, watches and kills the walled processes, and the judge's conversation with them."""
