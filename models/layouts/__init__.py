"""Layouts of public checkpoints, the names of their tensors: one file per family."""
