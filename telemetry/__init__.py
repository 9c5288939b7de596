"""What all processes of the service share to tell what they do: log lines and traces."""
