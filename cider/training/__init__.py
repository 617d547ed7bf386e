"""Training: the trainer, its steps, losses, validation, checkpoints and processes."""
