"""Log lines and traces, shared by all processes of the service."""
