"""Drawn pictures, so that no photograph has to be stored."""

from benchmarks.pictures import ENDLESS_SIDE, draw_endless_jpeg, draw_jpeg

__all__ = ["ENDLESS_SIDE", "draw_endless_jpeg", "draw_jpeg"]
