"""Workers: they claim jobs, run networks and deliver pictures."""
