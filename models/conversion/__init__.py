"""Public checkpoints' state dicts to this project's and back: pure functions, one file each."""
