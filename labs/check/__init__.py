"""Is a lab as its folder promises? What stands behind `python -m labs check`; nothing that the product runs imports it."""
