"""What is wrong, in one sentence that is true."""
