"""Deliveries: what gateways do for jobs that have ended, again until it succeeds."""
