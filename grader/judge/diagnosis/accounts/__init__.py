"""Attention computed in many ways, one thing changed at a time: what each named bug would answer, for any inputs."""
