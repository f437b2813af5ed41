"""What the compiled kernels say of themselves: anatomy and listings."""
