"""Public checkpoints to our networks and back: key names, layouts, nothing else."""
