"""Measures of the shift between training and test."""
