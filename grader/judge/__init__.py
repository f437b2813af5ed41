"""The trusted half: it owns inputs, expected answers, memory, clock and verdict."""
