"""Values precomputed from a store and a split: class priors and means, word counts, vocabulary."""
