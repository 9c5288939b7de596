"""Pictures that the gateway puts where their callers want them: into buckets, and at URLs."""
