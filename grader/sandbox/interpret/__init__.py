"""Triton's interpreter, mended and watched: a case run on the CPU."""
