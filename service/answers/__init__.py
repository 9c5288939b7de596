"""Answers in JSON, one module per resource, and how they are built from other packages' types."""
