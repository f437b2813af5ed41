"""A case compiled for a GPU that is not there, its launches written down."""
