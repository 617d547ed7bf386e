"""Pages of scores: one run, a comparison, a shift curve. Does not import torch."""
