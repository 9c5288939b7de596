"""Attacks on a service, one at a time, and what an honest caller notices of them."""
