"""Models beside CIDer, trained and measured by the same recipes."""
