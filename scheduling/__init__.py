"""Scheduling policy: what runs at which width. Pure functions of their arguments."""
