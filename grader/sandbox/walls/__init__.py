"""What holds: limits, Landlock, seccomp, what may be read, and the scratch directory."""
