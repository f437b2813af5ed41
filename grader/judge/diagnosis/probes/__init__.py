"""What a kernel is asked once it is wrong: small inputs of ours, each for one question, and what is read off the answers."""
