"""Training: photographs, degradation, losses, optimizers, and the trainer."""
