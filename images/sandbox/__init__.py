"""Decoding in a process of its own, with little memory, time and rights."""
