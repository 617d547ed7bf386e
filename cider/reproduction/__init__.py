"""Reproducing the tables of the paper: what to run, running it, and the page with both numbers."""
