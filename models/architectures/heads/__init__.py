"""The parts of composed networks that turn features into output pixels, at any real scale."""
