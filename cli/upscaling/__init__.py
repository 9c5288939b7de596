"""`anysr upscale`: which files are taken, where results go, and how each is made."""
