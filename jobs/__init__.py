"""Jobs: what one is, its encoding, and the queue on Redis that it waits in."""
