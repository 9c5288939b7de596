"""Signed links: a web page uses the service as the address of a picture."""
