"""Drawn pictures: no photograph is needed, and none is stored."""

from benchmarks.pictures import draw_jpeg

__all__ = ["draw_jpeg"]
