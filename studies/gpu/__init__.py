"""Training on a GPU that is available for a few minutes at a time."""
