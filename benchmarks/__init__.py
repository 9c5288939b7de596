"""Honest timings of the real parts, behind `anysr bench`."""
