"""Experiments behind the figures in docs/: run by hand from a checkout, not shipped."""
