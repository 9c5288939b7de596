"""Drawn pictures, so that no photograph has to be stored."""

from benchmarks.pictures import draw_jpeg

__all__ = ["draw_jpeg"]
