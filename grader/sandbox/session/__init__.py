"""The submission's process: it reads the source, runs cases, and says whose fault an exception is."""
