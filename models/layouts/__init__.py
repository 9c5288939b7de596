"""How public checkpoints name their tensors: one file per family of checkpoints."""
