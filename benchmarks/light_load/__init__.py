"""Load on a queue without pictures: workers and gateways that only call it, as real ones do."""
