"""The HTTP interface: plain routes beside the page, under /api/v1. No gradio here; every rule is the course's."""
