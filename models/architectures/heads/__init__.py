"""The parts of composed networks that make output pixels of features, at any real scale."""
