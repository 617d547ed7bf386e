"""The folder of a training run: what it was trained on, what became of it, and whether it is whole."""
