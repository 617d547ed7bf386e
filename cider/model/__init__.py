"""The CIDer model and its parts."""
