"""The replayer: records launched on a GPU, with the driver and nothing else."""
