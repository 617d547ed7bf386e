"""Charts as PNG, PDF and SVG."""
