"""Models besides CIDer, trained and measured by the same recipes."""
