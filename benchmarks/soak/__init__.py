"""A service under a low load for hours: what of memory, files and keys it keeps."""
