"""The frame around all tabs: theme, first page, assets, identity, and what stands before Gradio's routes."""
