"""The launch record as data: format, commands, binaries, and the GPUs they are made for."""
