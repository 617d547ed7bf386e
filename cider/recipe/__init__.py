"""Recipes: everything that decides a run, typed and checked. Does not import torch."""
