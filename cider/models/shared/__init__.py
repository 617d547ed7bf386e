"""Parts that several of the models use."""
