"""The gateway: accepts HTTP requests and submits jobs to the queue."""
