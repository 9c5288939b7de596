"""Answers in JSON, one module per resource, and how they are built from the other rooms' types."""
