"""Reading and writing files: complete or absent, checked, never trusted."""
