"""Webhooks: the end of a job is announced by a signed POST to a URL that its caller named."""
