"""The parts of composed networks that work at the input's resolution."""
