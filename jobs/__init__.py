"""The pipe: what a job is, how it is written down, and the queue that it waits in."""
