"""Sections of the page on a corpus and its splits."""
