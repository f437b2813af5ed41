"""What one call of the entry function may touch: memory, torch, and a GPU that is not there."""
