"""Batches: many sources with one set of options, submitted as jobs while the queue has room."""
