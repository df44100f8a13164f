"""Renders the generated parts of the documentation: `python -m scripts.docs`."""
