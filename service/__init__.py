"""The gateway: HTTP in, job out."""
