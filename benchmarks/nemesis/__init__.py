"""A real service under faults drawn from a seed, and a check of all that its callers saw."""
