"""The pool: job in, image out."""
