"""A store and a split in the formats of others."""
